"""The training loader: shuffling, processes, worker processes, unreadable samples, and resuming at any batch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from training.data.decoding import DataError
from training.data.readers import DepthSample

MAX_REPLACEMENTS = 20


def epoch_order(dataset: Sequence, seed: int, epoch: int, shuffle: bool) -> np.ndarray:
    """Indices of `dataset` in the order of an epoch; a mixture gives its own, by its `epoch_order(seed, epoch)`."""
    if shuffle and hasattr(dataset, "epoch_order"):
        return dataset.epoch_order(seed, epoch)
    return np.random.default_rng([seed, epoch]).permutation(len(dataset)) if shuffle else np.arange(len(dataset))


class _Batches(Dataset):
    """Reads, transforms and stacks the samples of one batch; the key of a sample is (epoch, place in epoch, index)."""

    def __init__(self, dataset: Sequence[DepthSample], transform: Callable, seed: int, on_error: str):
        self.dataset, self.transform, self.seed, self.on_error = dataset, transform, seed, on_error

    def __getitem__(self, keys: list[tuple[int, int, int]]) -> tuple[dict | DataError, list[str]]:
        skipped: list[str] = []
        try:
            return default_collate([self._sample(*key, skipped) for key in keys]), skipped
        except DataError as error:  # as a value: raised in a worker it would come back as a page of traceback
            return error, skipped

    def _sample(self, epoch: int, place: int, index: int, skipped: list[str]) -> dict:
        for attempt in range(MAX_REPLACEMENTS + 1):
            rng = np.random.default_rng([self.seed, epoch, place, attempt])
            try:
                sample = self.dataset[index]
                break
            except DataError as error:
                if self.on_error == "raise":
                    raise
                skipped.append(str(error))
                index = int(rng.integers(len(self.dataset)))
        else:
            raise DataError(f"{skipped[-1]} It is the last of {len(skipped)} unreadable samples in a row; giving up.")
        return self.transform(sample, rng)


class _ProcessSlices(Sampler):
    """Keys of the batches of one process from a position on; slices of the global batch, process by process."""

    def __init__(self, dataset: Sequence, loader: "TrainLoader"):
        self.dataset, self.loader = dataset, loader

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        loader = self.loader
        epoch = loader.epoch
        order = epoch_order(self.dataset, loader.seed, epoch, loader.shuffle)
        for batch in range(loader.batch, len(loader)):
            start = (batch * loader.num_processes + loader.process_index) * loader.batch_size
            yield [(epoch, place, int(order[place])) for place in range(start, start + loader.batch_size)]


class TrainLoader:
    """Iterates over one epoch's batches of one process from `position` on, then stands at the next epoch's start.

    Attributes:
        epoch, batch: the position: what the next batch will be.
        skipped: one sentence for each sample that could not be read and was replaced, with `on_error="skip"`.
    """

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
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.process_index, self.num_processes = process_index, num_processes
        self.epoch, self.batch = 0, 0
        self.skipped: list[str] = []
        self._num_batches = len(epoch_order(dataset, seed, 0, shuffle)) // (batch_size * num_processes)
        if self._num_batches == 0:
            raise DataError(
                f"The data set has {len(dataset)} samples, fewer than one batch of {batch_size * num_processes} "
                f"({num_processes} processes x {batch_size}); use a smaller batch size."
            )
        self._loader = DataLoader(
            _Batches(dataset, transform, seed, on_error),
            sampler=_ProcessSlices(dataset, self),
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            prefetch_factor=4 if num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def __len__(self) -> int:
        """Batches of one epoch for this process; an incomplete last global batch is dropped."""
        return self._num_batches

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """The next iteration starts at `batch` of `epoch`; nothing before it is read."""
        if epoch < 0 or not 0 <= batch <= len(self):
            raise ValueError(f"No batch {batch} in epoch {epoch}: an epoch has {len(self)} batches, counted from 0.")
        self.epoch, self.batch = epoch, batch

    def __iter__(self) -> Iterator[dict]:
        """Yields dicts of `pixel_values` (b, 3, h, w), `labels` (b, h, w) and `name` (list of b strings).

        Raises:
            DataError: a sample cannot be read (`on_error="raise"`), or too many in a row cannot.
        """
        for batch, skipped in self._loader:
            self.skipped += skipped
            if isinstance(batch, DataError):
                raise batch
            self.batch += 1
            yield batch
        self.epoch, self.batch = self.epoch + 1, 0


def _unchanged(batch):
    return batch


def build_train_loader(
    dataset: Sequence[DepthSample],
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
    sees, and neither the number of workers nor a resume changes a pixel.

    Args:
        dataset: map-style, from `open_dataset` or any object with `__len__` and `__getitem__(index) -> DepthSample`.
        transform: `(sample, numpy Generator) -> dict`, e.g. `TrainTransform`.
        batch_size: per process.
        num_workers: reading processes per process; 0 reads in this one.
        on_error: `"raise"` stops at an unreadable sample; `"skip"` puts another one, drawn by (seed, epoch, place), in
            its place and notes the message in `loader.skipped`.

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
    return TrainLoader(
        dataset,
        transform,
        batch_size=batch_size,
        seed=seed,
        num_workers=num_workers,
        process_index=process_index,
        num_processes=num_processes,
        shuffle=shuffle,
        on_error=on_error,
    )
