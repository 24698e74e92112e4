"""From predictions to metres: scale and shift fitted to known depths, and how well they fit.

A relative model gives disparity (or depth) up to an unknown scale and shift of every image. `fit` finds both, in the
space in which they are linear:

    "disparity"   1 / depth  = scale * prediction + shift       AnyDepth and MiDaS-like models
    "depth"       depth      = scale * prediction + shift       models of relative depth
    "log"         log(depth) = scale * log(prediction) + shift  (of a disparity: log(1 / depth))

Arrays and tensors of any device are taken; sums are in float64. Nothing here is inverted without a fit.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from . import linear_fit
from .alignment_report import describe
from .alignment_spaces import DEPTH_FLOOR, DISPARITY_FLOOR, as_tensor, check_space, clip_depth, resize_map, to_depth

METHODS = {
    "least_squares": linear_fit.least_squares,
    "median": linear_fit.median_fit,
    "ransac": linear_fit.ransac,
    "irls": linear_fit.tukey_irls,
    "truncated_l1": linear_fit.truncated_l1,
    "l1": linear_fit.least_absolute,
}
"""Functions of (design, target, weights, threshold, trials, seed) that return a `linear_fit.LinearFit`, by the names
that `fit` takes. A method added here can be named there."""


@dataclass(frozen=True)
class Residuals:
    """How far aligned depths lie from known ones: relative errors |z - depth| / depth, and their RMSE in metres."""

    count: int
    median: float
    mean: float
    largest: float
    rmse: float


@dataclass(frozen=True)
class Alignment:
    """
    Scale and shift that turn a prediction into depth, and what is known of them.

    Args:
        scale, shift: the two numbers of `space` (see the module's text).
        space: `"disparity"`, `"depth"` or `"log"`.
        prediction_type: what the prediction is, `"disparity"` or `"depth"`.
        method: how they were fitted.
        scale_error, shift_error: standard errors as if residuals were independent, which neighbouring pixels are not;
            NaN where there are no points to spare.
        scale_only: whether the shift was held at 0 (in log space: the exponent at 1).
        residuals: of the inliers.
        residuals_of_all: of all points.
        depth_range: smallest and largest known depth among the inliers, metres.
        inliers: bool, of the shape of the known depths (`fit`) or one per point (`fit_points`); not stored.
    """

    scale: float
    shift: float
    space: str = "disparity"
    prediction_type: str = "disparity"
    method: str = "given"
    scale_error: float = math.nan
    shift_error: float = math.nan
    scale_only: bool = False
    residuals: Residuals | None = None
    residuals_of_all: Residuals | None = None
    depth_range: tuple[float, float] | None = None
    inliers: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        check_space(self.space, self.prediction_type)
        if not (math.isfinite(self.scale) and math.isfinite(self.shift)):
            raise ValueError(f"Scale and shift must be finite numbers, got {self.scale} and {self.shift}.")

    def apply(self, prediction, min_depth: float | None = None, max_depth: float | None = None):
        """
        Depth in the unit of the known depths (metres), of the prediction's kind, shape and float type.

        Disparity is raised to 1e-3 before it is inverted, so nothing is farther than 1000 m; `reliable` says where
        that happened. The limits clip depth further.
        """
        values = as_tensor(prediction)
        depth = clip_depth(
            to_depth(values, self.scale, self.shift, self.space, self.prediction_type), min_depth, max_depth
        )
        return depth.numpy() if isinstance(prediction, np.ndarray) else depth

    def reliable(self, prediction):
        """Bool, of the prediction's kind and shape: where it is finite and the aligned depth is no clipped value."""
        values = as_tensor(prediction)
        if self.space == "log":
            usable = values > 0
        else:
            usable = values * self.scale + self.shift > (DISPARITY_FLOOR if self.space == "disparity" else DEPTH_FLOOR)
        usable &= values.isfinite()
        return usable.numpy() if isinstance(prediction, np.ndarray) else usable

    def __str__(self) -> str:
        return describe(self)

    def to_dict(self) -> dict:
        """Everything but `inliers` as plain numbers and strings, for JSON; NaN becomes `None`."""
        values = asdict(replace(self, inliers=None))
        del values["inliers"]
        return {name: None if value != value else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict) -> "Alignment":
        """An alignment from what `to_dict` gave."""
        values = {name: value for name, value in values.items() if value is not None}
        for name in ("residuals", "residuals_of_all"):
            if name in values:
                values[name] = Residuals(**values[name])
        if "depth_range" in values:
            values["depth_range"] = tuple(values["depth_range"])
        return cls(**values)


def fit(
    prediction,
    depth,
    valid=None,
    space: str | None = None,
    method: str = "least_squares",
    weights=None,
    scale_only: bool = False,
    prediction_type: str | None = None,
    threshold: float | None = None,
    trials: int = 1000,
    seed: int = 0,
) -> Alignment:
    """
    Fits scale and shift of a prediction to known depths: a full depth map, a sparse or LiDAR map, or lists of both.

    Args:
        prediction: array or tensor of any shape. A map of another size than `depth`'s is resized to it: bilinear,
            `align_corners=False`, antialiased when shrinking.
        depth: known depths in metres, of the prediction's shape; zero, negative, NaN and infinite mean unknown.
        valid: bool, the depths to use; all known ones by default.
        space: `"disparity"`, `"depth"` or `"log"`: where scale and shift are linear. By default the prediction's.
        method: `"least_squares"`; `"ransac"` or `"irls"` where some depths are wrong (see `linear_fit`); `"median"`,
            median and mean absolute deviation as MiDaS aligns them; `"truncated_l1"`, MoGe's, or `"l1"` without the
            truncation; or another of `METHODS`.
        weights: of the points, of `depth`'s shape, not negative; 0 leaves out.
        scale_only: hold the shift at 0 (in log space: the exponent at 1), where the prediction is known to need none.
        prediction_type: `"disparity"` or `"depth"`: what the prediction is. By default `space`, and disparity for
            `"log"`.
        threshold: largest residual of an inlier, in the space's unit (1/m, m, or a logarithm). By default found from
            the data, which is right while less than half of the points are wrong.
        trials, seed: random subsets that the robust methods try, and where they start; equal input, equal result.

    Raises:
        ValueError: an unknown space or method, unequal shapes, too few points, a prediction that is not finite at a
            known point, or one that is the same at all of them.
    """
    prediction_type = prediction_type or ("depth" if space == "depth" else "disparity")
    space = space or prediction_type
    check_space(space, prediction_type)
    values, known = as_tensor(prediction), as_tensor(depth)
    known = known.to(values.device)
    if values.shape != known.shape:
        if values.ndim != 2 or known.ndim != 2:
            raise ValueError(
                f"Prediction and depth need one shape, got {tuple(values.shape)} and {tuple(known.shape)}."
            )
        values = resize_map(values, known.shape)
    usable = known.isfinite() & (known > 0)
    for mask, name in ((valid, "valid"), (weights, "weights")):
        if mask is not None and np.shape(mask) != tuple(known.shape):
            raise ValueError(f"{name} must have depth's shape {tuple(known.shape)}, got {np.shape(mask)}.")
    if valid is not None:
        usable &= torch.as_tensor(valid, device=known.device).bool()
    broken = int((usable & ~values.isfinite()).sum())
    if broken:
        raise ValueError(f"The prediction is NaN or infinite at {broken} known points.")
    if prediction_type == "disparity" or space == "log":
        usable &= values > 0  # a dead network's zero says nothing
    point_weights = None if weights is None else as_tensor(weights).to(known.device)[usable].double()
    if point_weights is not None and not bool((point_weights.isfinite() & (point_weights >= 0)).all()):
        raise ValueError("Weights must be finite and not negative.")
    alignment, inliers = _fit_vectors(
        values[usable].double(),
        known[usable].double(),
        point_weights,
        space,
        prediction_type,
        method,
        scale_only,
        {"threshold": threshold, "trials": trials, "seed": seed},
    )
    mask = torch.zeros_like(usable)
    mask[usable] = inliers
    return replace(alignment, inliers=mask.numpy() if isinstance(depth, np.ndarray) else mask)


def fit_points(prediction, points: Sequence[tuple[float, float, float]], **options) -> Alignment:
    """
    Fits scale and shift to a few points of known depth, such as distances that were measured with a tape.

    Args:
        prediction: (H, W) array or tensor.
        points: (x, y, metres) each: pixel coordinates (column, row; may be fractions, pixel centres are integers) and
            depth, which is measured along the camera's axis. Two points give scale and shift, one the scale alone
            (`scale_only=True`).
        options: those of `fit`.

    Raises:
        ValueError: as `fit`, a point outside the map, or one without its three numbers.
    """
    values = as_tensor(prediction)
    known = torch.as_tensor(points, dtype=torch.float64, device=values.device)
    if known.shape[-1:] != (3,):
        raise ValueError(f"Points are (x, y, metres) each, got an array of shape {tuple(known.shape)}.")
    known = known.reshape(-1, 3)
    return fit(sample(values, known[:, :2]), known[:, 2], **options)


def sample(prediction: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """
    Values (N,) of a map (H, W) at pixel positions (N, 2), each (x, y), interpolated bilinearly; ValueError for one
    outside the map.
    """
    height, width = prediction.shape
    for x, y in positions.tolist():
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise ValueError(f"The point ({x:g}, {y:g}) lies outside the map of {width} x {height} pixels.")
    scale = positions.new_tensor([2 / width, 2 / height])
    grid = ((positions + 0.5) * scale - 1)[None, None].to(prediction.dtype)
    return F.grid_sample(prediction[None, None], grid, padding_mode="border", align_corners=False)[0, 0, 0]


def _fit_vectors(prediction, depth, weights, space, prediction_type, method, scale_only, options):
    """Alignment of two float64 vectors, and which of them are inliers."""
    count = len(depth)
    target = 1 / depth if prediction_type == "disparity" else depth
    signal = prediction
    if space == "log":
        signal, target = prediction.log(), target.log()
    ones = torch.ones_like(signal)
    if not scale_only:
        design, y = torch.stack([signal, ones], dim=1), target
    elif space == "log":  # the exponent is 1: only the factor is free
        design, y = ones[:, None], target - signal
    else:
        design, y = signal[:, None], target
    needed = design.shape[1]
    if count < needed:
        hint = "; `scale_only=True` needs one" if needed == 2 else ""
        raise ValueError(
            f"A fit of scale{' and shift' * (needed == 2)} needs {needed} known points, got {count}{hint}."
        )
    if method not in METHODS:
        raise ValueError(f"The method must be one of {', '.join(METHODS)}, not {method!r}.")
    result = METHODS[method](design, y, ones if weights is None else weights, **options)
    if needed == 2 and bool((signal == signal[0]).all()):
        raise ValueError(
            f"The prediction is the same at all {count} known points, so they determine no scale and shift: know "
            "depths at different distances."
        )
    numbers = result.coefficients.tolist()
    errors = linear_fit.standard_errors(design, y, result).tolist()
    if scale_only:
        numbers, errors = ((1.0, *numbers), (0.0, *errors)) if space == "log" else ((*numbers, 0.0), (*errors, 0.0))
    aligned = clip_depth(to_depth(prediction, *numbers, space, prediction_type), None, None)
    inliers = result.inliers
    known = depth[inliers]
    alignment = Alignment(
        *numbers,
        space=space,
        prediction_type=prediction_type,
        method=method,
        scale_error=errors[0],
        shift_error=errors[1],
        scale_only=scale_only,
        residuals=residuals_of(aligned[inliers], known),
        residuals_of_all=residuals_of(aligned, depth),
        depth_range=(float(known.min()), float(known.max())) if len(known) else None,
    )
    return alignment, inliers


def residuals_of(aligned: torch.Tensor, depth: torch.Tensor) -> Residuals:
    """How far aligned depths lie from the known ones, two vectors; NaN if there are none."""
    if len(depth) == 0:
        return Residuals(0, math.nan, math.nan, math.nan, math.nan)
    difference = (aligned - depth).abs()
    relative = difference / depth
    numbers = torch.stack([relative.median(), relative.mean(), relative.max(), difference.square().mean().sqrt()])
    return Residuals(len(depth), *numbers.tolist())
