"""How far an exported file is from the model in PyTorch, at sizes that it was not traced with."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from .export_formats import Runner

LIMITS = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.5, "int8-static": 0.5}
"""Largest difference, relative to the prediction's largest value, with which a file of each precision is kept."""


def check_sizes(patch: int, native: int | None = None) -> list[tuple[int, int, int]]:
    """
    Batch size, height and width of the comparisons: squares and not, odd patch grids, sides off the patch grid.

    Args:
        patch: the encoder's patch size.
        native: side of the square that the encoder's position embedding was made for, where there is one.
    """
    sizes = [(1, 4, 4), (3, 5, 7), (1, 9, 6), (3, 7, 3)]
    pixels = [(batch, rows * patch, columns * patch) for batch, rows, columns in sizes]
    pixels.append((1, 8 * patch + 3, 5 * patch - 1))
    return pixels + ([(1, native, native)] if native else [])


def sample_images(photo: np.ndarray, size: tuple[int, int, int], description: dict[str, Any]) -> torch.Tensor:
    """`pixel_values` of a batch: the photograph `(H, W, 3)` uint8, then mirrored, then upside down."""
    batch, height, width = size
    image = torch.from_numpy(photo).permute(2, 0, 1).float()[None] * description["input"]["rescale_factor"]
    image = F.interpolate(image, size=(height, width), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(description["input"][name])[:, None, None] for name in ("image_mean", "image_std"))
    image = (image - mean) / std
    return torch.cat([image, image.flip(-1), image.flip(-2)][:batch])


@torch.inference_mode()
def compare(
    model: torch.nn.Module,
    runner: Runner,
    photo: np.ndarray,
    sizes: list[tuple[int, int, int]],
    description: dict[str, Any],
) -> list[dict[str, Any]]:
    """
    Differences between an exported file and the model, for each size.

    Args:
        model: in float32, in eval mode.
        runner: the opened file.
        photo: `(H, W, 3)` uint8.
        sizes: batch size, height and width each.
        description: the file's own.

    Returns:
        For each size a dictionary: `size`, and `max_error` and `mean_error`, absolute differences divided by the
        largest absolute value of the model's prediction.

    Raises:
        ValueError: the file's output has another shape, or is not finite.
    """
    errors = []
    for size in sizes:
        pixel_values = sample_images(photo, size, description)
        expected = model(pixel_values).predicted_depth
        actual = runner(pixel_values)
        if actual.shape != expected.shape or actual.dtype != expected.dtype:
            raise ValueError(
                f"for an input of {tuple(pixel_values.shape)} it gives {tuple(actual.shape)} {actual.dtype}, the "
                f"model {tuple(expected.shape)} {expected.dtype}"
            )
        if not actual.isfinite().all():
            raise ValueError(f"for an input of {tuple(pixel_values.shape)} it gives values that are not finite")
        difference = (actual - expected).abs() / expected.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        errors.append(
            {"size": list(size), "max_error": difference.max().item(), "mean_error": difference.mean().item()}
        )
    return errors
