"""Boundary F1 of depth maps: are the jumps between neighbouring pixels where the ground truth has them?"""

import torch

THRESHOLDS = torch.linspace(1.05, 1.25, 10, dtype=torch.float64)


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
    pairs = [(_ratios(predicted, axis), _ratios(depth, axis), _both(valid, axis)) for axis in (0, 1)]
    scores = []
    for threshold in THRESHOLDS.tolist():
        precision = recall = 0.0
        for found, true, counts in pairs:
            for here, there in ((found > threshold, true > threshold), (found < 1 / threshold, true < 1 / threshold)):
                here, there = here & counts, there & counts
                hits = int((here & there).sum())
                recall += 0.25 * hits / max(int(there.sum()), 1)
                precision += 0.25 * hits / max(int(here.sum()), 1)
        scores.append(2 * recall * precision / (recall + precision) if recall + precision else 0.0)
    return float((torch.tensor(scores, dtype=torch.float64) * THRESHOLDS).sum() / THRESHOLDS.sum())


def _ratios(depth: torch.Tensor, axis: int) -> torch.Tensor:
    """How many times farther the next pixel along an axis is."""
    size = depth.shape[axis]
    return depth.narrow(axis, 1, size - 1).double() / depth.narrow(axis, 0, size - 1).double()


def _both(valid: torch.Tensor, axis: int) -> torch.Tensor:
    size = valid.shape[axis]
    return valid.narrow(axis, 1, size - 1) & valid.narrow(axis, 0, size - 1)
