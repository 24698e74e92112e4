"""Batches that worker processes read: their keys, from any position of an epoch on, and the `DataLoader` over them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.decoding import DataError
from training.data.worker_memory import SharedStacks, keep_freed_memory

PREFETCHED = 4  # batches of each worker

FAILURES = (DataError, ImportError)
"""What reading raises that is told in one sentence: a sample that cannot be used, or a package that is missing."""
Draw = Callable[[int], Callable[[int], list[Any]]]
"""Called with an epoch when it begins; gives what turns the number of a batch into a key for each of its samples in
this process."""


class BatchKeys(Sampler):
    """
    Keys of an epoch's batches, from a position on.

    An object of its own, that knows no loader: with a reference back from the `DataLoader` the two would wait for the
    garbage collector, and in its hands the `DataLoader` takes five seconds for each worker to stop.

    Args:
        num_batches: of an epoch, for this process.

    Attributes:
        epoch, first_batch: the position; set it before iterating.
    """

    def __init__(self, num_batches: int, draw: Draw):
        self.num_batches, self.draw = num_batches, draw
        self.epoch, self.first_batch, self.iteration = 0, 0, 0

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[tuple[int, list[Any]]]:
        """Yields the number of this iteration and a batch's keys."""
        self.iteration += 1
        iteration, keys = self.iteration, self.draw(self.epoch)
        for batch in range(self.first_batch, self.num_batches):
            yield iteration, keys(batch)


class _BatchReader(Dataset):
    """Reads and stacks the samples of the batch with the given keys; works in the worker processes."""

    def __init__(self, read: Callable[[Any, list[str]], dict], stacks: SharedStacks):
        self.read, self.stacks = read, stacks

    def __getitem__(self, request: tuple[int, list[Any]]) -> tuple[dict | Exception, dict, list[str]]:
        iteration, keys = request
        skipped: list[str] = []
        try:
            batch, places = self.stacks.collate([self.read(key, skipped) for key in keys], iteration)
            return batch, places, skipped
        except FAILURES as error:  # as a value: raised in a worker it would come back as a page of traceback
            return error, {}, skipped


class WorkerBatches:
    """
    Batches of one process, each a function of its keys.

    Args:
        num_batches: of an epoch.
        read: called with a key; returns a dict of tensors and strings, or raises DataError. It appends the messages of
            samples that it replaced to the list that it is given.
        num_workers: reading processes; 0 reads in this one.
    """

    def __init__(self, num_batches: int, draw: Draw, read: Callable[[Any, list[str]], dict], num_workers: int):
        self.num_batches = num_batches
        self._keys = BatchKeys(num_batches, draw)
        # two stacks a batch, of all batches under way and a few in the consumer's hands
        self._stacks = SharedStacks(num_workers, 2 * (PREFETCHED + 2))
        self._loader = DataLoader(
            _BatchReader(read, self._stacks),
            sampler=self._keys,
            batch_size=None,
            collate_fn=unchanged,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            prefetch_factor=PREFETCHED if num_workers else None,
            worker_init_fn=keep_freed_memory,
            pin_memory=torch.cuda.is_available(),
        )

    def iterate(self, epoch: int, batch: int) -> Iterator[tuple[dict | Exception, list[str]]]:
        """Batches `batch` to the last of an epoch, each with the messages of replaced samples."""
        self._keys.epoch, self._keys.first_batch = epoch, batch
        for values, places, skipped in self._loader:
            yield (self._stacks.lend(values, places) if places else values), skipped


def unchanged(batch):
    """A `collate_fn` for data sets whose items are whole batches."""
    return batch
