"""Depth metrics of aligned predictions, as Marigold and Lotus compute them.

Source: prs-eth/Marigold (`src/util/metric.py`). The alignment before them is that of `alignment_marigold`.
Everything here takes NumPy arrays or tensors, stays on the tensor's device and sums in float64.
"""

import math

import torch

from .alignment_marigold import align_maps

METRICS = ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10", "delta1", "delta2", "delta3", "i_rmse", "silog")


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

    Arguments and errors as in `alignment_marigold.align_maps`. The ground truth is not clipped to `min_depth` and
    `max_depth`, `valid` says which of it counts. Whatever the resolution of the fit, metrics are at the full one.

    Returns:
        What `depth_metrics` gives; `None` if the image has no valid pixel. Average over images with `mean_metrics`.
    """
    aligned, depth, valid = align_maps(
        prediction, depth, valid, alignment, min_depth, max_depth, alignment_max_resolution
    )
    return depth_metrics(aligned[valid], depth[valid])


def depth_metrics(predicted: torch.Tensor, target: torch.Tensor, epsilon: float = 0.0) -> dict[str, float] | None:
    """The ten `METRICS` of aligned depths against known ones: two float vectors of positive numbers.

    `epsilon` is added to the divisor of `abs_rel`; Marigold adds none, MoGe 1e-6.

    Returns:
        Floats: ratios, not per cent; depth units as given; silog times 100. `None` of empty vectors.
    """
    if not target.numel():
        return None

    def mean(values: torch.Tensor) -> torch.Tensor:
        return values.mean(dtype=torch.float64)

    difference = predicted - target
    log_difference = predicted.log() - target.log()
    ratio = torch.maximum(predicted / target, target / predicted)
    log_deviation = log_difference - mean(log_difference)  # centred first: mean(e^2) - mean(e)^2 cancels
    values = (
        mean(difference.abs() / (target + epsilon)),
        mean(difference.square() / target),
        mean(difference.square()).sqrt(),
        mean(log_difference.square()).sqrt(),
        mean((predicted.log10() - target.log10()).abs()),
        *(mean((ratio < 1.25**power).to(ratio.dtype)) for power in (1, 2, 3)),
        mean((1 / predicted - 1 / target).square()).sqrt(),
        100 * mean(log_deviation.square()).sqrt(),
    )
    return dict(zip(METRICS, torch.stack(values).tolist(), strict=True))


def mean_metrics(records) -> dict[str, float] | None:
    """Mean over images of equal weight; `None` records (nothing valid) are left out. `None` if no record is left."""
    records = [record for record in records if record is not None]
    if not records:
        return None
    return {name: math.fsum(record[name] for record in records) / len(records) for name in records[0]}


def image_free_prior(height: int, width: int) -> torch.Tensor:
    """Disparity (height, width) that sees no image: lower in the picture is nearer. Align it as a prediction is."""
    return torch.linspace(0, 1, height)[:, None].expand(height, width)
