"""Predictions as depth in the ground truth's units, by the fit that a protocol describes."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from anydepth_hf.alignment import METHODS
from anydepth_hf.alignment_marigold import align_maps
from anydepth_hf.alignment_spaces import DEPTH_FLOOR, as_tensor, clip_depth, resize_map
from anydepth_hf.linear_fit import median
from training.evaluation.comparison import Comparison
from training.evaluation.protocol import Fit, Protocol

LOG_NEEDS = 1e-6  # smallest disparity whose logarithm is taken


@dataclass(frozen=True)
class Fitted:
    """Aligned prediction, ground truth and the pixels to compare, (H, W) tensors of one device."""

    predicted: torch.Tensor
    target: torch.Tensor
    valid: torch.Tensor


def fit_prediction(protocol: Protocol, comparison: Comparison, prediction, predicts: str, depth, valid) -> Fitted:
    """
    Aligns one image's prediction.

    Args:
        protocol: how.
        comparison: the range that predictions are clipped to.
        prediction: (h, w) array or tensor of the kind `predicts`.
        predicts: `disparity`, `depth`, `metric_depth` or `log_depth`.
        depth, valid: (H, W) ground truth, and bool, the pixels to compare.

    Returns:
        Depths, or disparities where the protocol's errors are of disparity.

    Raises:
        ValueError: no maps of fitting shapes, or a prediction that is not finite at a valid pixel.
    """
    prediction, depth = as_tensor(prediction), as_tensor(depth)
    depth = depth.to(prediction.device)
    valid = as_tensor(valid).to(depth.device).bool() & depth.isfinite() & (depth > 0)
    if protocol.align_corners and prediction.shape != depth.shape:
        prediction = F.interpolate(prediction[None, None], depth.shape, mode="bilinear", align_corners=True)[0, 0]
    if protocol.fit.method == "marigold":
        return _marigold(protocol, comparison, prediction, predicts, depth, valid)
    if prediction.shape != depth.shape:
        prediction = resize_map(prediction, depth.shape)
    if broken := int((valid & ~prediction.isfinite()).sum()):
        raise ValueError(f"the prediction is NaN or infinite at {broken} valid pixels")
    signal, usable = signal_of(prediction.double(), predicts, protocol.fit)
    points = valid & usable
    if protocol.fit.grid is not None:
        points = nearest_to_cells(points, protocol.fit.grid)
    line = fit_points(protocol.fit, signal[points], depth[points].double())
    return apply_fit(protocol, comparison, line, signal, usable, depth, valid)


def _marigold(protocol, comparison, prediction, predicts, depth, valid) -> Fitted:
    space = None if protocol.fit.space == "none" else protocol.fit.space
    if space == "disparity" and predicts != "disparity":
        inverse = torch.where(prediction > 0, 1 / prediction, 0)
        prediction = torch.where(prediction.isfinite(), inverse, torch.nan)  # an error, where it is compared
    limits = (comparison.min_depth, comparison.max_depth) if protocol.clip == "comparison" else (None, None)
    return Fitted(*align_maps(prediction, depth, valid, space, *limits, comparison.alignment_max_resolution))


def signal_of(prediction: torch.Tensor, predicts: str, fit: Fit) -> tuple[torch.Tensor, torch.Tensor]:
    """The prediction in the space of the fit, and where it says something: (H, W) each.

    Depth is inverted for a fit in disparity, and disparity for one in depth, where the protocol measures that kind.
    """
    usable = torch.ones_like(prediction, dtype=torch.bool)
    if fit.space == "log1p" and predicts != "log_depth":
        usable = prediction > (0 if predicts == "disparity" else -1)
        signal = -prediction.clamp(min=LOG_NEEDS).log() if predicts == "disparity" else prediction.clamp(min=0).log1p()
    elif fit.space in ("disparity", "depth") and predicts not in (fit.space, f"metric_{fit.space}"):
        usable = prediction > 0
        signal = torch.where(usable, 1 / prediction, 0)
    else:
        signal = prediction
    if fit.smallest_signal is not None:
        signal = signal.clamp(min=fit.smallest_signal)
    return signal, usable


def fit_points(fit: Fit, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Scale and shift of predictions in the space of the fit, and of depths: float64 vectors."""
    if fit.space == "none":
        return 1.0, 0.0
    if not len(x):
        return 0.0, 0.0
    weights = 1 / y if fit.weights == "inverse_depth" else torch.ones_like(y)
    y = {"disparity": torch.reciprocal, "depth": torch.clone, "log1p": torch.log1p}[fit.space](y)
    design = torch.stack([x, torch.ones_like(x)], dim=1) if fit.shift else x[:, None]
    options = {"threshold": float(median((y - median(y)).abs()))} if fit.threshold == "target_mad" else {}
    try:
        numbers = METHODS[fit.method](design, y, weights, **options).coefficients.tolist()
    except ValueError:  # a constant prediction: least squares has an answer, the mean
        numbers = METHODS["least_squares"](design, y, weights).coefficients.tolist() if fit.shift else [0.0]
    scale, shift = numbers if fit.shift else (numbers[0], 0.0)
    if fit.positive_scale and not scale > 0 and float(x.mean()) != 0:
        scale, shift = float(y.mean() / x.mean()), 0.0
    if not (math.isfinite(scale) and math.isfinite(shift)):
        scale, shift = 0.0, float(median(y))
    return scale, shift


