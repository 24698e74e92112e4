"""The spaces in which scale and shift are linear, and the way from each of them to depth."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

SPACES = ("disparity", "depth", "log")
DISPARITY_FLOOR = 1e-3  # aligned disparity below this (depth beyond 1000) is raised to it before inversion
DEPTH_FLOOR = 1e-6  # logarithms and inverses need positive depth


def as_tensor(values) -> torch.Tensor:
    """A float32 or float64 tensor, on the device where `values` lie if that one has float64, else on the CPU."""
    if isinstance(values, np.ndarray):
        # torch takes neither foreign byte order nor negative strides, and warns about read-only arrays
        double = values.dtype.kind == "f" and values.dtype.itemsize == 8
        values = np.require(values, np.float64 if double else np.float32, ["C", "W"])
    tensor = torch.as_tensor(values).detach()
    if tensor.device.type == "mps":
        tensor = tensor.cpu()
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def check_space(space: str, prediction_type: str) -> None:
    """Raises ValueError unless a prediction of this type can be aligned in this space."""
    if space not in SPACES:
        raise ValueError(f'The space must be "disparity", "depth" or "log", not {space!r}.')
    if prediction_type not in SPACES[:2]:
        raise ValueError(f'A prediction is "disparity" or "depth", not {prediction_type!r}.')
    if space != "log" and space != prediction_type:
        raise ValueError(f'A prediction of {prediction_type} is aligned in "{prediction_type}" or "log" space.')


def to_depth(prediction: torch.Tensor, scale, shift, space: str, prediction_type: str) -> torch.Tensor:
    """Depth of a prediction, by scale and shift in a space; disparity is raised to the floor before inversion."""
    if space == "log":
        aligned = (prediction.clamp(min=torch.finfo(prediction.dtype).tiny).log() * scale + shift).exp()
    else:
        aligned = prediction * scale + shift
    return 1 / aligned.clamp(min=DISPARITY_FLOOR) if prediction_type == "disparity" else aligned


def clip_depth(depth: torch.Tensor, min_depth: float | None, max_depth: float | None) -> torch.Tensor:
    """Depth within the limits, if any, and above zero."""
    if min_depth is not None or max_depth is not None:
        depth = depth.clamp(min_depth, max_depth)
    return depth.clamp(min=DEPTH_FLOOR)


def resize_map(prediction: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """A map (h, w) at another size (height, width): bilinear, `align_corners=False`, antialiased when shrinking."""
    return F.interpolate(prediction[None, None], size=tuple(size), mode="bilinear", antialias=True)[0, 0]
