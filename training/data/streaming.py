"""Batches from a `HubStream`: each process and worker reads its own shards."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate, get_worker_info

from training.data.batches import FAILURES, unchanged
from training.data.decoding import DataError
from training.data.hub import HubStream

MAX_REPLACEMENTS = 20


@dataclass(eq=False)
class StreamBatches(IterableDataset):
    """Batches of one process; what a batch holds depends on seed, epoch, and the numbers of processes and workers.

    A position is reached by passing over the rows before it without decoding them, so a resumed run sees the rows,
    and the random numbers, that an uninterrupted one would have.
    """

    stream: HubStream
    transform: Callable
    batch_size: int
    seed: int
    num_workers: int
    process_index: int
    num_processes: int
    shuffle: bool
    on_error: str

    def __post_init__(self):
        self.num_batches = self.stream.num_samples // (self.batch_size * self.num_processes)
        self.num_workers = self.stream.num_workers(self.num_workers, self.num_processes)

    def iterate(self, epoch: int, batch: int) -> Iterator[tuple[dict | Exception, list[str]]]:
        """Batches `batch` to the last of an epoch, each with the messages of replaced samples."""
        workers = max(1, self.num_workers)
        self._epoch, self._first_batch = epoch, batch // workers  # of each worker
        loader = DataLoader(
            self, batch_size=None, collate_fn=unchanged, num_workers=self.num_workers,
            prefetch_factor=4 if self.num_workers else None, pin_memory=torch.cuda.is_available(),
        )  # fmt: skip
        # batches go round the workers beginning with the first, so a start in mid-round drops the round's beginning
        yield from islice(loader, batch % workers, batch % workers + self.num_batches - batch)

    def __iter__(self) -> Iterator[tuple[dict | Exception, list[str]]]:
        worker = get_worker_info()
        key = [self.seed, self._epoch, self.process_index, worker.id if worker else 0]
        first = self._first_batch * self.batch_size
        rows = self.stream.rows(self.seed, self._epoch, self.process_index, self.num_processes, self.shuffle)
        ahead: deque[tuple[int, dict]] = deque()  # rows read early to stand in for an unreadable one
        rows = islice(enumerate(rows), first, None)
        places = count(first)
        while True:
            skipped: list[str] = []
            try:
                samples = [
                    self.transform(self._read(rows, ahead, skipped), np.random.default_rng([*key, next(places)]))
                    for _ in range(self.batch_size)
                ]
            except FAILURES as error:  # as a value, as in `WorkerBatches`
                yield error, skipped
                return
            yield default_collate(samples), skipped

    def _read(self, rows: Iterator[tuple[int, dict]], ahead: deque, skipped: list[str]):
        """The next row's sample; in place of an unreadable row, that of the first readable one after it.

        Rows that stand in are read again in their turn, so the number of rows passed never depends on errors.
        """
        index, row = ahead.popleft() if ahead else next(rows)
        try:
            return self.stream.read_row(row, index)
        except DataError as error:
            if self.on_error == "raise":
                raise
            skipped.append(str(error))
        for number in range(MAX_REPLACEMENTS):
            if number == len(ahead):
                ahead.append(next(rows))
            try:
                index, row = ahead[number]
                return self.stream.read_row(row, index)
            except DataError as error:
                skipped.append(str(error))
        raise DataError(f"{skipped[-1]} It is the last of {len(skipped)} unreadable samples in a row; giving up.")
