"""Weighted least absolute deviations: the exact minimum of `sum(weights * abs(design @ coefficients - target))`."""

import torch

from .linear_fit import LinearFit, weighted_least_squares

CHECKED = 64  # where the descent stops, so many points nearest to the line are tried as well


def least_absolute(design: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, *_, **__) -> LinearFit:
    """
    The line (or, of one column, the factor) of least weighted absolute deviations; no point is left out.

    A best line goes through two of the points. From the least squares line the descent turns about one point until
    the sum is smallest, a weighted median, then about the point it met (Bloomfield and Steiger 1983). The sum is
    convex, so where no turn helps it is the minimum; points that share one line could stop it early, which turns about
    more points exclude.

    Args:
        design: (N, 2), the second column ones, or (N, 1), float64.
        target, weights: (N,), float64; weights are not negative.

    Raises:
        ValueError: the points do not determine the coefficients.
    """
    used = weights > 0
    x, y, w = design[used, 0], target[used], weights[used]
    if design.shape[1] == 1:
        factor, _ = _best_slope(x, y, w)
        return LinearFit(factor[None], used, weights)
    line = weighted_least_squares(design[used], y, w)  # says so where the points determine no line
    best = w @ (x * line[0] + line[1] - y).abs()
    while True:
        residual = (x * line[0] + line[1] - y).abs()
        anchors = residual.topk(min(CHECKED, len(residual)), largest=False).indices.tolist()
        for anchor in anchors:
            slope, partner = _best_slope(x - x[anchor], y - y[anchor], w)
            turned = torch.stack([slope, y[anchor] - slope * x[anchor]])
            value = w @ (x * turned[0] + turned[1] - y).abs()
            if value < best * (1 - 1e-14):
                line, best = turned, value
                break
        else:
            return LinearFit(line, used, weights)


def _best_slope(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The slope of least `sum(w * abs(slope * x - y))`, the lower weighted median of y / x, and the point it meets."""
    counts = x != 0
    if not counts.any():
        raise ValueError("The prediction is the same at all known points: they determine no scale.")
    slopes, order = (y[counts] / x[counts]).sort()
    reach = (w[counts] * x[counts].abs())[order].cumsum(0)
    index = int(torch.searchsorted(reach, reach[-1:] / 2))
    return slopes[index], int(counts.nonzero()[order[index], 0])
