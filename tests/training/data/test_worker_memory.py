import gc

import numpy as np
import pytest
import torch

from training.data.loader import build_train_loader
from training.data.readers import DepthSample
from training.data.worker_memory import FREE, LENT


class Numbered:
    """Sample i has depth i + 1 everywhere."""

    def __len__(self):
        return 400

    def __getitem__(self, index):
        depth = np.full((8, 8), index + 1, np.float32)
        return DepthSample(np.zeros((8, 8, 3), np.uint8), depth, depth > 0, True, str(index))


def to_tensors(sample, rng):
    depth = torch.from_numpy(sample.depth)
    return {"pixel_values": depth.expand(3, -1, -1), "labels": depth, "name": sample.name}


@pytest.fixture
def loader():
    return build_train_loader(Numbered(), to_tensors, batch_size=4, num_workers=2, shuffle=False)


@pytest.fixture
def places(loader, monkeypatch):
    """The places of each batch that arrives."""
    stacks, seen = loader._batches._stacks, []
    lend = stacks.lend
    monkeypatch.setattr(stacks, "lend", lambda batch, places: seen.append(places) or lend(batch, places))
    return seen


def is_right(batch):
    expected = torch.tensor([float(name) + 1 for name in batch["name"]])
    return bool(
        (batch["labels"] == expected[:, None, None]).all()
        and (batch["pixel_values"] == expected[:, None, None, None]).all()
    )


def states(loader):
    return loader._batches._stacks._states


def test_memory_serves_again_once_a_batch_is_dropped(loader, places):
    assert sum(map(is_right, loader)) == len(places) == 100
    assert all(len(place) == 2 for place in places)  # none in memory of its own
    gc.collect()
    assert not (states(loader) == LENT).any() and (states(loader) == FREE).any()


def test_batches_in_hand_are_never_written_to(loader):
    batches = list(loader)
    assert len(batches) == 100 and all(map(is_right, batches))
    kept = [batch["labels"][1:, 2] for batch in batches]  # views outlive their batch
    expected = [values.clone() for values in kept]
    del batches
    assert all(map(is_right, loader))
    assert all(map(torch.equal, kept, expected))


def test_stopping_in_mid_epoch_loses_no_memory(loader, places):
    for _ in range(20):
        batches = iter(loader)
        assert is_right(next(batches))
        batches.close()
        loader.set_position(0)
    assert sum(map(is_right, loader)) == 100
    assert len(places) == 120 and all(len(place) == 2 for place in places)


def test_copies_free_their_source_at_once(loader):
    stacks = loader._batches._stacks
    batch = {"labels": torch.ones(2)}  # as pinned: memory that no worker knows
    assert stacks.lend(batch, {"labels": (1, 3)})["labels"] is batch["labels"] and states(loader)[1, 3] == FREE
