"""The alignment behind published numbers: Marigold's and Lotus's least squares over one map.

Sources: prs-eth/Marigold (`src/util/alignment.py`) and EnVision-Research/Lotus (`evaluation/`). Arrays and tensors are
taken, everything stays on the tensor's device, and sums are in float64. For metres, see `alignment.fit`.
"""

import numpy as np
import torch
import torch.nn.functional as F

from .alignment_spaces import as_tensor, clip_depth, resize_map, to_depth
from .linear_fit import fit_line

ALIGNMENTS = ("disparity", "depth", None)


def fit_scale_and_shift(prediction, target) -> tuple[float, float]:
    """Least squares: the (scale, shift) that minimise `sum((scale * prediction + shift - target) ** 2)`.

    Arrays or tensors of equal shape, any number of dimensions, in the same space (both disparity or both depth).
    A constant prediction has many solutions: the one of least norm is returned, as `numpy.linalg.lstsq` does.

    Raises:
        ValueError: if they are empty or of unequal shapes.
    """
    prediction, target = as_tensor(prediction), as_tensor(target)
    if prediction.shape != target.shape or prediction.numel() == 0:
        raise ValueError(
            "a fit of scale and shift needs as many predictions as targets, and at least one: got shapes "
            f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    return tuple(fit_line(prediction.flatten(), target.to(prediction.device).flatten()).tolist())


def align(
    prediction,
    depth,
    valid=None,
    alignment: str | None = "disparity",
    min_depth: float | None = None,
    max_depth: float | None = None,
    alignment_max_resolution: int | None = None,
):
    """The prediction as depth in the units of `depth`, by the least squares fit that benchmarks make.

    A few known points suffice: give a `depth` map that is zero everywhere else. Arguments as in `align_maps`.

    Returns:
        (H, W) depth of the prediction's kind (array or tensor), in its float type.
    """
    aligned, _, _ = align_maps(prediction, depth, valid, alignment, min_depth, max_depth, alignment_max_resolution)
    return aligned.numpy() if isinstance(prediction, np.ndarray) else aligned


def align_maps(
    prediction,
    depth,
    valid=None,
    alignment: str | None = "disparity",
    min_depth: float | None = None,
    max_depth: float | None = None,
    alignment_max_resolution: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Marigold's and Lotus's alignment (prs-eth/Marigold `src/util/alignment.py`), the one of the published numbers.

    Args:
        prediction: (h, w) array or tensor; disparity when `alignment` is `"disparity"`, else depth. Another size than
            the ground truth's is resized to it first: bilinear, `align_corners=False`, antialiased when shrinking.
        depth: (H, W) ground-truth depth.
        valid: (H, W) bool; every pixel of finite, positive depth by default.
        alignment: the space in which scale and shift are fitted by least squares: `"disparity"`, `"depth"`, or `None`
            for none (metric depth).
        min_depth, max_depth: the aligned prediction is clipped to this range.
        alignment_max_resolution: fit on every n-th column only, where a side is longer than this (ETH3D: 1024).

    Returns:
        (aligned depth, ground-truth depth, valid) as (H, W) tensors of one device and float type.

    Raises:
        ValueError: an unknown alignment, arrays that are not maps, unequal shapes of `depth` and `valid`, or a
            prediction that is not finite at a valid pixel.
    """
    if alignment not in ALIGNMENTS:
        raise ValueError(f'alignment must be "disparity", "depth" or None, not {alignment!r}')
    prediction, depth = as_tensor(prediction), as_tensor(depth)
    dtype = torch.promote_types(prediction.dtype, depth.dtype)
    prediction, depth = prediction.to(dtype), depth.to(prediction.device, dtype)
    usable = depth.isfinite() & (depth > 0)
    valid = usable if valid is None else as_tensor(valid).to(depth.device).bool()
    if prediction.ndim != 2 or depth.ndim != 2 or valid.shape != depth.shape:
        raise ValueError(
            "prediction, depth and valid must be maps, the last two of one size: got shapes "
            f"{tuple(prediction.shape)}, {tuple(depth.shape)} and {tuple(valid.shape)}"
        )
    valid = valid & usable
    if prediction.shape != depth.shape:
        prediction = resize_map(prediction, depth.shape)
    broken = (valid & ~prediction.isfinite()).sum().item()
    if broken:
        raise ValueError(f"the prediction is NaN or infinite at {broken} valid pixels")

    aligned = prediction
    if alignment is not None:
        target = 1 / depth if alignment == "disparity" else depth
        fitted = valid & (prediction > 0) if alignment == "disparity" else valid
        scale, shift = _fit_maps(prediction, target, fitted, alignment_max_resolution)
        aligned = to_depth(prediction, scale, shift, alignment, alignment)
    return clip_depth(aligned, min_depth, max_depth), depth, valid


def _fit_maps(prediction, target, mask, max_resolution):
    """Scale and shift over `mask`, rounded to the maps' own float type as `numpy.linalg.lstsq` rounds them."""
    maps = (prediction[mask], target[mask])
    # Marigold's downsampler takes a map for (1, rows, columns) of a 1-D signal: it drops columns and keeps every row.
    factor = 1 if max_resolution is None else min(max_resolution / side for side in mask.shape)
    if factor < 1:
        small, small_target, small_mask = (
            F.interpolate(values[None], scale_factor=factor, mode="nearest")[0]
            for values in (prediction, target, mask.to(prediction.dtype))
        )
        if small_mask.any():  # sparse ground truth can fall between the samples: then the full maps are fitted
            maps = (small[small_mask > 0], small_target[small_mask > 0])
    if maps[0].numel() == 0:  # nothing positive was predicted: zero disparity, so the far limit everywhere
        return prediction.new_zeros(2)
    return fit_line(*maps).to(prediction.dtype)
