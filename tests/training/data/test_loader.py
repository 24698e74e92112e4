import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.data import writers
from training.data.decoding import DataError
from training.data.loader import build_train_loader
from training.data.mixtures import Mixture
from training.data.sources import open_dataset
from training.data.transforms import ColorAugmentation, TrainTransform

TRANSFORM = TrainTransform(size=48, color=ColorAugmentation())


@pytest.fixture
def tartanair(tmp_path):
    writers.write_dataset("tartanair", tmp_path / "tartanair", 13)
    return open_dataset({"name": "tartanair", "root": str(tmp_path / "tartanair")})


def same(first, second):
    """Batches with the same samples and pixels; several are laid end to end."""
    first, second = (batches if isinstance(batches, list) else [batches] for batches in (first, second))
    for key in ("pixel_values", "labels"):
        if not torch.equal(*(torch.cat([batch[key] for batch in batches]) for batches in (first, second))):
            return False
    return sum((b["name"] for b in first), []) == sum((b["name"] for b in second), [])


def test_batches_do_not_depend_on_workers_or_processes(tartanair):
    alone = build_train_loader(tartanair, TRANSFORM, batch_size=4, seed=3)
    workers = build_train_loader(tartanair, TRANSFORM, batch_size=4, seed=3, num_workers=2)
    ranks = [
        build_train_loader(tartanair, TRANSFORM, batch_size=2, seed=3, process_index=rank, num_processes=2)
        for rank in range(2)
    ]
    assert len(alone) == len(workers) == len(ranks[0]) == 3
    seen = []
    for _ in range(2):
        for batch, other, *slices in zip(alone, workers, *ranks, strict=True):
            assert batch["pixel_values"].shape == (4, 3, 48, 48) and batch["labels"].shape == (4, 48, 48)
            assert same(batch, other) and same(batch, slices)
            seen.append(batch["name"])
    assert (alone.epoch, alone.batch) == (2, 0)
    epochs = [sum(seen[:3], []), sum(seen[3:], [])]
    assert all(len(set(epoch)) == 12 for epoch in epochs) and epochs[0] != epochs[1]
    other_seed = build_train_loader(tartanair, TRANSFORM, batch_size=4, seed=4)
    assert next(iter(other_seed))["name"] != seen[0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resume_in_mid_epoch_reads_nothing_before(tartanair, num_workers):
    class Counting:
        def __init__(self):
            self.reads = torch.zeros(1, dtype=torch.int64).share_memory_()

        def __len__(self):
            return len(tartanair)

        def __getitem__(self, index):
            self.reads += 1
            return tartanair[index]

    whole = list(build_train_loader(tartanair, TRANSFORM, batch_size=2, seed=1))
    dataset = Counting()
    loader = build_train_loader(dataset, TRANSFORM, batch_size=2, seed=1, num_workers=num_workers)
    loader.set_position(0, 4)
    assert same(list(loader), whole[4:]) and dataset.reads.item() == 4
    assert (loader.epoch, loader.batch) == (1, 0)

    loader.set_position(0)
    batches = iter(loader)  # stopping leaves the loader where it was stopped
    assert same([next(batches) for _ in range(3)], whole[:3])
    batches.close()
    assert loader.batch == 3
    assert same(list(loader), whole[3:])
    with pytest.raises(ValueError, match="No batch 7 in epoch 0: an epoch has 6"):
        loader.set_position(0, 7)


def read_slice(dataset, rank, world_size, results):
    torch.set_num_threads(1)
    loader = build_train_loader(
        dataset, TRANSFORM, batch_size=2, seed=3, num_workers=1, process_index=rank, num_processes=world_size
    )
    loader.set_position(1, 1)
    results.put((rank, [{key: np.asarray(value) for key, value in batch.items()} for batch in loader]))


def test_two_real_processes_see_what_one_sees(tartanair):
    context = torch.multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    processes = [context.Process(target=read_slice, args=(tartanair, rank, 2, results)) for rank in range(2)]
    for process in processes:
        process.start()
    slices = dict(results.get() for _ in processes)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    alone = build_train_loader(tartanair, TRANSFORM, batch_size=4, seed=3)
    alone.set_position(1, 1)
    for batch, first, second in zip(alone, slices[0], slices[1], strict=True):
        for key, value in batch.items():
            assert np.array_equal(np.asarray(value), np.concatenate([first[key], second[key]]))


def test_weighted_mixture_over_processes(tartanair):
    mixture = Mixture([tartanair, tartanair], weights=[3, 1], epoch_size=8)
    alone = build_train_loader(mixture, TRANSFORM, batch_size=4, seed=3)
    ranks = [
        build_train_loader(mixture, TRANSFORM, batch_size=2, seed=3, process_index=rank, num_processes=2)
        for rank in range(2)
    ]
    assert len(alone) == 2
    for batch, *slices in zip(alone, *ranks, strict=True):
        assert same(batch, slices)


def test_in_order_without_shuffling(tartanair):
    loader = build_train_loader(tartanair, TRANSFORM, batch_size=4, shuffle=False)
    names = sum((batch["name"] for batch in loader), [])
    assert names == [tartanair.paths(index)[0] for index in range(12)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_unreadable_samples(tartanair, num_workers):
    for index in (2, 5):
        Path(tartanair.paths(index)[1]).write_bytes(b"nothing")
    options = {"batch_size": 4, "seed": 3, "num_workers": num_workers}
    try:  # not pytest.raises, which would hold on to the workers
        list(build_train_loader(tartanair, TRANSFORM, **options))
        message = "no error"
    except DataError as error:
        message = str(error)
    assert re.fullmatch(r"/.*_left_depth.npy: the file is damaged .*", message)

    loader = build_train_loader(tartanair, TRANSFORM, on_error="skip", **options)
    batches = list(loader)
    assert all(len(batch["name"]) == 4 for batch in batches)
    damaged = {tartanair.paths(index)[1] for index in (2, 5)}
    assert loader.skipped and {message.split(": ")[0] for message in loader.skipped} <= damaged
    half = build_train_loader(tartanair, TRANSFORM, on_error="skip", **options)
    half.set_position(0, 1)
    assert same(list(half), batches[1:])

    for index in range(13):
        Path(tartanair.paths(index)[1]).unlink(missing_ok=True)
    with pytest.raises(DataError, match="last of 21 unreadable samples in a row; giving up"):
        next(iter(build_train_loader(tartanair, TRANSFORM, batch_size=4, on_error="skip")))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_missing_package_is_one_sentence_from_a_worker_too(tmp_path, monkeypatch, num_workers):
    writers.write_dataset("irs", tmp_path, 2)
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    loader = build_train_loader(open_dataset(f"irs,root={tmp_path}"), TRANSFORM, batch_size=2, num_workers=num_workers)
    with pytest.raises(ImportError, match=r"^This needs the package OpenEXR: pip install .*\.$"):
        next(iter(loader))


def test_mistakes(tartanair):
    with pytest.raises(DataError, match=r"fewer samples than one batch of 28 \(2 processes x 14\)"):
        build_train_loader(tartanair, TRANSFORM, batch_size=14, num_processes=2)
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        build_train_loader(tartanair, TRANSFORM, batch_size=1, on_error="ignore")
    with pytest.raises(ValueError, match="process_index=2"):
        build_train_loader(tartanair, TRANSFORM, batch_size=1, process_index=2, num_processes=2)


def test_samples_draw_their_own_random_numbers(tartanair):
    class One:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return tartanair[0]

    (batch,) = build_train_loader(One(), TrainTransform(size=48), batch_size=4, seed=0)
    assert len({row.numpy().tobytes() for row in batch["labels"]}) == 4
    assert np.isfinite(batch["pixel_values"].numpy()).all()
