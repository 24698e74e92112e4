"""Sample-quality scores of the AnyDepth paper (arXiv 2601.02760, App. A.2) and its rule for what to keep (4.3.1)."""

from dataclasses import dataclass

import numpy as np

BLOCK = 2**15
"""Values worked on at a time: they stay in the cache from one step to the next."""


def depth_distribution_score(
    depth: np.ndarray,
    valid: np.ndarray,
    num_bins: int = 20,
    percentiles: tuple[float, float] = (0.0, 100.0),
    limits: tuple[float, float] | None = None,
) -> float:
    """How evenly the valid depths fill their range (Eq. 9): 0.5 S_chi2 + 0.3 S_conc + 0.2 S_range, in [0, 1].

    The paper does not give the range of the bins. The default, smallest to largest valid depth of the image, is the
    reading that its published means fit; a few outliers stretch it, which `percentiles` guards against.

    Args:
        depth: (H, W), depth (not disparity) in any unit.
        valid: bool (H, W).
        num_bins: equal-width bins, K in the paper; five or more.
        percentiles: of the valid depths, the ends of the range; values beyond them count in the end bins.
        limits: a fixed range instead, in the unit of depth.

    Returns:
        The score; NaN without valid pixels.
    """
    values = _valid_values(depth, valid).astype(np.float32, copy=False)
    if values.size == 0:
        return float("nan")
    if limits is not None:
        low, high = limits
    elif tuple(percentiles) == (0.0, 100.0):
        low, high = values.min(), values.max()
    else:
        low, high = np.percentile(values, percentiles)
    # a constant image falls into the first bin
    scale = num_bins / (float(high) - float(low)) if high > low else 0.0
    bins = np.empty(values.size, np.min_scalar_type(num_bins - 1))
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK] - np.float32(low)
        block *= np.float32(scale)
        bins[start : start + BLOCK] = np.clip(block, 0, num_bins - 1, out=block)
    # twenty passes over bytes are faster than one of `bincount`
    fractions = np.array([np.count_nonzero(bins == number) for number in range(num_bins)]) / values.size
    chi2 = np.exp(1 - num_bins * np.square(fractions).sum())  # closed form of chi^2 / N
    fair = 2 / num_bins
    concentration = 1 - np.clip((fractions.max() - fair) / (0.5 - fair), 0, 1)
    occupied = np.count_nonzero(fractions) / num_bins
    return float(0.5 * chi2 + 0.3 * concentration + 0.2 * occupied)


def gradient_continuity_score(
    depth: np.ndarray, valid: np.ndarray, operator: str = "forward", edge_fraction: float = 0.1
) -> float:
    """How uniform the depth gradient is off the edges (Eq. 10): 1 / (1 + sigma / mu) of its magnitude, in (0, 1].

    It measures uniformity, not noise: pixel noise around a constant scores higher than a clean ground plane.

    Args:
        depth: (H, W), depth (not disparity) in any unit.
        valid: bool (H, W); a gradient counts only where every pixel it is taken from is valid.
        operator: `forward` differences, or `central` ones (one-sided at the border, as `numpy.gradient`).
        edge_fraction: the largest magnitudes, this share of all, are edges and left out, as are those equal to the
            smallest of them.

    Returns:
        The score; NaN if no gradient counts.

    Raises:
        ValueError: unknown operator.
    """
    if not valid.all():
        depth = np.where(valid, depth, 0)  # no NaN or infinity may enter a difference
    depth = depth.astype(np.float32, copy=False)
    if min(depth.shape) < 2:
        return float("nan")
    if operator == "forward":
        magnitudes = _forward_magnitudes(depth)
        counts = valid[:-1, :-1] & valid[:-1, 1:] & valid[1:, :-1]
    elif operator == "central":
        along_y, along_x = np.gradient(depth)
        magnitudes = np.sqrt(along_x * along_x + along_y * along_y)
        counts = valid.copy()
        counts[1:] &= valid[:-1]
        counts[:-1] &= valid[1:]
        counts[:, 1:] &= valid[:, :-1]
        counts[:, :-1] &= valid[:, 1:]
    else:
        raise ValueError(f"The gradient operator must be 'forward' or 'central', got {operator!r}.")
    magnitudes = _valid_values(magnitudes, counts)
    if magnitudes.size == 0:
        return float("nan")
    smooth = _below_quantile(magnitudes, 1 - edge_fraction)
    mean = smooth.mean()  # numpy sums pairwise: float32 is exact enough, and twice as fast
    squares = 0.0
    for start in range(0, smooth.size, BLOCK):
        block = smooth[start : start + BLOCK] - mean
        squares += float(block @ block)
    deviation = (squares / smooth.size) ** 0.5
    return float(1 / (1 + deviation / mean)) if mean > 0 else 1.0


