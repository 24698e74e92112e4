"""The protocols' public definitions written down once more, in NumPy and with other solvers, as references."""

import numpy as np
from scipy.optimize import linprog


def errors(p, g):
    ratio = np.maximum(p / g, g / p)
    e = np.log(p) - np.log(g)
    return {
        "abs_rel": np.mean(abs(p - g) / g),
        "sq_rel": np.mean((p - g) ** 2 / g),
        "rmse": np.sqrt(np.mean((p - g) ** 2)),
        "rmse_log": np.sqrt(np.mean(e**2)),
        "log10": np.mean(abs(np.log10(p / g))),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
        "i_rmse": np.sqrt(np.mean((1 / p - 1 / g) ** 2)),
        "silog": 100 * np.sqrt(np.mean(e**2) - np.mean(e) ** 2),
        "silog_half": np.sqrt(np.mean(e**2) - 0.5 * np.mean(e) ** 2),
    }


def normal_equations(p, d):
    """Scale and shift as MiDaS solves them, by Cramer's rule."""
    a, b, n = (p * p).sum(), p.sum(), p.size
    right = (p * d).sum(), d.sum()
    determinant = a * n - b * b
    return (n * right[0] - b * right[1]) / determinant, (a * right[1] - b * right[0]) / determinant


def least_absolute(columns, target, weights):
    """Coefficients of the smallest weighted sum of absolute residuals, by linear programming."""
    design = np.stack(columns, 1)
    count, size = design.shape
    cost = np.concatenate([np.zeros(size), weights, weights])
    equal = np.hstack([design, np.eye(count), -np.eye(count)])
    bounds = [(None, None)] * size + [(0, None)] * (2 * count)
    return linprog(cost, A_eq=equal, b_eq=target, bounds=bounds, method="highs").x[:size]


def masked_nearest(mask, grid):
    """Of each cell of a grid, the valid pixel whose centre is nearest to the cell's, by looking at all of them."""
    chosen = np.zeros_like(mask)
    size = [side / cells for side, cells in zip(mask.shape, grid)]
    for i in range(grid[0]):
        for j in range(grid[1]):
            middle = (i + 0.5) * size[0], (j + 0.5) * size[1]
            best = np.inf
            for r in range(max(0, int(middle[0] - size[0])), min(mask.shape[0], int(middle[0] + size[0]) + 1)):
                for c in range(max(0, int(middle[1] - size[1])), min(mask.shape[1], int(middle[1] + size[1]) + 1)):
                    y, x = r + 0.5 - middle[0], c + 0.5 - middle[1]
                    inside = -size[0] / 2 + 1e-7 < y <= size[0] / 2 + 1e-7
                    inside &= -size[1] / 2 + 1e-7 < x <= size[1] / 2 + 1e-7
                    if mask[r, c] and inside and x * x + y * y < best - 1e-9:
                        best, where = x * x + y * y, (r, c)
            if best < np.inf:
                chosen[where] = True
    return chosen


def edges(d, t):
    """Depth Pro's four foreground-background relations of an inverse depth map."""
    return [d[:, :-1] / d[:, 1:] > t, d[:-1] / d[1:] > t, d[:, 1:] / d[:, :-1] > t, d[1:] / d[:-1] > t]


def boundary_f1(p, g):
    thresholds = np.linspace(1.05, 1.25, 10)
    scores = []
    for t in thresholds:
        pairs = list(zip(edges(1 / p, t), edges(1 / g, t)))
        recall = np.mean([(a & b).sum() / max(b.sum(), 1) for a, b in pairs])
        precision = np.mean([(a & b).sum() / max(a.sum(), 1) for a, b in pairs])
        scores.append(2 * recall * precision / (recall + precision) if recall + precision else 0)
    return (thresholds * scores).sum() / thresholds.sum()


def plane_errors(p, g, mask, normal, camera):
    """iBims-1: spread in centimetres and angle in degrees of one plane, its principal axes by singular values."""
    fx, fy, cx, cy = camera
    rows, columns = np.nonzero(mask)
    z = p[mask] / (np.median(p[mask]) / np.median(g[mask]))
    points = np.stack([(columns - cx) * z / fx, (rows - cy) * z / fy, z], 1)
    centred = points - points.mean(0)
    found = np.linalg.svd(centred, full_matrices=False)[2][2]
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(normal, found)), abs(normal @ found)))
    return 100 * np.std(centred @ found), angle


def aligned(name, p, kind, g, v, low, high):
    """(prediction, truth) maps as a protocol compares them at valid pixels; `p` is of `kind`, float64 and positive."""
    inverse = p if kind == "disparity" else 1 / p
    depth = p if kind != "disparity" else 1 / p
    d, farthest = g[v], g[v].max()

    def clipped(values):
        return np.clip(values, low, high)

    if name in ("lotus", "depth-pro-boundary", "ordinal", "ibims-planarity", "depth-anything"):
        scale, shift = np.polyfit(inverse[v], 1 / d, 1)
        fitted = np.maximum(scale * inverse + shift, 1e-3)
        return (fitted, 1 / g) if name == "depth-anything" else (clipped(1 / fitted), g)
    if name == "marigold":
        scale, shift = np.polyfit(depth[v], d, 1)
        return np.maximum(clipped(scale * depth + shift), 1e-6), g
    if name in ("metric", "zoedepth"):
        return clipped(depth), g
    if name == "depth-anything-v2-metric":
        return depth, g
    if name == "midas":
        scale, shift = normal_equations(inverse[v], 1 / d)
        return 1 / np.maximum(scale * inverse + shift, 1 / high), g
    if name == "midas-median":
        middle, true_middle = np.median(inverse[v]), np.median(1 / d)
        spread, true_spread = np.mean(abs(inverse[v] - middle)), np.mean(abs(1 / d - true_middle))
        return 1 / np.maximum((inverse - middle) / spread * true_spread + true_middle, 1 / high), g
    if name == "moge-disparity":
        scale, shift = normal_equations(inverse[v], 1 / d)
        return 1 / np.maximum(scale * inverse + shift, 1 / farthest), g
    if name in ("moge-affine", "moge-scale"):
        chosen = masked_nearest(v, (64, 64))
        x, y = depth[chosen], g[chosen]
        columns = [x, np.ones_like(x)] if name == "moge-affine" else [x]
        scale, shift = [*least_absolute(columns, y, 1 / y), 0][:2]
        return np.maximum(scale * depth + shift, 1e-6), g
    if name == "pixel-perfect-depth":
        signal = {"log_depth": p, "depth": np.log1p(p), "metric_depth": np.log1p(p), "disparity": -np.log(p)}[kind]
        y = np.log1p(d)
        limit = np.median(abs(y - np.median(y)))
        near = np.ones(y.shape, bool)
        for _ in range(50):  # from all points to those that the line fits
            scale, shift = np.polyfit(signal[v][near], y[near], 1)
            near = abs(scale * signal[v] + shift - y) <= limit
        return np.clip(np.exp(scale * signal + shift) - 1, 1e-3, farthest), g
    if name == "monodepth2":
        return np.clip(depth * (np.median(d) / np.median(depth[v])), 1e-3, 80), g
    raise KeyError(name)
