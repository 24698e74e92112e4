"""Depth metrics after a per-image scale-and-shift alignment, as Marigold and Lotus compute them.

Sources: prs-eth/Marigold (`src/util/alignment.py`, `src/util/metric.py`) and EnVision-Research/Lotus (`evaluation/`).
Everything here takes NumPy arrays or tensors, stays on the tensor's device and sums in float64.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "delta1", "delta2", "delta3", "i_rmse", "silog")
ALIGNMENTS = ("disparity", "depth", None)
DISPARITY_FLOOR = 1e-3  # aligned disparity below this (depth beyond 1000) is raised to it before inversion
DEPTH_FLOOR = 1e-6  # the logarithms and inverses of the metrics need positive depth


def evaluate_depth(
    prediction,
    depth,
    valid,
    alignment: str | None,
    min_depth: float | None = None,
    max_depth: float | None = None,
    alignment_max_resolution: int | None = None,
) -> dict[str, float] | None:
    """Metrics of one predicted map against ground-truth depth.

    Args:
        prediction: (h, w) array or tensor; disparity when `alignment` is `"disparity"`, else depth. Another size than
            the ground truth's is resized to it first: bilinear, `align_corners=False`, antialiased when shrinking.
        depth: (H, W) ground-truth depth.
        valid: (H, W) bool, the pixels to compare. Pixels whose depth is not finite and positive are left out as well.
        alignment: the space in which scale and shift are fitted by least squares: `"disparity"`, `"depth"`, or `None`
            for none (metric depth).
        min_depth, max_depth: the aligned prediction is clipped to this range; the ground truth is not, `valid` says
            which of it counts.
        alignment_max_resolution: fit on every n-th column only, where a side is longer than this (ETH3D: 1024). The
            metrics are at full resolution all the same.

    Returns:
        The ten `METRICS` as floats (ratios, not per cent; depth units as given; silog times 100), or `None` if the
        image has no valid pixel. Average over images with `mean_metrics`.

    Raises:
        ValueError: on an unknown alignment, arrays that are not maps, unequal shapes of `depth` and `valid`, or a
            prediction that is not finite at a valid pixel.
    """
    aligned, depth, valid = _align_maps(
        prediction, depth, valid, alignment, min_depth, max_depth, alignment_max_resolution
    )
    if not valid.any():
        return None
    predicted, target = aligned[valid], depth[valid]

    def mean(values: torch.Tensor) -> torch.Tensor:
        return values.mean(dtype=torch.float64)

    difference = predicted - target
    log_difference = predicted.log() - target.log()
    ratio = torch.maximum(predicted / target, target / predicted)
    log_deviation = log_difference - mean(log_difference)  # centred first: mean(e^2) - mean(e)^2 cancels
    values = (
        mean(difference.abs() / target),
        mean(difference.square() / target),
        mean(difference.square()).sqrt(),
        mean(log_difference.square()).sqrt(),
        mean((predicted.log10() - target.log10()).abs()),
        *(mean((ratio < 1.25**power).to(ratio.dtype)) for power in (1, 2, 3)),
        mean((1 / predicted - 1 / target).square()).sqrt(),
        100 * mean(log_deviation.square()).sqrt(),
    )
    return dict(zip(METRICS, torch.stack(values).tolist(), strict=True))


def mean_metrics(rows) -> dict[str, float] | None:
    """Mean over images of equal weight; `None` rows (nothing valid) are left out. `None` if no row is left."""
    rows = [row for row in rows if row is not None]
    if not rows:
        return None
    return {name: math.fsum(row[name] for row in rows) / len(rows) for name in METRICS}


def align(
    prediction,
    depth,
    valid=None,
    alignment: str | None = "disparity",
    min_depth: float | None = None,
    max_depth: float | None = None,
    alignment_max_resolution: int | None = None,
):
    """The prediction as depth in the units of `depth`, by the fit that `evaluate_depth` makes.

    A few known points suffice: give a `depth` map that is zero everywhere else. Arguments as in `evaluate_depth`;
    `valid=None` takes every pixel of finite, positive depth.

    Returns:
        (H, W) depth of the prediction's kind (array or tensor), in its float type.
    """
    aligned, _, _ = _align_maps(prediction, depth, valid, alignment, min_depth, max_depth, alignment_max_resolution)
    return aligned.numpy() if isinstance(prediction, np.ndarray) else aligned


def fit_scale_and_shift(prediction, target) -> tuple[float, float]:
    """Least squares: the (scale, shift) that minimise `sum((scale * prediction + shift - target) ** 2)`.

    Arrays or tensors of equal shape, any number of dimensions, in the same space (both disparity or both depth).
    A constant prediction has many solutions: the one of least norm is returned, as `numpy.linalg.lstsq` does.

    Raises:
        ValueError: if they are empty or of unequal shapes.
    """
    prediction, target = _tensor(prediction), _tensor(target)
    if prediction.shape != target.shape or prediction.numel() == 0:
        raise ValueError(
            "a fit of scale and shift needs as many predictions as targets, and at least one: got shapes "
            f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    return tuple(_fit(prediction.flatten(), target.to(prediction.device).flatten()).tolist())


def _fit(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(2,) float64 scale and shift of the least squares fit of two vectors."""
    # The centred closed form is as accurate as an SVD of the (N, 2) system and runs on every device.
    prediction, target = prediction.double(), target.double()
    count = prediction.numel()
    mean_prediction, mean_target = prediction.mean(), target.mean()
    centred = prediction - mean_prediction
    variation = centred.square().sum()
    # Singular values of [prediction, 1]: their product is sqrt(N * variation), their squares add up to `trace`.
    trace = prediction.square().sum() + count
    full_rank = (count * variation).sqrt() > torch.finfo(torch.float64).eps * max(count, 2) * trace
    scale = (centred * (target - mean_target)).sum() / variation
    line = torch.stack([scale, mean_target - scale * mean_prediction])
    least_norm = torch.stack([mean_prediction, torch.ones_like(mean_prediction)]) * (
        mean_target / (mean_prediction.square() + 1)
    )
    return torch.where(full_rank, line, least_norm)


