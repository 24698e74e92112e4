"""Programs that are killed, stopped or find no space: nothing visible is ever half-written, and a rerun ends equal."""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from anydepth_hf.atomic_write import LEFTOVERS
from tests.faults.programs import PROGRAMS, Process, came_at_the_edge, content, make_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


class Straight:
    """What a program leaves when nothing disturbs it, what was there before, and how long it takes."""

    def __init__(self, name, inputs, folder):
        self.program, self.before = PROGRAMS[name], folder / "before"
        self.before.mkdir()
        if self.program.prepare:
            self.program.prepare(self.before)
        output = folder / "after"
        shutil.copytree(self.before, output)
        process = Process(self.program, inputs, output)
        start = time.monotonic()
        assert process.wait() == 0, process.output
        self.seconds = time.monotonic() - start
        self.after, self.at_first = content(output), content(self.before)

    def check_whole(self, output):
        """Every visible file is one of those before or after; a folder that is being replaced is in plain sight."""
        for name, data in content(output).items():
            name = name.replace(".before-overwrite/", "/")
            assert data in (self.after.get(name), self.at_first.get(name)), name
        for folder in {Path(name).parts[0] for name in self.at_first if "/" in name}:
            whole = {name.split("/", 1)[1] for name in self.at_first if name.startswith(folder + "/")}
            places = (output / folder, output / f"{folder}.before-overwrite")
            assert any(whole <= {path.name for path in place.glob("*")} for place in places), list(output.iterdir())

    def check_finished(self, output):
        assert content(output) == self.after
        assert not [path for path in output.rglob(LEFTOVERS)]


@pytest.fixture(scope="module", params=PROGRAMS)
def straight(request, inputs, tmp_path_factory):
    return Straight(request.param, inputs, tmp_path_factory.mktemp(request.param))


def disturb(straight, inputs, output, number, seed, times):
    """Starts the program again and again and sends it a signal at a random moment."""
    rng = random.Random(seed)
    shutil.copytree(straight.before, output, dirs_exist_ok=True)
    hits = 0
    for _ in range(times):
        process = Process(straight.program, inputs, output, *straight.program.again)
        time.sleep(rng.uniform(0, straight.seconds))
        process.send(number)
        status = process.wait()
        hits += status != 0
        if number == signal.SIGINT and status == 130:
            lines = [line for line in process.output.replace("\r", "\n").splitlines() if "interrupted" in line]
            assert len(lines) == 1, process.output
        if number != signal.SIGINT or not came_at_the_edge(process.output):
            assert "Traceback" not in process.output or status == -number, process.output
        straight.check_whole(output)
    process = Process(straight.program, inputs, output, *straight.program.again)
    assert process.wait() == 0, process.output
    straight.check_finished(output)
    return hits


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_at_random_moments(straight, inputs, tmp_path, number):
    disturb(straight, inputs, tmp_path / "out", number, seed=number, times=2)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_at_many_random_moments(straight, inputs, tmp_path, number):
    assert disturb(straight, inputs, tmp_path / "out", number, seed=10 + number, times=40) > 0


def allow_small_files_only():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))


def test_files_that_cannot_be_written_to_their_end(straight, inputs, tmp_path):
    """As under a quota: the program ends with one sentence, and a rerun with more space is equal."""
    output = tmp_path / "out"
    shutil.copytree(straight.before, output)
    process = Process(straight.program, inputs, output, setup=allow_small_files_only)
    assert process.wait() in (0, 1, 2) and "Traceback" not in process.output, process.output
    straight.check_whole(output)
    process = Process(straight.program, inputs, output, *straight.program.again)
    assert process.wait() == 0, process.output
    straight.check_finished(output)


@contextlib.contextmanager
def mounted(folder, options):
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_full_disk_is_one_sentence_and_a_rerun_is_equal(straight, inputs, tmp_path):
    size = sum(map(len, straight.at_first.values())) + sum(map(len, straight.after.values())) // 3
    with mounted(tmp_path / "disk", f"size={-(-size // 4096) * 4}k") as disk:
        shutil.copytree(straight.before, disk / "out")
        process = Process(straight.program, inputs, disk / "out")
        status = process.wait()
        assert status in (1, 2) and "Traceback" not in process.output, (status, process.output)
        assert "No space left on device" in process.output
        straight.check_whole(disk / "out")
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        process = Process(straight.program, inputs, disk / "out", *straight.program.again)
        assert process.wait() == 0, process.output
        straight.check_finished(disk / "out")


def test_read_only_disk_is_one_sentence(straight, inputs, tmp_path):
    with mounted(tmp_path / "disk", "size=8m") as disk:
        shutil.copytree(straight.before, disk / "out")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        process = Process(straight.program, inputs, disk / "out")
        assert process.wait() == 2 and "Traceback" not in process.output, process.output
        assert "Read-only file system" in process.output.strip().splitlines()[-1]
        assert content(disk / "out") == straight.at_first


def test_output_that_is_a_file_is_one_sentence(straight, inputs, tmp_path):
    (tmp_path / "file").write_text("mine")
    output = tmp_path / "file" if straight.program.prepare is None else tmp_path / "file" / "below"
    process = Process(straight.program, inputs, output)
    assert process.wait() == 2, process.output
    assert "Traceback" not in process.output and "file" in process.output.strip().splitlines()[-1]
    assert (tmp_path / "file").read_text() == "mine" and os.listdir(tmp_path) == ["file"]
