"""The training loader: shuffling, processes, worker processes, unreadable samples, and resuming at any batch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from training.data.decoding import DataError
from training.data.hub import HubStream
from training.data.readers import DepthSample
from training.data.streaming import MAX_REPLACEMENTS, StreamBatches
from training.data.worker_memory import SharedStacks, keep_freed_memory

Key = tuple[int, int, int]
"""(epoch, place in the epoch, index in the data set)."""
PREFETCHED = 4  # batches of each worker


class _BatchReader(Dataset):
    """Reads, transforms and stacks the samples of the batch with the given keys; works in the worker processes."""

    def __init__(
        self, dataset: Sequence[DepthSample], transform: Callable, seed: int, on_error: str, stacks: SharedStacks
    ):
        self.dataset, self.transform, self.seed, self.on_error = dataset, transform, seed, on_error
        self.stacks = stacks

    def __getitem__(self, request: tuple[int, list[Key]]) -> tuple[dict | DataError, dict, list[str]]:
        iteration, keys = request
        skipped: list[str] = []
        try:
            batch, places = self.stacks.collate([self._sample(*key, skipped) for key in keys], iteration)
            return batch, places, skipped
        except DataError as error:  # as a value: raised in a worker it would come back as a page of traceback
            return error, {}, skipped

    def _sample(self, epoch: int, place: int, index: int, skipped: list[str]) -> dict:
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


class _BatchKeys(Sampler):
    """Keys of the batches of one process, from a position on.

    An object of its own, as with a reference back from the `DataLoader` the two would wait for the garbage collector,
    and in its hands the `DataLoader` takes five seconds for each worker to stop.
    """

    def __init__(
        self, dataset: Sequence[DepthSample], batch_size: int, seed: int, rank: int, num_processes: int, shuffle: bool
    ):
        self.dataset, self.batch_size, self.seed, self.shuffle = dataset, batch_size, seed, shuffle
        self.rank, self.num_processes = rank, num_processes
        self.epoch, self.first_batch, self.iteration = 0, 0, 0

    def __len__(self) -> int:
        return len(self.order(0)) // (self.batch_size * self.num_processes)

    def __iter__(self) -> Iterator[tuple[int, list[Key]]]:
        self.iteration += 1
        epoch, order = self.epoch, self.order(self.epoch)
        for batch in range(self.first_batch, len(order) // (self.batch_size * self.num_processes)):
            start = (batch * self.num_processes + self.rank) * self.batch_size
            keys = [(epoch, place, int(order[place])) for place in range(start, start + self.batch_size)]
            yield self.iteration, keys

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the data set in the order of an epoch, of all processes."""
        if not self.shuffle:
            return np.arange(len(self.dataset))
        if hasattr(self.dataset, "epoch_order"):  # a mixture draws by its weights
            return self.dataset.epoch_order(self.seed, epoch)
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))


class MapBatches:
    """Batches of one process from a map-style data set; the arguments are those of `build_train_loader`."""

    def __init__(
        self,
        dataset: Sequence[DepthSample],
        transform: Callable,
        *,
        batch_size: int,
        seed: int,
        num_workers: int,
        process_index: int,
        num_processes: int,
        shuffle: bool,
        on_error: str,
    ):
        self._keys = _BatchKeys(dataset, batch_size, seed, process_index, num_processes, shuffle)
        self.num_batches = len(self._keys)
        # two stacks a batch, of all batches under way and a few in the consumer's hands
        self._stacks = SharedStacks(num_workers, 2 * (PREFETCHED + 2))
        self._loader = DataLoader(
            _BatchReader(dataset, transform, seed, on_error, self._stacks),
            sampler=self._keys,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            prefetch_factor=PREFETCHED if num_workers else None,
            worker_init_fn=keep_freed_memory,
            pin_memory=torch.cuda.is_available(),
        )

    def iterate(self, epoch: int, batch: int) -> Iterator[tuple[dict | DataError, list[str]]]:
        """Batches `batch` to the last of an epoch, each with the messages of replaced samples."""
        self._keys.epoch, self._keys.first_batch = epoch, batch
        for values, places, skipped in self._loader:
            yield (self._stacks.lend(values, places) if places else values), skipped


def _unchanged(batch):
    return batch


class TrainLoader:
    """Iterates over an epoch's batches of one process, from the position on; then stands at the next epoch's start.

    Attributes:
        epoch, batch: the position: which batch comes next.
        skipped: one sentence for each unreadable sample that another one replaced (`on_error="skip"`).
    """

    def __init__(self, batches: MapBatches | StreamBatches):
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
        """
        for batch, skipped in self._batches.iterate(self.epoch, self.batch):
            self.skipped += skipped
            if isinstance(batch, DataError):
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
    kind = StreamBatches if isinstance(dataset, HubStream) else MapBatches
    batches = kind(
        dataset, transform, batch_size=batch_size, seed=seed, num_workers=num_workers, process_index=process_index,
        num_processes=num_processes, shuffle=shuffle, on_error=on_error,
    )  # fmt: skip
    if batches.num_batches == 0:
        raise DataError(
            f"The data set has fewer samples than one batch of {batch_size * num_processes} "
            f"({num_processes} processes x {batch_size}); use a smaller batch size."
        )
    return TrainLoader(batches)
