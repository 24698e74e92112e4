"""Sizes of maps: resizing that also holds in graphs exported for any size."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F


def is_symbolic(*sides: int) -> bool:
    """Whether a graph is being exported in which one of these sides is not fixed."""
    return any(isinstance(side, torch.SymInt) for side in sides)


def resize_map(values: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear resizing of maps `(batch_size, channels, height, width)` to `size`, height and width; no antialiasing.

    A map that has the size comes back as it is. A graph that is exported for any size always resizes: it has no
    branches, and resizing to the same size changes nothing.
    """
    if not is_symbolic(*values.shape[-2:], *size) and tuple(values.shape[-2:]) == tuple(size):
        return values
    return F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)


__all__ = ["is_symbolic", "resize_map"]
