"""Focal lengths estimated from a depth map in metres, where neither EXIF data nor a field of view are known.

A plane's inverse depth is linear in pixel coordinates whatever the focal length, so planes are found without it:
`1 / z = a (u - cx) + b (v - cy) + c` is the plane of normal `(a f, b f, c)`. What is known of the planes, their
distance or the angle between two of them, then gives f. Pixels are taken to be square, and the principal point to be
in the middle.
"""

import math
from itertools import combinations

import numpy as np
import torch

from .alignment_spaces import as_tensor
from .camera import Intrinsics
from .linear_fit import ransac

_PLANES = 6  # at most so many are looked for
_SHARE = 0.04  # of the pixels, that a plane must cover
_TOLERANCE = 0.01  # of inverse depth: how flat a plane is
_PIXELS = 20_000
_FOV = (15, 150)  # degrees across the longer side that are believed
_SLANT = 0.03  # product of the normals' components along the axis, from which a pair tells a focal length
_ANGLE = math.radians(3)  # pairs within so much of a right angle agree with a focal length


def estimate_from_camera_height(depth, height: float, ground=None, seed: int = 0) -> Intrinsics:
    """
    The focal length at which the ground plane lies at the camera's height below it.

    Args:
        depth: (H, W) depth in metres that does not itself come from the camera's height.
        height: of the camera above the ground, metres.
        ground: (H, W) bool, pixels of the ground; by default the lowest third of the picture.
        seed: of the robust fit.

    Raises:
        ValueError: no plane, or none that the height fits.
    """
    pixels, inverse, size = _pixels(depth, ground if ground is not None else "lowest third")
    a, b, c = _plane(pixels, inverse, seed)[0].tolist()
    rest = 1 / height**2 - c**2 if height > 0 else -1.0
    if rest <= 0 or math.hypot(a, b) == 0:
        raise ValueError(f"No focal length puts the ground plane {height:g} m below the camera.")
    return _believable(math.sqrt(rest) / math.hypot(a, b), size, f"a camera {height:g} m above the ground")


def estimate_from_right_angles(depth, valid=None, seed: int = 0) -> Intrinsics:
    """
    The focal length at which most flat surfaces are perpendicular to each other, as floors, walls and boxes are.

    It shows only where the camera looks neither level nor straight at a wall: then two of them are seen at a slant.
    The depth must be right up to its scale; a wrong shift of the alignment bends the surfaces and the result.

    Args:
        depth: (H, W) depth.
        valid: (H, W) bool, pixels to use.
        seed: of the robust fits.

    Raises:
        ValueError: no two surfaces tell the focal length.
    """
    pixels, inverse, size = _pixels(depth, valid)
    total = len(inverse)
    planes: list = []
    while len(planes) < _PLANES and len(inverse) >= _SHARE * total:
        coefficients, inliers = _plane(pixels, inverse, seed)
        if inliers.sum() < _SHARE * total:
            break
        planes.append((coefficients.tolist(), int(inliers.sum())))
        pixels, inverse = pixels[~inliers], inverse[~inliers]
    candidates = []
    for ((a, b, c), _), ((d, e, g), _) in combinations(planes, 2):
        across, along = a * d + b * e, c * g
        if across * along < 0:
            focal = math.sqrt(-along / across)
            lengths = math.hypot(a * focal, b * focal, c) * math.hypot(d * focal, e * focal, g)
            # surfaces seen along or across the axis are perpendicular at any focal length
            if abs(along) > _SLANT * lengths:
                candidates.append(focal)
    low, high = (max(size) / 2 / math.tan(math.radians(angle) / 2) for angle in reversed(_FOV))
    candidates = [focal for focal in candidates if low <= focal <= high]
    if not candidates:
        raise ValueError(
            "No two flat surfaces at a right angle tell the focal length: the camera looks level or straight at a "
            "wall, or there are none. Give a field of view instead."
        )
    best = max(candidates, key=lambda focal: _agreement(planes, focal))
    agreeing = [focal for focal in candidates if abs(math.log(focal / best)) < 0.05]
    return _believable(float(np.median(agreeing)), size, "right angles between surfaces, estimated")


def _pixels(depth, mask) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """Pixel coordinates from the middle with ones (N, 3), inverse depth (N,), and the size (width, height)."""
    z = as_tensor(depth).double()
    if z.ndim != 2:
        raise ValueError(f"Depth must be a map (height, width), got the shape {tuple(z.shape)}.")
    height, width = z.shape
    usable = z.isfinite() & (z > 0)
    if isinstance(mask, str):
        usable[: height - max(1, height // 3)] = False
    elif mask is not None:
        usable &= torch.as_tensor(mask, device=z.device).bool()
    rows, columns = usable.nonzero(as_tuple=True)
    if len(rows) < 100:
        raise ValueError(f"Only {len(rows)} pixels have depth; a focal length needs 100.")
    step = -(-len(rows) // _PIXELS)
    rows, columns = rows[::step], columns[::step]
    x, y = columns - (width - 1) / 2, rows - (height - 1) / 2
    return torch.stack([x, y, torch.ones_like(x)], dim=1).to(z.dtype), 1 / z[rows, columns], (width, height)


def _plane(pixels: torch.Tensor, inverse: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coefficients (a, b, c) of the largest plane and the pixels on it."""
    ones = torch.ones_like(inverse)
    fit = ransac(pixels, inverse, ones, threshold=_TOLERANCE * float(inverse.median()), trials=2000, seed=seed)
    return fit.coefficients, fit.inliers


def _agreement(planes, focal: float) -> float:
    """Pixels of the pairs of planes that are perpendicular at this focal length."""
    total = 0.0
    for ((a, b, c), first), ((d, e, g), second) in combinations(planes, 2):
        one, other = np.array([a * focal, b * focal, c]), np.array([d * focal, e * focal, g])
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        total += min(first, second) * max(0.0, 1 - (math.asin(min(1, abs(cosine))) / _ANGLE) ** 2)
    return total


def _believable(focal: float, size: tuple[int, int], source: str) -> Intrinsics:
    intrinsics = Intrinsics.from_focal(focal, *size, source)
    angle = max(intrinsics.fov())
    if not _FOV[0] <= angle <= _FOV[1]:
        raise ValueError(f"The focal length from {source} would mean a field of view of {angle:.0f} degrees.")
    return intrinsics
