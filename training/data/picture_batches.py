"""Batches of rendered pictures, read from folders that `training/scenes/make.py` fills, even while it does."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from training.data.batches import WorkerBatches
from training.data.decoding import DataError, naming
from training.data.device_pictures import DeviceBatches, PicturesOnDevice, Size
from training.data.loader import TrainLoader
from training.data.readers import DepthSample
from training.data.transforms import TrainTransform
from training.scenes.picture_files import list_pictures, read_picture

SKY_METRES = 100.0
"""Depth that labels the sky, so that it is learned as far."""
WIDE_ASPECT = 2.0
Key = tuple[Path, Size, int]
"""A picture, the size it is cut to, and the seed of its augmentation."""


def some_pictures(root: str | Path) -> dict[Size, list[Path]]:
    """`list_pictures`, at least one. Raises DataError if there are none."""
    files = list_pictures(root)
    if not files:
        raise DataError(f"{root}: no pictures; python -m training.scenes.make --output {root} renders some.")
    return files


def read_sample(path: Path) -> DepthSample:
    """A picture whose sky is labelled with `SKY_METRES`. Raises DataError for a damaged file."""
    with naming(path):
        image, depth = read_picture(path)
    depth = np.where(depth > 0, depth, np.float32(SKY_METRES))
    return DepthSample(image, depth, depth > 0, True, path.stem)


def _read(transform: TrainTransform, key: Key, skipped: list[str]) -> dict:
    path, size, seed = key
    return dataclasses.replace(transform, size=size)(read_sample(path), np.random.default_rng(seed))


@dataclasses.dataclass(frozen=True)
class _Draw:
    """Draws the keys of an epoch's batches of one process, of the `files` that are there when it begins."""

    files: Callable[[], dict[Size, list[Path]]]
    sizes: Sequence[Size]
    batch_size: int
    wide_share: float
    seed: int
    process_index: int
    num_processes: int

    def __call__(self, epoch: int) -> Callable[[int], list[Key]]:
        files = self.files()
        wide = {size: paths for size, paths in files.items() if size[1] >= WIDE_ASPECT * size[0]}
        usual = {size: paths for size, paths in files.items() if size not in wide}

        def keys(batch: int) -> list[Key]:
            rng = np.random.default_rng([self.seed, epoch, batch])
            return self._batch((wide if rng.random() < self.wide_share else usual) or files, rng)

        return keys

    def _batch(self, pool: dict[Size, list[Path]], rng: np.random.Generator) -> list[Key]:
        """This process's part of a batch of pictures of one size, all cut to one of `sizes` of about their shape."""
        counts = np.array([len(paths) for paths in pool.values()], float)
        height, width = list(pool)[rng.choice(len(pool), p=counts / counts.sum())]
        stretch = {size: abs(math.log2(size[1] * height / (size[0] * width))) for size in self.sizes}
        fitting = [size for size in self.sizes if stretch[size] <= max(0.6, min(stretch.values()))]
        size = fitting[rng.integers(len(fitting))]
        count = self.batch_size * self.num_processes
        paths = pool[height, width]
        chosen = rng.choice(len(paths), count, replace=len(paths) < count)
        seeds = rng.integers(2**62, size=count).tolist()
        part = range(self.process_index * self.batch_size, (self.process_index + 1) * self.batch_size)
        return [(paths[chosen[place]], size, seeds[place]) for place in part]


def build_picture_loader(
    root: str | Path,
    length: int,
    sizes: Sequence[Size],
    transform: TrainTransform,
    *,
    batch_size: int,
    wide_share: float = 0.25,
    seed: int = 0,
    num_workers: int = 0,
    process_index: int = 0,
    num_processes: int = 1,
    device: torch.device | None = None,
) -> TrainLoader:
    """
    An endless supply of pictures, cut into epochs.

    Each batch has one of `sizes`, and is cut, flipped, rotated and recoloured by `transform`. A batch is a function of
    the seed, epoch, its number and the files that are there when the epoch begins; processes take contiguous slices.

    Args:
        length: pictures in one epoch.
        sizes: (height, width) of batches; those whose shape is nearest to the pictures' are drawn from.
        batch_size: per process.
        wide_share: share of batches with pictures of at least 2:1, which are streets from a car, where there are any.
        device: which keeps the pictures and augments them itself (see `PicturesOnDevice`); `num_workers` is not used.

    Raises:
        DataError: no pictures. ValueError: an epoch is less than one batch.
    """
    some_pictures(root)
    num_batches = length // (batch_size * num_processes)
    if not num_batches:
        raise ValueError(f"an epoch of {length} pictures is less than one batch of {batch_size * num_processes}")
    pictures = PicturesOnDevice(partial(some_pictures, root), read_sample, device) if device else None
    files = pictures.files if pictures else partial(some_pictures, root)
    draw = _Draw(files, list(sizes), batch_size, wide_share, seed, process_index, num_processes)
    if pictures:
        return TrainLoader(DeviceBatches(num_batches, draw, pictures, transform))
    return TrainLoader(WorkerBatches(num_batches, draw, partial(_read, transform), num_workers))
