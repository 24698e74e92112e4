"""Interrupted runs: killed, stopped, out of disk, resumed; their numbers must be those of a run left alone."""

import os
import random
import resource
import shutil
import signal
import time

import pytest
from safetensors.torch import load_file

from tests.training.tiny_run import Run, metrics, run, write_pairs

OPTIONS = ("--ema_decay", "0.9", "--gradient_accumulation_steps", "2", "--validations", "2")
LEFT = 143


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return [write_pairs(folder / "train", 9), "--validation_dataset", write_pairs(folder / "held_out", 3, seed=1)]


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def straight(request, data, tmp_path_factory):
    """A run left alone: its directory and number of processes."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    run(folder, *data, *OPTIONS, processes=request.param)
    return folder, request.param


def assert_same_run(folder, other):
    assert metrics(folder) == metrics(other)
    weights, others = load_file(folder / "model.safetensors"), load_file(other / "model.safetensors")
    assert weights.keys() == others.keys()
    assert [name for name, value in weights.items() if not value.equal(others[name])] == []


def wait_until(condition, running, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and running.running:
        assert time.monotonic() < end
        time.sleep(0.0005)


def last_step(folder):
    return max((int(path.name[5:]) for path in folder.glob("checkpoints/step-*")), default=0)


def test_killed_at_any_moment(data, straight, tmp_path):
    folder, (reference, processes) = tmp_path / "run", straight
    rng = random.Random(processes)
    during_save = 0
    for kill in range(10 if processes == 1 else 4):
        running = Run(folder, *data, *OPTIONS, "--resume", "--checkpoint_steps", "1", processes=processes)
        before = last_step(folder)
        if kill % 2:
            wait_until(lambda: any(folder.glob("checkpoints/.writing-step-*/*")), running)
        elif before < 4:
            wait_until(lambda before=before: last_step(folder) > before, running)
            time.sleep(rng.uniform(0, 0.05))
        else:  # so near the end it would often be too late after a step
            time.sleep(rng.uniform(0, 0.3))
        running.send(signal.SIGKILL)
        statuses, output = running.wait()
        assert set(statuses) == {-signal.SIGKILL}, output
        during_save += any(folder.glob("checkpoints/.writing-step-*"))
    run(folder, *data, *OPTIONS, "--resume", processes=processes)
    assert during_save >= 1
    assert_same_run(folder, reference)
    assert not list(folder.rglob(".writing-*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_saves_and_leaves(data, straight, tmp_path, number):
    folder, (reference, processes) = tmp_path / "run", straight
    running = Run(folder, *data, *OPTIONS, "--checkpoint_steps", "1", processes=processes)
    wait_until(lambda: last_step(folder) >= 1, running)
    # only one of the processes gets it, and all leave at the same step
    os.kill(running.processes[-1].pid, number)
    statuses, output = running.wait()
    assert set(statuses) == {LEFT}, output
    assert f"Left after step {last_step(folder)} on a signal" in output
    assert not (folder / "model.safetensors").exists()
    run(folder, *data, *OPTIONS, "--resume", processes=processes)
    assert_same_run(folder, reference)


def start_process_group():
    os.setpgid(0, 0)


def test_signal_to_the_whole_job_saves_and_leaves(data, straight, tmp_path):
    """As Slurm and `timeout` send it: the processes that read the data get it too."""
    folder, (reference, processes) = tmp_path / "run", straight
    running = Run(folder, *data, *OPTIONS, "--checkpoint_steps", "1", "--num_workers", "1", processes=processes,
                  prepare=start_process_group)  # fmt: skip
    wait_until(lambda: last_step(folder) >= 1, running)
    for process in running.processes:
        os.killpg(process.pid, signal.SIGTERM)
    statuses, output = running.wait()
    assert set(statuses) == {LEFT}, output
    run(folder, *data, *OPTIONS, "--resume", processes=processes)
    assert_same_run(folder, reference)


def allow_small_files_only():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))


def test_full_disk_keeps_the_last_good_checkpoint(data, straight, tmp_path):
    folder, (reference, processes) = tmp_path / "run", straight
    running = Run(folder, *data, *OPTIONS, "--checkpoint_steps", "1", processes=processes)
    wait_until(lambda: last_step(folder) >= 1, running)
    running.send(signal.SIGKILL)
    running.wait()
    good = last_step(folder)
    output = run(folder, *data, *OPTIONS, "--resume", "--validations", "0", processes=processes, status=1,
                 prepare=allow_small_files_only)  # fmt: skip
    assert f"The last good checkpoint is {folder}/checkpoints/step-{good:08d}" in output
    assert "Traceback" not in output
    assert last_step(folder) == good and not list(folder.rglob(".writing-*"))
    run(folder, *data, *OPTIONS, "--resume", processes=processes)
    assert_same_run(folder, reference)


def test_channels_last(data, tmp_path):
    options = (*OPTIONS, "--channels_last", "True", "--keep_checkpoints", "3")
    run(tmp_path / "straight", *data, *options)
    shutil.copytree(tmp_path / "straight", tmp_path / "resumed")
    for later in ("step-00000004", "step-00000006"):
        shutil.rmtree(tmp_path / "resumed" / "checkpoints" / later)
    run(tmp_path / "resumed", *data, *options, "--resume")
    assert_same_run(tmp_path / "straight", tmp_path / "resumed")


def test_finished_run_resumed_stays_as_it_is(data, straight, tmp_path):
    reference, processes = straight
    folder = tmp_path / "run"
    shutil.copytree(reference, folder)
    run(folder, *data, *OPTIONS, "--resume", processes=processes)
    assert_same_run(folder, reference)


def test_other_options_cannot_resume(data, straight):
    folder, processes = straight
    output = run(folder, *data, *OPTIONS, "--resume", "--learning_rate", "0.5", "--batch_size", "1", status=2,
                 processes=processes)  # fmt: skip
    assert "batch_size was 2, is 1" in output and "learning_rate was 0.001, is 0.5" in output
    assert "max_steps" not in output and "Traceback" not in output


def test_other_number_of_processes_cannot_resume(data, straight):
    folder, processes = straight
    other = 3 - processes
    output = run(folder, *data, *OPTIONS, "--resume", processes=other, status=2)
    assert f"number of processes was {processes}, is {other}" in output


def test_used_directory_is_not_overwritten(data, straight):
    folder, processes = straight
    before = (folder / "model.safetensors").read_bytes()
    output = run(folder, *data, *OPTIONS, status=2, processes=processes)
    assert "holds a run: --resume goes on with it" in output
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_model_without_checkpoints_is_not_overwritten(data, straight, tmp_path):
    folder, processes = tmp_path / "run", straight[1]
    shutil.copytree(straight[0], folder, ignore=shutil.ignore_patterns("step-*"))
    before = (folder / "model.safetensors").read_bytes()
    output = run(folder, *data, *OPTIONS, "--resume", status=2, processes=processes)
    assert "holds a model and no checkpoint to go on from" in output
    assert (folder / "model.safetensors").read_bytes() == before


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "model.safetensors": flip_a_bit,
    "optimizer.bin": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "trainer_state.json": lambda path: path.write_text("{"),
    "ema.safetensors": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_newest_checkpoint_is_named_and_the_older_one_taken(data, straight, tmp_path, name):
    reference, processes = straight
    if processes > 1 and name != "model.safetensors":
        pytest.skip("one kind of damage shows that all processes agree")
    folder = tmp_path / "run"
    shutil.copytree(reference, folder)
    newest = sorted(folder.glob("checkpoints/step-*"))[-1]
    DAMAGE[name](newest / name)
    output = run(folder, *data, *OPTIONS, "--resume", processes=processes)
    assert f"{newest / name}" in output and "trying an older checkpoint" in output and "Traceback" not in output
    assert (newest.parent / f"damaged-{newest.name}").is_dir() and newest.is_dir()
    assert_same_run(folder, reference)


def test_a_step_whose_checkpoint_is_damaged_twice_is_trained_twice(data, tmp_path):
    folder = tmp_path / "run"
    run(folder, data[0])
    for _ in range(2):
        flip_a_bit(folder / "checkpoints" / "step-00000006" / "model.safetensors")
        run(folder, data[0], "--resume")
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["damaged-step-00000006", "step-00000004", "step-00000006"]


def test_what_is_left_of_a_run_killed_while_it_wrote_the_best_model_stays_out_of_the_next(data, tmp_path):
    folder = tmp_path / "run"
    running = Run(folder, *data, "--validations", "6")
    wait_until(lambda: any(folder.glob(".writing-*/.writing-*/model*")), running)
    running.send(signal.SIGKILL)
    running.wait()
    assert list(folder.glob(".writing-*/.writing-*"))
    run(folder, *data, "--validations", "6", "--resume")
    assert list(folder.glob("best-step-*/*.safetensors")) and not list(folder.rglob(".writing-*"))


def test_all_checkpoints_damaged_is_a_sentence(data, straight, tmp_path):
    reference, processes = straight
    if processes > 1:
        pytest.skip("the same in one process")
    folder = tmp_path / "run"
    shutil.copytree(reference, folder)
    for path in folder.glob("checkpoints/step-*/model.safetensors"):
        flip_a_bit(path)
    output = run(folder, *data, *OPTIONS, "--resume", status=2)
    assert "train.py: all 2 checkpoints are damaged, the newest: " in output and "Traceback" not in output