def apply_fit(
    protocol: Protocol, comparison: Comparison, line: tuple[float, float], signal, usable, depth, valid
) -> Fitted:
    """One image's (H, W) signal with the scale and shift of a fit: floored, inverted, clipped as the protocol says."""
    fit, (scale, shift) = protocol.fit, line
    aligned = signal * scale + shift
    target = depth.double()
    farthest = float(target[valid].max()) if valid.any() else math.inf
    if fit.space == "disparity":
        # an image without a prediction is infinitely far
        aligned = torch.where(usable, aligned, 0)
        cap = comparison.max_depth if fit.floor == "max_depth" and comparison.max_depth is not None else farthest
        floor = fit.floor if isinstance(fit.floor, float) else 1 / cap
        aligned = aligned.clamp(min=floor or DEPTH_FLOOR)
        if protocol.metrics_of == "disparity":
            return Fitted(aligned, torch.where(valid, 1 / target, 1), valid)
        aligned = 1 / aligned
    elif fit.space == "log1p":
        aligned = aligned.expm1()
    limits = {
        "comparison": (comparison.min_depth, comparison.max_depth),
        "farthest": (1e-3, farthest),
        "none": (None, None),
    }[protocol.clip]
    return Fitted(clip_depth(aligned, *limits), target, valid)


def nearest_to_cells(mask: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Bool (H, W): in each cell of a grid over the image, the valid pixel nearest to the cell's centre.

    The `masked_nearest_resize` of EasternJournalist/utils3d, on which MoGe fits; of pixels equally near, the first.
    """
    height, width = mask.shape
    rows, columns = mask.nonzero(as_tuple=True)
    cell_height, cell_width = height / grid[0], width / grid[1]
    centre_row, centre_column = rows.double() + 0.5, columns.double() + 0.5
    # a centre on the border of two cells is the first one's
    row_cell = ((centre_row / cell_height - 1e-9).ceil().long() - 1).clamp(0, grid[0] - 1)
    column_cell = ((centre_column / cell_width - 1e-9).ceil().long() - 1).clamp(0, grid[1] - 1)
    distance = (centre_row - (row_cell + 0.5) * cell_height).square()
    distance += (centre_column - (column_cell + 0.5) * cell_width).square()
    cell = row_cell * grid[1] + column_cell
    order = distance.sort(stable=True).indices
    order = order[cell[order].sort(stable=True).indices]
    first = torch.ones(len(order), dtype=torch.bool, device=mask.device)
    first[1:] = cell[order][1:] != cell[order][:-1]
    chosen = torch.zeros_like(mask)
    chosen[rows[order[first]], columns[order[first]]] = True
    return chosen