def _align_maps(prediction, depth, valid, alignment, min_depth, max_depth, alignment_max_resolution):
    """(aligned depth, ground-truth depth, valid) as (H, W) tensors of one device and float type."""
    if alignment not in ALIGNMENTS:
        raise ValueError(f'alignment must be "disparity", "depth" or None, not {alignment!r}')
    prediction, depth = _tensor(prediction), _tensor(depth)
    dtype = torch.promote_types(prediction.dtype, depth.dtype)
    prediction, depth = prediction.to(dtype), depth.to(prediction.device, dtype)
    usable = depth.isfinite() & (depth > 0)
    valid = usable if valid is None else _tensor(valid).to(depth.device).bool()
    if prediction.ndim != 2 or depth.ndim != 2 or valid.shape != depth.shape:
        raise ValueError(
            "prediction, depth and valid must be maps, the last two of one size: got shapes "
            f"{tuple(prediction.shape)}, {tuple(depth.shape)} and {tuple(valid.shape)}"
        )
    valid = valid & usable
    if prediction.shape != depth.shape:
        prediction = F.interpolate(prediction[None, None], size=depth.shape, mode="bilinear", antialias=True)[0, 0]
    broken = (valid & ~prediction.isfinite()).sum().item()
    if broken:
        raise ValueError(f"the prediction is NaN or infinite at {broken} valid pixels")

    if alignment == "disparity":
        scale, shift = _fit_maps(prediction, 1 / depth, valid & (prediction > 0), alignment_max_resolution)
        aligned = 1 / (prediction * scale + shift).clamp(min=DISPARITY_FLOOR)
    elif alignment == "depth":
        scale, shift = _fit_maps(prediction, depth, valid, alignment_max_resolution)
        aligned = prediction * scale + shift
    else:
        aligned = prediction
    if min_depth is not None or max_depth is not None:
        aligned = aligned.clamp(min_depth, max_depth)
    return aligned.clamp(min=DEPTH_FLOOR), depth, valid


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
    return _fit(*maps).to(prediction.dtype)


def _tensor(values) -> torch.Tensor:
    """A float32 or float64 tensor, on the device where `values` lie if that one has float64, else on the CPU."""
    if isinstance(values, np.ndarray):
        # torch takes neither foreign byte order nor negative strides, and warns about read-only arrays
        double = values.dtype.kind == "f" and values.dtype.itemsize == 8
        values = np.require(values, np.float64 if double else np.float32, ["C", "W"])
    tensor = torch.as_tensor(values).detach()
    if tensor.device.type == "mps":
        tensor = tensor.cpu()
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