def _valid_values(array: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """`array[valid]`, which is a view if all are valid."""
    return array.ravel() if valid.all() else array[valid]


def _forward_magnitudes(depth: np.ndarray) -> np.ndarray:
    """Magnitudes of the forward differences, (H, W) to (H - 1, W - 1), some rows at a time."""
    height, width = depth.shape
    magnitudes = np.empty((height - 1, width - 1), np.float32)
    step = max(1, BLOCK // width)
    for top in range(0, height - 1, step):
        rows = depth[top : top + step + 1]
        along_x = rows[:-1, 1:] - rows[:-1, :-1]
        along_y = rows[1:, :-1] - rows[:-1, :-1]
        along_x *= along_x
        along_y *= along_y
        along_x += along_y
        np.sqrt(along_x, out=magnitudes[top : top + step])
    return magnitudes


def _below_quantile(values: np.ndarray, fraction: float) -> np.ndarray:
    """Values below their (linear) quantile, or up to it if none is below; reorders `values`.

    One partition serves both the quantile and the choice, several times faster than `numpy.quantile` and a mask.
    """
    position = fraction * (len(values) - 1)
    rank = int(position)
    values.partition(rank)
    head, tail, quantile = values[: rank + 1], values[rank + 1 :], values[rank]
    if position > rank and tail.min() > quantile:
        return head
    below = head[head < quantile]
    return below if below.size else values[values <= quantile]


@dataclass(frozen=True)
class ScoreOptions:
    """The choices that the paper leaves open in its scores; the arguments of the two functions above."""

    num_bins: int = 20
    percentiles: tuple[float, float] = (0.0, 100.0)
    limits: tuple[float, float] | None = None
    operator: str = "forward"
    edge_fraction: float = 0.1


def score_depth(depth: np.ndarray, valid: np.ndarray, options: ScoreOptions) -> dict[str, float]:
    """Both scores and the share of valid pixels, under the names of the columns of the score files."""
    return {
        "valid_fraction": float(np.count_nonzero(valid) / valid.size),
        "distribution": depth_distribution_score(depth, valid, options.num_bins, options.percentiles, options.limits),
        "gradient": gradient_continuity_score(depth, valid, options.operator, options.edge_fraction),
    }


@dataclass(frozen=True)
class SelectionRule:
    """Which samples are kept; the defaults are the paper's section 4.3.1.

    Attributes:
        min_valid: smallest share of valid pixels.
        drop: share with the lowest scores that is dropped, for each score.
        criterion: `each` drops by either score; `total` by their mean alone (the paper's S_total).
        scope: over which samples the shares are taken: each `dataset`, or all `pooled`. The paper's counts rule out
            pooled.
    """

    min_valid: float = 0.2
    drop: float = 0.2
    criterion: str = "each"
    scope: str = "dataset"


def select(scores: dict[str, np.ndarray], rule: SelectionRule) -> tuple[np.ndarray, dict[str, float]]:
    """Applies the rule to samples that belong together (one data set, or all for the scope `pooled`).

    Args:
        scores: columns `valid_fraction`, `distribution`, `gradient`, each (N,); NaN for unreadable samples.
        rule: the rule.

    Returns:
        Kept samples, bool (N,), and for each score used the lowest value that its own cut keeps.
    """
    keep = np.nan_to_num(scores["valid_fraction"]) >= rule.min_valid
    candidates = np.flatnonzero(keep)
    columns = {"distribution": scores["distribution"], "gradient": scores["gradient"]}
    if rule.criterion == "total":
        columns = {"total": (scores["distribution"] + scores["gradient"]) / 2}
    cuts = {}
    for name, column in columns.items():
        # NaN has no place in the order: such a sample has no gradient to judge and goes first; ties go by position
        values = np.nan_to_num(column[candidates], nan=-np.inf)
        order = np.argsort(values, kind="stable")
        dropped = int(rule.drop * len(candidates))
        keep[candidates[order[:dropped]]] = False
        cuts[name] = float(values[order[dropped]]) if dropped < len(candidates) else float("nan")
    return keep, cuts
