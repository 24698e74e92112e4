"""Planarity errors: are true planes flat in the prediction, and do they face the right way?

The errors are those of iBims-1 (Koch et al., arXiv 1805.01328). Its planes are drawn by hand; `find_planes` takes them
from ground truth instead.
"""

import math

import torch

from anydepth_hf.linear_fit import median

SMALLEST = 0.05  # share of the image, as in the source
TOLERANCE = 0.01  # relative error of depth that a plane's pixels may have
MOST = 8
HYPOTHESES = 256
REACH = 0.1  # of the longer side: how far apart the three pixels of a hypothesis are at most
Camera = tuple[float, float, float, float]
"""fx, fy, cx, cy in pixels; pixel centres are integers."""


def planarity(predicted: torch.Tensor, depth: torch.Tensor, valid: torch.Tensor, camera: Camera) -> tuple | None:
    """Mean flatness (centimetres) and angle (degrees) over the planes of the ground truth; `None` if it has none.

    Args:
        predicted, depth: (H, W) metres; `valid`: bool (H, W).
        camera: of the ground truth.
    """
    errors = [
        plane_errors(predicted[plane], depth[plane], *plane.nonzero(as_tuple=True), camera)
        for plane in find_planes(depth, valid)
    ]
    return tuple(sum(values) / len(errors) for values in zip(*errors)) if errors else None


def plane_errors(predicted, depth, rows, columns, camera: Camera) -> tuple[float, float]:
    """Spread about the fitted plane in centimetres, and angle between its normal and the true one in degrees.

    Args:
        predicted, depth: (N,) depths of one plane's pixels; the prediction is scaled by the ratio of the medians.
        rows, columns: (N,) pixel positions.
        camera: of the picture.
    """
    middle = torch.stack([median(values.double()) for values in (depth, predicted)])
    fitted, spread = _fit_plane(_points(predicted.double() * middle[0] / middle[1], rows, columns, camera))
    normal, _ = _fit_plane(_points(depth.double(), rows, columns, camera))
    cross, cosine = torch.linalg.cross(normal, fitted).norm(), (normal @ fitted).abs()
    return 100 * float(spread), math.degrees(math.atan2(float(cross), float(cosine)))


def find_planes(depth: torch.Tensor, valid: torch.Tensor) -> list[torch.Tensor]:
    """Masks, bool (H, W), of the largest planes of a depth map, each at least `SMALLEST` of the image.

    Planes are affine functions of the pixel in 1 / depth, whatever the camera's focal length. One after the other the
    best of random hypotheses (three pixels near each other) is taken, refitted, and its pixels are removed.
    """
    height, width = depth.shape
    generator = torch.Generator().manual_seed(0)
    rows, columns = valid.cpu().nonzero(as_tuple=True)
    inverse = 1 / depth.cpu()[rows, columns].double()
    design = torch.stack([columns / width, rows / height, torch.ones(len(rows))], dim=1).double()
    free = torch.ones(len(rows), dtype=torch.bool)
    where = torch.full(depth.shape, -1)
    where[rows, columns] = torch.arange(len(rows))
    found = []
    while len(found) < MOST and free.sum() >= SMALLEST * height * width:
        plane = _best_plane(design, inverse, free, where, rows, columns, generator)
        if plane is None or plane.sum() < SMALLEST * height * width:
            break
        mask = torch.zeros(depth.shape, dtype=torch.bool)
        mask[rows[plane], columns[plane]] = True
        found.append(mask.to(depth.device))
        free &= ~plane
    return found


def _best_plane(design, inverse, free, where, rows, columns, generator):
    """Which points lie on the best plane; `None` if the hypotheses are all degenerate."""
    candidates = free.nonzero()[:, 0]
    anchors = candidates[torch.randint(len(candidates), (HYPOTHESES,), generator=generator)]
    height, width = where.shape
    reach = max(2, int(REACH * max(height, width)))
    offsets = torch.randint(-reach, reach + 1, (2, 2, HYPOTHESES), generator=generator)
    others = where[
        (rows[anchors] + offsets[0]).clamp(0, height - 1), (columns[anchors] + offsets[1]).clamp(0, width - 1)
    ]
    points = torch.stack([anchors, *others], dim=1)
    usable = (others >= 0).all(dim=0) & free[points.clamp(min=0)].all(dim=1)
    planes, failed = torch.linalg.solve_ex(design[points[usable]], inverse[points[usable]])
    planes = planes[(failed == 0) & planes.isfinite().all(dim=1)]
    if not len(planes):
        return None
    scored = candidates[torch.linspace(0, len(candidates) - 1, min(len(candidates), 4096)).round().long()]
    # relative error of depth: |1 - fitted / true| in disparity, to first order
    errors = (design[scored] @ planes.T / inverse[scored, None] - 1).abs()
    coefficients = planes[(errors < TOLERANCE).sum(dim=0).argmax()]
    for _ in range(3):
        inliers = free & ((design @ coefficients / inverse - 1).abs() < TOLERANCE)
        if inliers.sum() < 3:
            return None
        coefficients = torch.linalg.lstsq(design[inliers], inverse[inliers, None]).solution[:, 0]
    return free & ((design @ coefficients / inverse - 1).abs() < TOLERANCE)


def _points(depth: torch.Tensor, rows, columns, camera: Camera) -> torch.Tensor:
    fx, fy, cx, cy = camera
    return torch.stack([(columns - cx) * depth / fx, (rows - cy) * depth / fy, depth], dim=1)


def _fit_plane(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The normal of least squares, and the standard deviation of the distances to the plane."""
    centred = points - points.mean(dim=0)
    normal = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, 0]
    return normal, (centred @ normal).square().mean().sqrt()
