"""The training loader: shuffling, processes, worker processes, unreadable samples, and resuming at any batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.batches import WorkerBatches
from training.data.decoding import DataError
from training.data.hub import HubStream
from training.data.readers import DepthSample
from training.data.streaming import MAX_REPLACEMENTS, StreamBatches

Key = tuple[int, int, int]
"""(epoch, place in the epoch, index in the data set)."""


@dataclass(frozen=True)
class _Reader:
    """Reads and transforms the sample with the given key, or another in its place; works in the worker processes."""

    dataset: Sequence[DepthSample]
    transform: Callable
    seed: int
    on_error: str

    def __call__(self, key: Key, skipped: list[str]) -> dict:
        epoch, place, index = key
        for attempt in range(MAX_REPLACEMENTS + 1):
            rng = np.random.default_rng([self.seed, epoch, place, attempt])
            try:
                return self.transform(self.dataset[index], rng)
            except DataError as error:
                if self.on_error == "raise":
                    raise
                skipped.append(str(error))
                index = int(rng.integers(len(self.dataset)))
        raise DataError(f"{skipped[-1]} It is the last of {len(skipped)} unreadable samples in a row; giving up.")


@dataclass(frozen=True)
class _Order:
    """Draws the keys of an epoch's batches of one process."""

    dataset: Sequence[DepthSample]
    batch_size: int
    seed: int
    rank: int
    num_processes: int
    shuffle: bool

    def __call__(self, epoch: int) -> Callable[[int], list[Key]]:
        order = self.indices(epoch)

        def key(batch: int) -> list[Key]:
            start = (batch * self.num_processes + self.rank) * self.batch_size
            return [(epoch, place, int(order[place])) for place in range(start, start + self.batch_size)]

        return key

    def indices(self, epoch: int) -> np.ndarray:
        """Indices of the data set in the order of an epoch, of all processes."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        if hasattr(self.dataset, "epoch_order"):  # a mixture draws by its weights
            return self.dataset.epoch_order(self.seed, epoch)
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))


class TrainLoader:
    """Iterates over an epoch's batches of one process, from the position on; then stands at the next epoch's start.

    Attributes:
        epoch, batch: the position: which batch comes next.
        skipped: one sentence for each unreadable sample that another one replaced (`on_error="skip"`).
    """

    def __init__(self, batches: WorkerBatches | StreamBatches):
        self._batches = batches
        self.epoch, self.batch = 0, 0
        self.skipped: list[str] = []

    def __len__(self) -> int:
        """Batches of a whole epoch for this process; an incomplete last global batch is dropped."""
        return self._batches.num_batches

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """The next iteration starts at `batch` of `epoch`; no sample before it is decoded.

        Raises:
            ValueError: there is no such batch.
        """
        if epoch < 0 or not 0 <= batch <= len(self):
            raise ValueError(f"No batch {batch} in epoch {epoch}: an epoch has {len(self)} batches, counted from 0.")
        self.epoch, self.batch = epoch, batch

    def __iter__(self) -> Iterator[dict]:
        """Yields dicts of `pixel_values` (b, 3, h, w), `labels` (b, h, w) and `name` (list of b strings).

        Raises:
            DataError: a sample cannot be read (`on_error="raise"`), or too many in a row cannot.
            ImportError: the package that reads them is missing.
        """
        for batch, skipped in self._batches.iterate(self.epoch, self.batch):
            self.skipped += skipped
            if isinstance(batch, Exception):
                error, batch = batch, None
                try:
                    raise error
                finally:
                    del error  # a cycle with its own traceback would keep the workers until garbage is collected
            self.batch += 1  # before the yield, so that the position is right wherever the caller stops
            yield batch
        self.epoch, self.batch = self.epoch + 1, 0


def build_train_loader(
    dataset: Sequence[DepthSample] | HubStream,
    transform: Callable,
    *,
    batch_size: int,
    seed: int = 0,
    num_workers: int = 0,
    process_index: int = 0,
    num_processes: int = 1,
    shuffle: bool = True,
    on_error: str = "raise",
) -> TrainLoader:
    """Builds the loader of one process.

    What a batch holds depends on (`seed`, epoch, batch) and on `batch_size * num_processes` only: global batch k is
    cut into `num_processes` contiguous slices, so 2 processes with batches of b see what 1 process with batches of 2b
    sees, and neither the number of workers nor a resume changes a pixel. Streams are cut by shards instead: there a
    batch depends on the numbers of processes and workers too, and a resume is exact while they stay the same.

    Args:
        dataset: from `open_dataset`, or any object with `__len__` and `__getitem__(index) -> DepthSample`.
        transform: `(sample, numpy Generator) -> dict`, e.g. `TrainTransform`.
        batch_size: per process.
        num_workers: reading processes per process; 0 reads in this one.
        on_error: `"raise"` stops at an unreadable sample; `"skip"` puts another one in its place, the same in every
            run, and notes the message in `loader.skipped`.

    Raises:
        DataError: the data set has fewer samples than one global batch.
        ValueError: a bad option.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}.")
    if batch_size < 1 or not 0 <= process_index < num_processes or num_workers < 0:
        raise ValueError(
            f"Bad loader options: batch_size={batch_size}, num_workers={num_workers}, "
            f"process_index={process_index}, num_processes={num_processes}."
        )
    if isinstance(dataset, HubStream):
        place = process_index, num_processes
        batches = StreamBatches(dataset, transform, batch_size, seed, num_workers, *place, shuffle, on_error)
    else:
        order = _Order(dataset, batch_size, seed, process_index, num_processes, shuffle)
        read = _Reader(dataset, transform, seed, on_error)
        num_batches = len(order.indices(0)) // (batch_size * num_processes)
        batches = WorkerBatches(num_batches, order, read, num_workers)
    if batches.num_batches == 0:
        raise DataError(
            f"The data set has fewer samples than one batch of {batch_size * num_processes} "
            f"({num_processes} processes x {batch_size}); use a smaller batch size."
        )
    return TrainLoader(batches)
