"""Errors of aligned depth by name, as protocols list them."""

import torch

from anydepth_hf.metrics import METRICS, depth_metrics
from training.evaluation.boundaries import boundary_f1
from training.evaluation.ordinal import ordinal_error
from training.evaluation.planarity import Camera, planarity

HEADINGS = {
    "abs_rel": "AbsRel % ↓",
    "sq_rel": "SqRel ↓",
    "rmse": "RMSE ↓",
    "rmse_log": "RMSE log ↓",
    "log10": "log10 ↓",
    "delta1": "δ1 % ↑",
    "delta2": "δ2 % ↑",
    "delta3": "δ3 % ↑",
    "i_rmse": "iRMSE ↓",
    "silog": "SILog ↓",
    "silog_half": "SILog (half) ↓",
    "boundary_f1": "Boundary F1 % ↑",
    "ordinal_error": "Ordinal error ↓",
    "plane_flatness_cm": "Plane flatness cm ↓",
    "plane_angle": "Plane angle ° ↓",
    "temporal_error": "Temporal error ↓",
}
"""What tables call the measures; the arrow points to the better."""

PER_CENT = ("abs_rel", "delta1", "delta2", "delta3", "boundary_f1")
HIGHER_IS_BETTER = ("delta1", "delta2", "delta3", "boundary_f1")


def measure(
    names: tuple[str, ...],
    predicted: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    epsilon: float = 0.0,
    camera: Camera | None = None,
) -> dict[str, float] | None:
    """The named errors of one image.

    Args:
        names: keys of `HEADINGS`.
        predicted, target: (H, W) aligned and true depth (or disparity), positive where valid.
        valid: bool (H, W).
        epsilon: as in `anydepth_hf.metrics.depth_metrics`.
        camera: (fx, fy, cx, cy) of the picture, for planarity.

    Returns:
        Ratios, not per cent; `None` where a measure is not defined: no valid pixel, no plane, no camera.
    """
    vectors = predicted[valid], target[valid]
    values = {}
    if any(name in METRICS for name in names):
        values |= depth_metrics(*vectors, epsilon) or {}
    if "silog_half" in names and len(vectors[0]):
        difference = (vectors[0].log() - vectors[1].log()).double()
        values["silog_half"] = float((difference.square().mean() - 0.5 * difference.mean().square()).sqrt())
    if "boundary_f1" in names and len(vectors[0]):
        values["boundary_f1"] = boundary_f1(predicted, target, valid)
    if "ordinal_error" in names and len(vectors[0]):
        values["ordinal_error"] = ordinal_error(*vectors)
    if "plane_angle" in names and camera is not None:
        planes = planarity(predicted, target, valid, camera)
        values |= dict(zip(("plane_flatness_cm", "plane_angle"), planes or ()))
    return {name: values[name] for name in names} if all(name in values for name in names) else None
