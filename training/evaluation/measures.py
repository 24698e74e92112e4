"""Errors of aligned depth by name, as protocols list them."""

import torch

from anydepth_hf.metrics import METRICS, depth_metrics
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
BOUNDARY_FACTORS = torch.linspace(1.05, 1.25, 10, dtype=torch.float64)
ORDINAL_PAIRS = 5000
ORDINAL_EQUAL = 1.03  # two depths within this factor are called equal


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
    if not valid.any():
        return None
    vectors = predicted[valid], target[valid]
    values = depth_metrics(*vectors, epsilon) if any(name in METRICS for name in names) else {}
    if "silog_half" in names:
        difference = (vectors[0].log() - vectors[1].log()).double()
        values["silog_half"] = float((difference.square().mean() - 0.5 * difference.mean().square()).sqrt())
    if "boundary_f1" in names:
        values["boundary_f1"] = boundary_f1(predicted, target, valid)
    if "ordinal_error" in names:
        values["ordinal_error"] = ordinal_error(*vectors)
    if "plane_angle" in names and camera is not None:
        planes = planarity(predicted, target, valid, camera)
        values |= dict(zip(("plane_flatness_cm", "plane_angle"), planes or ()))
    return {name: values[name] for name in names} if all(name in values for name in names) else None


def boundary_f1(predicted: torch.Tensor, depth: torch.Tensor, valid: torch.Tensor) -> float:
    """Scale-invariant boundary F1 score (apple/ml-depth-pro, `eval/boundary_metrics.py`; arXiv 2410.02073, sec. 4).

    A boundary lies between two neighbours where one is nearer by a factor. Precision and recall are means over the
    four directions (left, right, up, down); their F1 is averaged over ten factors from 1.05 to 1.25 with the factors
    as weights.

    Args:
        predicted, depth: (H, W), positive, aligned or up to a scale.
        valid: bool (H, W); pairs of which one pixel is not valid do not count.

    Returns:
        0 (no boundary is found) to 1.
    """
    pairs = []
    for axis, size in enumerate(depth.shape):
        first, second = (
            [values.narrow(axis, start, size - 1) for values in (predicted.double(), depth.double(), valid)]
            for start in (0, 1)
        )
        pairs.append((second[0] / first[0], second[1] / first[1], first[2] & second[2]))
    scores = []
    for factor in BOUNDARY_FACTORS.tolist():
        precision = recall = 0.0
        for found, true, counts in pairs:
            for here, there in ((found > factor, true > factor), (found < 1 / factor, true < 1 / factor)):
                here, there = here & counts, there & counts
                hits = int((here & there).sum())
                recall += 0.25 * hits / max(int(there.sum()), 1)
                precision += 0.25 * hits / max(int(here.sum()), 1)
        scores.append(2 * recall * precision / (recall + precision) if recall + precision else 0.0)
    return float((torch.tensor(scores, dtype=torch.float64) * BOUNDARY_FACTORS).sum() / BOUNDARY_FACTORS.sum())


def ordinal_error(predicted: torch.Tensor, target: torch.Tensor) -> float:
    """Mean difference of the relations -1 (nearer), 0 (equal) and 1 (farther) of random pairs, from 0 to 2.

    The relation is that of compphoto/BoostingMonocularDepth (`evaluation/ord.m`): farther if the ratio exceeds
    `ORDINAL_EQUAL`, nearer if it is below its inverse. Pairs of exactly equal true depth do not count, as in its
    `D3R.m`; without others the error is 0.

    Args:
        predicted, target: (N,) aligned and true depths; pairs are drawn with replacement, the same ones for equal N.
    """
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(len(target), (2, ORDINAL_PAIRS), generator=generator).to(target.device)
    counts = target[first] != target[second]
    if not counts.any():
        return 0.0
    relations = []
    for depth in (predicted.double(), target.double()):
        ratio = depth[first[counts]] / depth[second[counts]]
        relations.append((ratio > ORDINAL_EQUAL).int() - (ratio < 1 / ORDINAL_EQUAL).int())
    return float((relations[1] - relations[0]).abs().double().mean())
