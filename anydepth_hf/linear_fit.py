"""Linear fits of few coefficients to many points, some of which may be wrong: RANSAC, M-estimates, L1.

All take float64 tensors of one device: a design matrix (N, k), targets (N,) and weights (N,) that are not negative.
They are deterministic: random subsets come from a seeded generator on the CPU, whatever the device.
"""

import math
from dataclasses import dataclass

import torch

SCORED_POINTS = 4096  # hypotheses are scored on so many points at most; the final fit is on all of them
ANCHORS = 1024  # the truncated L1 fit costs the square of its points
CUTOFF = 2.5  # residuals beyond so many robust standard deviations are outliers (Rousseeuw and Leroy 1987)
CHECKED = 64  # where the descent of `least_absolute` stops, so many points nearest to the line are tried as well
TUKEY = 4.685  # 95 % efficiency with Gaussian noise


@dataclass(frozen=True)
class LinearFit:
    """Coefficients (k,), which points are inliers (N,) bool, and the weights (N,) that the last step gave them."""

    coefficients: torch.Tensor
    inliers: torch.Tensor
    weights: torch.Tensor


def fit_line(prediction: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """(2,) float64 scale and shift of the least squares fit of two vectors."""
    # The centred closed form is as accurate as an SVD of the (N, 2) system and runs on every device.
    prediction, target = prediction.double(), target.double()
    if weights is None:
        mean, total, count = torch.mean, torch.sum, prediction.numel()
    else:
        count = weights.sum()
        mean, total = (lambda values: (weights * values).sum() / count), (lambda values: (weights * values).sum())
    mean_prediction, mean_target = mean(prediction), mean(target)
    centred = prediction - mean_prediction
    variation = total(centred.square())
    # Singular values of [prediction, 1]: their product is sqrt(N * variation), their squares add up to `trace`.
    trace = total(prediction.square()) + count
    full_rank = (count * variation).sqrt() > torch.finfo(torch.float64).eps * max(prediction.numel(), 2) * trace
    scale = total(centred * (target - mean_target)) / variation
    line = torch.stack([scale, mean_target - scale * mean_prediction])
    least_norm = torch.stack([mean_prediction, torch.ones_like(mean_prediction)]) * (
        mean_target / (mean_prediction.square() + 1)
    )
    return torch.where(full_rank, line, least_norm)


def weighted_least_squares(design: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """
    Coefficients (k,) that minimise `sum(weights * (design @ coefficients - target) ** 2)`; ValueError where the points
    do not determine them.
    """
    root = weights.sqrt()[:, None]
    q, r = torch.linalg.qr(design * root)
    diagonal = r.diagonal().abs()
    if len(target) < design.shape[1] or diagonal.min() <= 1e-12 * diagonal.max().clamp(min=1e-300):
        raise ValueError(
            f"{len(target)} points do not determine {design.shape[1]} numbers: the prediction is the same at all of "
            "them, or there are too few."
        )
    return torch.linalg.solve_triangular(r, q.T @ (target[:, None] * root), upper=True)[:, 0]


def standard_errors(design: torch.Tensor, target: torch.Tensor, fit: LinearFit) -> torch.Tensor:
    """Standard errors (k,) of a fit's coefficients, as if residuals were independent; NaN without points to spare."""
    used = fit.weights > 0
    spare = int(used.sum()) - design.shape[1]
    if spare < 1:
        return torch.full_like(fit.coefficients, math.nan)
    residual = design @ fit.coefficients - target
    variance = (fit.weights * residual.square()).sum() / spare
    r = torch.linalg.qr(design * fit.weights.sqrt()[:, None], mode="r").R
    if r.diagonal().abs().min() == 0:
        return torch.full_like(fit.coefficients, math.nan)
    inverse = torch.linalg.solve_triangular(r, torch.eye(len(r), dtype=r.dtype, device=r.device), upper=True)
    return (inverse.square().sum(dim=1) * variance).sqrt()


def least_squares(design: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, *_, **__) -> LinearFit:
    """Weighted least squares over all points; a line in closed form, so that constant predictions have a fit too."""
    if design.shape[1] == 2:
        coefficients = fit_line(design[:, 0], target, weights)
    else:
        coefficients = weighted_least_squares(design, target, weights)
    return LinearFit(coefficients, weights > 0, weights)


def median_fit(design: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, *_, **__) -> LinearFit:
    """MiDaS's alignment by median and mean absolute deviation; without a shift, the ratio of the medians.

    Of two middle values MiDaS takes the lower as the median, the ratio (monodepth2's) their mean. Weights only leave
    out points of weight 0. MiDaS's scale is always positive.
    """
    used = weights > 0
    x, y = design[used, 0], target[used]
    if design.shape[1] == 1:
        coefficients = (median(y) / median(x))[None]
    else:
        scale = (y - y.median()).abs().mean() / (x - x.median()).abs().mean()
        coefficients = torch.stack([scale, y.median() - scale * x.median()])
    return LinearFit(coefficients, used, used.to(target.dtype))


def median(values: torch.Tensor) -> torch.Tensor:
    """The median as NumPy has it: of an even number of values, the mean of the two in the middle."""
    count = len(values)
    return (values.kthvalue((count + 1) // 2).values + values.kthvalue(count // 2 + 1).values) / 2


def ransac(
    design: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor,
    threshold: float | None = None,
    trials: int = 1000,
    seed: int = 0,
) -> LinearFit:
    """
    The line through few points that most points agree with, then least squares over those inliers.

    With a threshold it is MSAC (Torr and Zisserman 2000). Without one the best line has the least median of squared
    residuals, and inliers lie within 2.5 robust standard deviations of it (Rousseeuw 1984): right as long as less than
    half of the points are wrong. All subsets are tried where there are no more than `trials`, else random ones.

    Args:
        design, target, weights: points; those of greater weight are drawn more often.
        threshold: largest residual of an inlier, in the target's unit.
        trials: number of subsets tried.
        seed: seed of the random subsets.
    """
    start, threshold = _best_hypothesis(design, target, weights, threshold, trials, seed)
    inliers = (design @ start - target).abs() <= threshold
    coefficients = start
    for _ in range(20):
        coefficients = weighted_least_squares(design, target, weights * inliers)
        now = (design @ coefficients - target).abs() <= threshold
        if torch.equal(now, inliers) or now.sum() < design.shape[1]:
            break
        inliers = now
    return LinearFit(coefficients, inliers, weights * inliers)


def tukey_irls(
    design: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor,
    threshold: float | None = None,
    trials: int = 1000,
    seed: int = 0,
) -> LinearFit:
    """
    Iteratively reweighted least squares with Tukey's bisquare weights, from the start that RANSAC finds.

    This is an MM-estimate (Yohai 1987): it withstands as many outliers as `ransac`, and lets doubtful points count in
    part. Outliers have weight 0. Arguments as in `ransac`; the bisquare reaches 0 at 4.685 / 2.5 thresholds.
    """
    coefficients, threshold = _best_hypothesis(design, target, weights, threshold, trials, seed)
    width = TUKEY / CUTOFF * threshold
    robust = weights
    for _ in range(100):
        residual = (design @ coefficients - target).abs()
        robust = weights * (1 - (residual / width).square()).clamp(min=0).square()
        before, coefficients = coefficients, weighted_least_squares(design, target, robust)
        if torch.allclose(before, coefficients, rtol=1e-10, atol=0):
            break
    return LinearFit(coefficients, robust > 0, robust)


def truncated_l1(
    design: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor,
    threshold: float | None = None,
    trials: int = 1000,
    seed: int = 0,
) -> LinearFit:
    """
    The minimum of `sum(min(weights * abs(residual), threshold))`, MoGe's alignment (arXiv 2410.19115, appendix A).

    The best line goes through one of the points (through the origin without a shift): for each of them the sum is a
    piecewise linear function of the slope, whose minimum is found by sorting. Exact for up to 1,024 points; of more,
    1,024 are taken at equal steps.

    Args:
        design: (N, 2), the second column ones, or (N, 1).
        threshold: truncation, of weighted residuals. By default that of `ransac`'s inliers.
    """
    if threshold is None:
        unit = torch.ones_like(weights)
        threshold = _best_hypothesis(design, target, unit, None, trials, seed)[1] * float(weights.median())
    picked = torch.linspace(0, len(target) - 1, min(len(target), ANCHORS), device=target.device).round().long()
    picked = picked[weights[picked] > 0]
    x, y, w = design[picked, 0], target[picked], weights[picked]
    zero = x.new_zeros(1)
    anchor_x, anchor_y = (x, y) if design.shape[1] == 2 else (zero, zero)
    best = (math.inf, 0.0, 0)
    for start in range(0, len(anchor_x), 128):
        part = slice(start, start + 128)
        run = x - anchor_x[part, None]
        reach = w * run.abs()
        usable = reach > 0
        center = torch.where(usable, (y - anchor_y[part, None]) / torch.where(usable, run, 1.0), 0.0)
        half = threshold / torch.where(usable, reach, 1.0)
        reach = reach * usable
        # the sum bends where a residual falls below the threshold, at its zero, and where it leaves again
        bends, order = torch.cat([center - half, center, center + half], dim=1).sort(dim=1)
        slope = torch.cat([-reach, 2 * reach, -reach], dim=1).gather(1, order).cumsum(dim=1)
        drop = torch.nn.functional.pad((slope[:, :-1] * bends.diff(dim=1)).cumsum(dim=1), (1, 0))
        constant = torch.where(usable, threshold, (w * (y - anchor_y[part, None]).abs()).clamp(max=threshold))
        value, index = (drop + constant.sum(dim=1, keepdim=True)).min(dim=1)
        row = int(value.argmin())
        if float(value[row]) < best[0]:
            best = (float(value[row]), float(bends[row, index[row]]), start + row)
    _, slope, row = best
    coefficients = x.new_tensor([slope, float(anchor_y[row]) - slope * float(anchor_x[row])][: design.shape[1]])
    inliers = weights * (design @ coefficients - target).abs() <= threshold
    return LinearFit(coefficients, inliers, weights * inliers)


def least_absolute(design: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, *_, **__) -> LinearFit:
    """
    The line (or, of one column, the factor) of least `sum(weights * abs(residual))`; no point is left out.

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


def _best_hypothesis(design, target, weights, threshold, trials, seed) -> tuple[torch.Tensor, float]:
    """Coefficients of the best subset and the threshold of its inliers."""
    size = design.shape[1]
    generator = torch.Generator().manual_seed(seed)
    chance = weights.cpu()
    positive = chance.nonzero()[:, 0]
    if len(positive) < size:
        raise ValueError(f"A fit of {size} numbers needs at least {size} points of positive weight.")
    if math.comb(len(positive), size) <= trials:
        subsets = positive[torch.combinations(torch.arange(len(positive)), size)]
    else:
        subsets = _draw(chance, positive, trials * size, generator).reshape(trials, size)
    scored = positive
    if len(positive) > SCORED_POINTS or not torch.equal(chance[positive], chance[positive[:1]].expand(len(positive))):
        scored = _draw(chance, positive, SCORED_POINTS, generator)
    subsets, scored = subsets.to(target.device), scored.to(target.device)
    candidates, failed = torch.linalg.solve_ex(design[subsets], target[subsets])
    candidates = candidates[(failed == 0) & candidates.isfinite().all(dim=1)]
    if len(candidates) == 0:
        raise ValueError("The prediction is the same at all known points: they determine no scale.")
    residuals = (candidates @ design[scored].T - target[scored]).abs()
    if threshold is not None:
        score = residuals.square().clamp(max=threshold**2).sum(dim=1)
        return candidates[score.argmin()], float(threshold)
    count = len(scored)
    median, best = residuals.kthvalue(min(count, (count + size + 1) // 2), dim=1).values.min(dim=0)
    deviation = 1.4826 * (1 + 5 / max(count - size, 1)) * median
    # exact data have no deviation, but rounding
    return candidates[best], max(CUTOFF * float(deviation), 1e-6 * float(target.abs().median()))


def _draw(chance, positive, count, generator) -> torch.Tensor:
    """Indices of `count` points, drawn with replacement and by weight."""
    cumulative = chance[positive].cumsum(0)
    draws = torch.rand(count, generator=generator, dtype=torch.float64) * cumulative[-1]
    return positive[torch.searchsorted(cumulative, draws, right=True).clamp(max=len(positive) - 1)]
