"""From depth to 3-D: points, surface normals, and which pixels float between two surfaces.

Everything is in the camera's frame, OpenCV's: right-handed, x to the right, y down, z forward, in the unit of depth
(metres). Depth is z, the coordinate along the camera's axis, not the distance. Arrays and tensors are taken, and
results are of the same kind, on the same device.
"""

import numpy as np
import torch
import torch.nn.functional as F

from .alignment_spaces import as_tensor
from .camera import Intrinsics
from .depth_map import EDGE_THRESHOLD


def unproject(depth, intrinsics: Intrinsics):
    """
    The point that every pixel sees.

    Args:
        depth: (H, W) array or tensor of depth, never of disparity: align that first (`anydepth_hf.alignment`).
        intrinsics: of a picture of this size; those of another size of the same picture are scaled.

    Returns:
        (H, W, 3) x, y, z, of depth's kind and float type; NaN where depth is not finite and positive.

    Raises:
        ValueError: depth is no map, or the intrinsics are of a picture of another shape.
    """
    z = as_tensor(depth)
    if z.ndim != 2:
        raise ValueError(f"Depth must be a map (height, width), got the shape {tuple(z.shape)}.")
    height, width = z.shape
    camera = intrinsics.for_size(width, height)
    z = torch.where(z.isfinite() & (z > 0), z, torch.nan)
    columns = (torch.arange(width, dtype=torch.float64, device=z.device) - camera.cx) / camera.fx
    rows = (torch.arange(height, dtype=torch.float64, device=z.device) - camera.cy) / camera.fy
    points = torch.stack([z * columns.to(z.dtype), z * rows.to(z.dtype)[:, None], z], dim=-1)
    return points.numpy() if isinstance(depth, np.ndarray) else points


def project(points, intrinsics: Intrinsics):
    """Pixel coordinates (..., 2), each (x, y), of points (..., 3) in front of the camera; NaN behind it."""
    values = as_tensor(points)
    z = torch.where(values[..., 2] > 0, values[..., 2], torch.nan)
    x = values[..., 0] / z * intrinsics.fx + intrinsics.cx
    y = values[..., 1] / z * intrinsics.fy + intrinsics.cy
    pixels = torch.stack([x, y], dim=-1)
    return pixels.numpy() if isinstance(points, np.ndarray) else pixels


def surface_normals(points):
    """
    Unit normals of the surface that a map of points samples, facing the camera.

    Each is the cross product of the steps to a horizontal and a vertical neighbour; of the two neighbours in a
    direction the one of less difference in depth is taken, so that normals do not bend at edges. Exact on planes.

    Args:
        points: (H, W, 3) of `unproject`, NaN where unknown.

    Returns:
        (H, W, 3) of the points' kind; NaN where the point or its neighbours are unknown.
    """
    values = as_tensor(points)
    along_x, along_y = _smaller_step(values, (0, 1)), _smaller_step(values, (1, 0))
    normals = torch.linalg.cross(along_y, along_x, dim=-1)
    length = torch.linalg.vector_norm(normals, dim=-1, keepdim=True)
    normals = normals / torch.where(length > 0, length, torch.nan)
    return normals.numpy() if isinstance(points, np.ndarray) else normals


def normals_to_rgb(normals) -> np.ndarray:
    """
    Normals as a picture (H, W, 3) uint8, in the usual colours: red to the right, green up, blue towards the camera.

    Each component from -1 to 1 becomes 0 to 255, in axes x right, y up, z towards the viewer; unknown ones are black.
    """
    values = as_tensor(normals).cpu().double().numpy() * (1, -1, -1)
    colors = np.where(np.isfinite(values), (values + 1) * 127.5, 0)
    return colors.round().clip(0, 255).astype(np.uint8)


def flying_pixels(depth, threshold: float = EDGE_THRESHOLD, radius: int | None = None):
    """
    Pixels that float between a near and a far surface, where a map is smeared over an edge.

    The rule: across a pixel, from one neighbour to the one opposite, inverse depth changes by more than `threshold` of
    the pixel's own beyond what the slopes of its surroundings, on either side, explain; in any of the four directions.
    Planes are linear in inverse depth, so that even a floor at the horizon, which changes faster than any edge, stays
    whole, and so do the corners of a room.

    Args:
        depth: (H, W) array or tensor of depth.
        threshold: relative change of depth, 0.04 for 4 %.
        radius: pixels on both sides that make up the surroundings; neighbours are a quarter of it away. By default
            1/64 of the longer side, and at least 6.

    Returns:
        (H, W) bool, of depth's kind. Unknown depths are not flying, and say nothing of their neighbours.
    """
    z = as_tensor(depth)
    if threshold <= 0:
        raise ValueError(f"The threshold of edges must be positive, got {threshold}.")
    radius = max(6, -(-max(z.shape) // 64)) if radius is None else radius
    near = max(1, radius // 4)
    known = z.isfinite() & (z > 0)
    inverse = torch.where(known, 1 / torch.where(known, z, 1), torch.nan)
    flying = torch.zeros_like(known)
    for direction in ((0, 1), (1, 0), (1, 1), (1, -1)):
        close = _slopes(inverse, direction, near)
        # where the surroundings are not known on a side, the next step on it stands for them, else that on the other
        wide = torch.stack(
            [
                _first_known(far, this, other)
                for far, this, other in zip(_slopes(inverse, direction, radius), close, reversed(close))
            ]
        )
        close = _first_known((close[0] + close[1]) / 2, *close)
        low, high = wide.amin(dim=0), wide.amax(dim=0)
        excess = 2 * near * torch.maximum(close - high, low - close)
        flying |= excess > threshold * inverse  # NaN compares false
    return flying.numpy() if isinstance(depth, np.ndarray) else flying


def _shifted(values: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The value that lies so many rows below and columns to the right; NaN beyond the border."""
    height, width = values.shape[:2]
    padding = [max(-columns, 0), max(columns, 0), max(-rows, 0), max(rows, 0)]
    padding = [0, 0] * (values.ndim - 2) + padding
    top, left = max(rows, 0), max(columns, 0)
    return F.pad(values, padding, value=torch.nan)[top : top + height, left : left + width]


def _smaller_step(points: torch.Tensor, direction: tuple[int, int]) -> torch.Tensor:
    behind, ahead = _slopes(points, direction, 1)
    take_ahead = (ahead[..., 2:].abs() <= behind[..., 2:].abs()) | behind[..., 2:].isnan()
    return torch.where(take_ahead, ahead, behind)


def _slopes(values: torch.Tensor, direction: tuple[int, int], reach: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Change per step along a direction, over the `reach` steps behind every pixel and over those ahead."""
    rows, columns = direction[0] * reach, direction[1] * reach
    ahead = (_shifted(values, rows, columns) - values) / reach
    behind = (values - _shifted(values, -rows, -columns)) / reach
    return behind, ahead


def _first_known(*candidates: torch.Tensor) -> torch.Tensor:
    """For every pixel the first candidate that is not NaN."""
    result = candidates[-1]
    for candidate in reversed(candidates[:-1]):
        result = torch.where(candidate.isnan(), result, candidate)
    return result
