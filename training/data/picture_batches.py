"""Batches of rendered pictures, read from folders that `training/scenes/make.py` fills, even while it does."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from training.data.decoding import DataError, naming
from training.data.readers import DepthSample
from training.data.transforms import TrainTransform
from training.scenes.picture_files import list_pictures, read_picture

SKY_METRES = 100.0
"""Depth that labels the sky, so that it is learned as far."""
WIDE_ASPECT = 2.0
Size = tuple[int, int]


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


class _Reader(Dataset):
    def __init__(self, transform: TrainTransform):
        self.transform = transform

    def __getitem__(self, key: tuple[list[Path], Size, list[int]]) -> dict:
        paths, size, seeds = key
        transform = dataclasses.replace(self.transform, size=size)
        samples = [(read_sample(path), np.random.default_rng(seed)) for path, seed in zip(paths, seeds, strict=True)]
        return default_collate([transform(sample, rng) for sample, rng in samples])


class _Keys(Sampler):
    def __init__(self, batches: "PictureBatches"):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[list[Path], Size, list[int]]]:
        batches = self.batches
        files = some_pictures(batches.root)
        for index in range(batches.batch, len(batches)):
            yield batches.draw(files, batches.epoch, index)


def _first(batch):
    return batch


class PictureBatches:
    """
    An endless supply of pictures, cut into epochs, with the interface of `training.data.loader.TrainLoader`.

    Each batch has one of `sizes`, and is cut, flipped, rotated and recoloured by `transform`. A batch is a function of
    the seed, epoch, its number and the files that are there when the epoch begins; processes take contiguous slices.

    Args:
        root: folder of `list_pictures`.
        length: pictures in one epoch.
        sizes: (height, width) of batches; those whose shape is nearest to the pictures' are drawn from.
        batch_size: per process.
        wide_share: share of batches with pictures of at least 2:1, which are streets from a car, where there are any.

    Raises:
        DataError: no pictures. ValueError: an epoch is less than one batch.
    """

    def __init__(
        self,
        root: str | Path,
        length: int,
        sizes: Sequence[Size],
        *,
        batch_size: int,
        transform: TrainTransform,
        wide_share: float = 0.25,
        seed: int = 0,
        num_workers: int = 0,
        process_index: int = 0,
        num_processes: int = 1,
    ):
        some_pictures(root)
        self.root, self.length, self.sizes, self.seed = root, length, list(sizes), seed
        self.batch_size, self.wide_share = batch_size, wide_share
        self.process_index, self.num_processes = process_index, num_processes
        self.epoch, self.batch = 0, 0
        self.skipped: list[str] = []  # TrainLoader has this attribute
        if not len(self):
            raise ValueError(f"an epoch of {length} pictures is less than one batch of {batch_size * num_processes}")
        self._loader = DataLoader(
            _Reader(transform), sampler=_Keys(self), batch_size=None, collate_fn=_first, num_workers=num_workers
        )

    def __len__(self) -> int:
        return self.length // (self.batch_size * self.num_processes)

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """The next iteration starts at `batch` of `epoch`. Raises ValueError where there is no such batch."""
        if epoch < 0 or not 0 <= batch <= len(self):
            raise ValueError(f"No batch {batch} in epoch {epoch}: an epoch has {len(self)} batches, counted from 0.")
        self.epoch, self.batch = epoch, batch

    def draw(self, files: dict[Size, list[Path]], epoch: int, index: int) -> tuple[list[Path], Size, list[int]]:
        """Files of this process's part of a batch, the size they are cut to, and a seed for each."""
        rng = np.random.default_rng([self.seed, epoch, index])
        wide = {size: paths for size, paths in files.items() if size[1] >= WIDE_ASPECT * size[0]}
        usual = {size: paths for size, paths in files.items() if size not in wide}
        pool = (wide if rng.random() < self.wide_share else usual) or files
        counts = np.array([len(paths) for paths in pool.values()], float)
        height, width = list(pool)[rng.choice(len(pool), p=counts / counts.sum())]
        stretch = {size: abs(math.log2(size[1] * height / (size[0] * width))) for size in self.sizes}
        fitting = [size for size in self.sizes if stretch[size] <= max(0.6, min(stretch.values()))]
        size = fitting[rng.integers(len(fitting))]
        count = self.batch_size * self.num_processes
        paths = pool[height, width]
        chosen = rng.choice(len(paths), count, replace=len(paths) < count)
        seeds = rng.integers(2**62, size=count)
        part = slice(self.process_index * self.batch_size, (self.process_index + 1) * self.batch_size)
        return [paths[each] for each in chosen[part]], size, seeds[part].tolist()

    def __iter__(self) -> Iterator[dict]:
        """Yields dicts of `pixel_values` float32 (b, 3, h, w), ImageNet-normalised, `labels` float32 (b, h, w), planar
        depth in metres, and `name` (list of b strings)."""
        for batch in self._loader:
            self.batch += 1  # before the yield, so that the position is right wherever the caller stops
            yield batch
        self.epoch, self.batch = self.epoch + 1, 0
