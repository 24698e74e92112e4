"""Training transforms: image and depth together, uint8 as long as possible, depth and mask by nearest neighbour."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch.nn import functional as F
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from anydepth_hf.image_processing_anydepth import resize_image
from training.data.readers import DepthSample

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))


def normalize(values: torch.Tensor) -> torch.Tensor:
    """RGB in [0, 1], float32 (..., 3, h, w), less ImageNet's mean and divided by its standard deviation."""
    return (values - MEAN.to(values.device)) / STD.to(values.device)


@dataclass(frozen=True)
class ColorAugmentation:
    """Photometric augmentation of a uint8 image; each part is drawn separately, 0 turns it off.

    Attributes:
        brightness, contrast, saturation: the factor is uniform in [1 - value, 1 + value].
        grayscale: probability of removing all colour.
        blur: probability of a Gaussian blur with a radius uniform in [0.1, 2] pixels.
        noise: largest standard deviation of additive Gaussian noise, in 8-bit steps.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    grayscale: float = 0.05
    blur: float = 0.1
    noise: float = 4.0

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """uint8 (H, W, 3) to uint8 (H, W, 3)."""
        picture = Image.fromarray(image)
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for enhancer, strength in zip(enhancers, (self.brightness, self.contrast, self.saturation), strict=True):
            if strength:
                picture = enhancer(picture).enhance(rng.uniform(1 - strength, 1 + strength))
        if rng.random() < self.grayscale:
            picture = picture.convert("L").convert("RGB")
        if rng.random() < self.blur:
            picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
        array = np.asarray(picture)
        if self.noise:
            noise = rng.standard_normal(array.shape, dtype=np.float32) * np.float32(rng.uniform(0, self.noise))
            array = (array + noise).round().clip(0, 255).astype(np.uint8)
        return array


@dataclass(frozen=True)
class TrainTransform:
    """Crops, resizes, flips and rotates a sample and normalises its image.

    The short side is brought to `size` and a random window of `size` taken, the Depth Anything V2 rule. The window is
    cut from the source first, at a whole pixel, and only it is resized: same scale and antialiasing as resizing all
    and cropping, without the work outside the window.

    Attributes:
        size: side of the square result, or (height, width).
        squash: resize the whole image to `size`, aspect ratio lost, instead of cropping.
        min_crop: smallest window, as a share of the sides of the largest that fits; the share is uniform in
            [min_crop, 1]. 1, as in the paper, always takes the largest.
        flip_probability: of mirroring left and right.
        rotation_probability, max_rotation: rotation by a uniform angle within +-`max_rotation` degrees; corners that
            the image does not reach get the mean colour and no label.
        color: photometric augmentation, off by default as in the paper.
    """

    size: int | tuple[int, int] = 768
    squash: bool = False
    min_crop: float = 1.0
    flip_probability: float = 0.5
    rotation_probability: float = 0.5
    max_rotation: float = 2.5
    color: ColorAugmentation | None = None

    def __call__(self, sample: DepthSample, rng: np.random.Generator) -> dict[str, torch.Tensor | str]:
        """Transforms a sample of any size; smaller ones are enlarged.

        Returns:
            `pixel_values` float32 (3, h, w), ImageNet-normalised; `labels` float32 (h, w), depth with 0 for "no
            label"; `name`.
        """
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        window = ... if self.squash else self._window(sample.depth.shape, size, rng)
        pixels = torch.from_numpy(np.require(sample.image[window], requirements="W")).permute(2, 0, 1)
        depth = np.where(sample.valid[window], sample.depth[window], np.float32(0))
        if rng.random() < self.flip_probability:
            pixels, depth = pixels.flip(-1), depth[:, ::-1]  # torch reverses bytes ten times faster than numpy
        pixels = resize_image(pixels, size)
        labels = torch.from_numpy(np.ascontiguousarray(resize_nearest(depth, size)))
        if self.color is not None:
            pixels = torch.from_numpy(self.color(pixels.permute(1, 2, 0).numpy(), rng)).permute(2, 0, 1)
        values = _normalize_bytes(pixels)
        if rng.random() < self.rotation_probability:
            values, labels = rotate(values, labels, rng.uniform(-self.max_rotation, self.max_rotation))
        return {"pixel_values": values, "labels": labels, "name": sample.name}

    def _window(self, shape: tuple[int, int], size: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice]:
        """The part of the source that becomes the result: a window with the aspect ratio of `size`."""
        scale = max(target / side for target, side in zip(size, shape, strict=True))
        if self.min_crop < 1:
            scale /= rng.uniform(self.min_crop, 1)
        slices = []
        for side, target in zip(shape, size, strict=True):
            length = min(side, max(1, round(target / scale)))
            start = rng.integers(side - length + 1)
            slices.append(slice(start, start + length))
        return tuple(slices)


def _normalize_bytes(pixels: torch.Tensor) -> torch.Tensor:
    """`normalize` of uint8 (3, h, w) of any strides, a few rows at a time that stay in the cache."""
    values = torch.empty(pixels.shape)
    for source, result in zip(pixels.split(32, dim=1), values.split(32, dim=1), strict=True):
        result.copy_(source).mul_(1 / (255 * STD)).add_(-MEAN / STD)
    return values


def resize_nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Takes for each pixel of the result the source pixel its centre falls into; (H, W) to `size`."""
    if array.shape == tuple(size):
        return array
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, array.shape, strict=True))
    return array.take(rows, axis=0).take(columns, axis=1)


def rotate(pixels: torch.Tensor, labels: torch.Tensor, degrees: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotates about the centre, counter-clockwise, size kept; the image bilinear, the labels nearest.

    Args:
        pixels: normalised image, float32 (3, H, W).
        labels: float32 (H, W).

    Returns:
        Both rotated, with 0 where the source does not reach: ImageNet's mean colour, and no label.
    """
    height, width = labels.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # where each pixel comes from, from the centre, in units of half the image: x + iy, one addition a pixel
    rows = (torch.arange(height) - (height - 1) / 2)[:, None] * complex(-2 * sin / width, 2 * cos / height)
    columns = (torch.arange(width) - (width - 1) / 2) * complex(2 * cos / width, 2 * sin / height)
    grid = torch.view_as_real(rows + columns)[None]
    # "border", as zeros would darken the pixels along the edge, which have labels
    pixels = F.grid_sample(pixels[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    labels = F.grid_sample(labels[None, None], grid, mode="nearest", padding_mode="zeros", align_corners=False)[0, 0]
    # what the source does not reach lies in margins whose inner corners are just reached
    cos, sin = abs(cos), abs(sin)
    margin = math.ceil(max(width * sin + height * (cos - 1), height * sin + width * (cos - 1)) / (2 * (cos + sin)))
    for band in (np.s_[:margin], np.s_[height - margin :], np.s_[:, :margin], np.s_[:, width - margin :]):
        pixels.permute(1, 2, 0)[band] *= (grid[0][band].abs() <= 1).all(-1, keepdim=True)
    return pixels, labels
