"""Rendered pictures kept in the memory of the device that trains, and cut and recoloured there, a batch at once."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from training.data.batches import Draw
from training.data.readers import DepthSample
from training.data.transforms import ColorAugmentation, TrainTransform, normalize

READERS = 8
"""Threads that read files."""
LUMA = (0.299, 0.587, 0.114)
Size = tuple[int, int]


class PicturesOnDevice:
    """The pictures of a folder that may grow, each read once and kept: 5 bytes a pixel, 0.4 MB for one of 240x320.

    Args:
        list_files: gives the files that are there by (height, width).
        read: gives a file's sample; raises DataError.
    """

    def __init__(
        self,
        list_files: Callable[[], dict[Size, list[Path]]],
        read: Callable[[Path], DepthSample],
        device: torch.device,
    ):
        self.list_files, self.read, self.device = list_files, read, device
        self._pictures: dict[Path, tuple[torch.Tensor, torch.Tensor]] = {}
        self._reading: Future | None = None
        self._reader = ThreadPoolExecutor(1)

    def files(self) -> dict[Size, list[Path]]:
        """Files that were read by now, which the first call waits for; what is new is read for the next call."""
        if self._reading is None:
            self._reading = self._reader.submit(self._read_new)
            self._reading.result()
        elif self._reading.done():
            self._reading.result()
            self._reading = self._reader.submit(self._read_new)
        files: dict[Size, list[Path]] = {}
        for path, (_, depth) in sorted(self._pictures.copy().items()):
            files.setdefault(tuple(depth.shape), []).append(path)
        return files

    def stack(self, paths: list[Path]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images uint8 (b, 3, h, w) and depths float16 (b, h, w) of files of one size."""
        images, depths = zip(*(self._pictures[path] for path in paths), strict=True)
        return torch.stack(images), torch.stack(depths)

    def _read_new(self) -> None:
        new = [path for paths in self.list_files().values() for path in paths if path not in self._pictures]
        with ThreadPoolExecutor(READERS) as readers:
            for path, (image, depth) in zip(new, readers.map(self._tensors, new), strict=True):
                self._pictures[path] = image.to(self.device), depth.to(self.device)

    def _tensors(self, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        sample = self.read(path)
        depth = np.where(sample.valid, sample.depth, 0).astype(np.float16)
        return torch.from_numpy(sample.image).permute(2, 0, 1).contiguous(), torch.from_numpy(depth)


@dataclass(frozen=True)
class DeviceBatches:
    """Batches made on the device, for a GPU that is faster than the processors that would feed it.

    Which pictures a batch has, and its size, are those of `WorkerBatches` with the same `draw`; the augmentation has
    the same ranges and other random numbers.

    Attributes:
        num_batches: of an epoch.
        draw: the keys of an epoch: file, size and seed of each picture of a batch.
    """

    num_batches: int
    draw: Draw
    pictures: PicturesOnDevice
    transform: TrainTransform

    def iterate(self, epoch: int, batch: int) -> Iterator[tuple[dict, list[str]]]:
        """Batches `batch` to the last of an epoch, as `WorkerBatches.iterate`; nothing is ever replaced."""
        keys = self.draw(epoch)
        for number in range(batch, self.num_batches):
            paths, sizes, seeds = zip(*keys(number), strict=True)
            tensors = self.pictures.stack(paths)
            pixel_values, labels = augment(*tensors, sizes[0], self.transform, np.random.default_rng(seeds))
            yield {"pixel_values": pixel_values, "labels": labels, "name": [path.stem for path in paths]}, []


def augment(
    images: torch.Tensor, depths: torch.Tensor, size: Size, transform: TrainTransform, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cuts, flips, rotates and recolours a batch as `transform` says; the image bilinear, the depth by the nearest.

    Args:
        images: uint8 (b, 3, h, w). depths: metres, float (b, h, w), 0 without a label.

    Returns:
        `pixel_values` float32 (b, 3, *size), ImageNet-normalised, and `labels` float32 (b, *size), 0 where the picture
        does not reach.
    """
    matrices = torch.stack([_window(depths.shape[1:], size, transform, rng) for _ in images]).to(images.device)
    grid = F.affine_grid(matrices, [len(images), 3, *size], align_corners=False)
    values = F.grid_sample(images.float() / 255, grid, padding_mode="border", align_corners=False)
    # the nearest of the sampling picks without blending, so that no depth lies between two surfaces
    labels = F.grid_sample(depths[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    if transform.color is not None:
        values = recolor(values, transform.color, rng)
    outside = (grid.abs() > 1).any(-1)
    return normalize(values).masked_fill(outside[:, None], 0.0), labels.masked_fill(outside, 0.0)


def _window(shape: Size, size: Size, transform: TrainTransform, rng: np.random.Generator) -> torch.Tensor:
    """Where the corners of the result lie in the picture: (2, 3), in halves of its sides from its centre."""
    height, width = shape
    scale = min(height / size[0], width / size[1]) * rng.uniform(transform.min_crop, 1)
    share = np.ones(2) if transform.squash else np.array([size[1] * scale / width, size[0] * scale / height])
    centre = rng.uniform(-1, 1, 2) * (1 - share)
    angle = 0.0
    if rng.random() < transform.rotation_probability:
        angle = math.radians(rng.uniform(-transform.max_rotation, transform.max_rotation))
    mirror = -1.0 if rng.random() < transform.flip_probability else 1.0
    cos, sin, aspect = math.cos(angle), math.sin(angle), size[0] / size[1]
    rows = [
        [mirror * share[0] * cos, -mirror * share[0] * sin * aspect, centre[0]],
        [share[1] * sin / aspect, share[1] * cos, centre[1]],
    ]
    return torch.tensor(rows, dtype=torch.float32)


def recolor(values: torch.Tensor, color: ColorAugmentation, rng: np.random.Generator) -> torch.Tensor:
    """`ColorAugmentation` of RGB in [0, 1], float32 (b, 3, h, w)."""
    count = len(values)

    def factors(strength: float) -> torch.Tensor:
        drawn = rng.uniform(1 - strength, 1 + strength, (count, 1, 1, 1)).astype(np.float32)
        return torch.from_numpy(drawn).to(values.device)

    weights = values.new_tensor(LUMA).view(1, 3, 1, 1)
    values = (values * factors(color.brightness)).clamp(0, 1)
    level = (values * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    values = (level + (values - level) * factors(color.contrast)).clamp(0, 1)
    gray = (values * weights).sum(1, keepdim=True)
    saturation = factors(color.saturation)
    saturation[torch.from_numpy(rng.random(count) < color.grayscale).to(values.device)] = 0
    values = (gray + (values - gray) * saturation).clamp(0, 1)
    blurred = np.flatnonzero(rng.random(count) < color.blur)
    if len(blurred):
        values[blurred] = blur(values[blurred], rng.uniform(0.1, 2.0, len(blurred)))
    if color.noise:
        noise = rng.uniform(0, color.noise / 255, (count, 1, 1, 1)).astype(np.float32)
        generator = torch.Generator(values.device).manual_seed(int(rng.integers(2**62)))
        drawn = torch.randn(values.shape, generator=generator, device=values.device)
        values = (values + drawn * torch.from_numpy(noise).to(values.device)).clamp(0, 1)
    return values


def blur(values: torch.Tensor, radii: np.ndarray) -> torch.Tensor:
    """Gaussian blur of (b, c, h, w) with a standard deviation of its own, in pixels, for each of the batch."""
    reach = math.ceil(3 * radii.max())
    offsets = np.arange(-reach, reach + 1)
    kernels = np.exp(-0.5 * (offsets / radii[:, None]) ** 2)
    kernels = torch.from_numpy((kernels / kernels.sum(1, keepdims=True)).astype(np.float32)).to(values.device)
    count, channels, height, width = values.shape
    kernels = kernels.repeat_interleave(channels, 0)[:, None]
    planes = F.pad(values, (reach,) * 4, mode="replicate").view(1, count * channels, height + 2 * reach, -1)
    planes = F.conv2d(planes, kernels[..., None], groups=count * channels)
    return F.conv2d(planes, kernels[:, :, None], groups=count * channels).view(values.shape)
