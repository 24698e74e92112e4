"""Point clouds and triangle meshes of depth maps, in metres."""

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from .camera import Intrinsics
from .depth_map import DepthMap
from .geometry import EDGE_THRESHOLD, flying_pixels, surface_normals, unproject
from .image_io import as_rgb, open_image


@dataclass(frozen=True)
class PointCloud:
    """
    Points of one picture, and the triangles between them if it is a mesh.

    Axes are the camera's: right-handed, x to the right, y down, z forward; metres.

    Args:
        points: (N, 3) float32.
        normals: (N, 3) float32 of unit length, facing the camera.
        pixels: (N, 2) float32, where the picture shows each point: column, row.
        intrinsics: the camera.
        colors: (N, 3) uint8 RGB, or `None`.
        triangles: (M, 3) int32 indices of points, counter-clockwise as seen by the camera; `None` for points alone.
        info: what files say about it, e.g. `{"model": ..., "calibration": ...}`; plain text.
    """

    points: np.ndarray
    normals: np.ndarray
    pixels: np.ndarray
    intrinsics: Intrinsics
    colors: np.ndarray | None = None
    triangles: np.ndarray | None = None
    info: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def save(self, path: str | os.PathLike) -> Path:
        """Writes the file that the name's ending asks for: `.ply`, `.glb`, or `.html`, a page that works offline."""
        from .point_cloud_files import save_point_cloud

        return save_point_cloud(self, path)


def point_cloud(
    depth,
    intrinsics: Intrinsics | None = None,
    image=None,
    valid=None,
    edge_threshold: float | None = EDGE_THRESHOLD,
    max_depth: float | None = None,
    max_points: int | None = None,
    voxel_size: float | None = None,
) -> PointCloud:
    """
    The points that a depth map shows.

    Args:
        depth: (H, W) array or tensor of depth in metres, or a `DepthMap` (`read_depth`). One without unit is refused:
            align it first.
        intrinsics: the camera; by default those that the depth file holds.
        image: the picture, for colours: a path, a PIL image or (H, W, 3) uint8; resized to depth's size.
        valid: (H, W) bool, the pixels to take; by default those of finite, positive depth.
        edge_threshold: leave out `flying_pixels` by this threshold; `None` keeps them.
        max_depth: leave out what is farther, in metres.
        max_points: take every second, third ... row and column, so that there are no more points than this.
        voxel_size: one point in each cube of this side, in metres: the mean of those in it.

    Raises:
        ValueError: a map without a unit, no intrinsics, unequal sizes, or no pixel left.
    """
    pixels, keep = _pixels(depth, intrinsics, image, valid, edge_threshold, max_depth)
    stride = _stride(max_points, lambda step: keep[::step, ::step].sum())
    taken = np.zeros_like(keep)
    taken[::stride, ::stride] = keep[::stride, ::stride]
    cloud = _select(pixels, taken)
    return cloud if voxel_size is None else _one_a_voxel(cloud, voxel_size)


def mesh(
    depth,
    intrinsics: Intrinsics | None = None,
    image=None,
    valid=None,
    edge_threshold: float | None = EDGE_THRESHOLD,
    max_depth: float | None = None,
    max_points: int | None = None,
) -> PointCloud:
    """
    The surface that a depth map shows: two triangles between each four neighbouring pixels.

    There are none across edges: where a pixel between the corners is flying or left out, the surface has a hole.
    Arguments as in `point_cloud`; with `max_points`, every second, third ... row and column is taken.

    Returns:
        A `PointCloud` with `triangles`.
    """
    pixels, keep = _pixels(depth, intrinsics, image, valid, edge_threshold, max_depth)
    height, width = keep.shape
    stride = _stride(max_points, lambda step: -(-height // step) * -(-width // step))
    if min(height, width) <= stride:
        raise ValueError(f"A mesh of {width} x {height} pixels needs more points than max_points={max_points}.")
    # a square is whole if every pixel in it, corners and border included, is kept
    rows, columns = (np.arange(0, side - stride, stride) for side in (height, width))
    removed = np.pad(np.cumsum(np.cumsum(~keep, 0), 1), ((1, 0), (1, 0)))
    bottom, right = rows + stride + 1, columns + stride + 1
    holes = (
        removed[bottom][:, right] - removed[rows][:, right] - removed[bottom][:, columns] + removed[rows][:, columns]
    )
    row, column = np.nonzero(holes == 0)
    corner = rows[row] * width + columns[column]
    below, beside = corner + stride * width, corner + stride
    triangles = np.concatenate([np.stack([corner, below, beside], 1), np.stack([beside, below, below + stride], 1)])
    if len(triangles) == 0:
        raise ValueError("No four neighbouring pixels form a surface: all lie on edges or are left out.")
    used = np.zeros(height * width, bool)
    used[triangles] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    return replace(_select(pixels, used), triangles=number[triangles])


def _stride(max_points: int | None, points_of: Callable[[int], int]) -> int:
    """The smallest step between rows and columns that leaves no more than `max_points`."""
    if max_points is None:
        return 1
    if max_points < 1:
        raise ValueError(f"max_points must be at least 1, got {max_points}.")
    return next(step for step in itertools.count(1) if points_of(step) <= max_points)


def _pixels(depth, intrinsics, image, valid, edge_threshold, max_depth) -> tuple[PointCloud, np.ndarray]:
    """A point for each pixel of a map, row by row, and (H, W) bool, which of them are kept."""
    info = {}
    if isinstance(depth, DepthMap):
        depth = depth.to_depth()
        info = _info(depth)
        valid = depth.valid if valid is None else valid
        if depth.sky is not None:
            valid = valid & ~depth.sky
        intrinsics = depth.intrinsics if intrinsics is None else intrinsics
        depth = depth.values
    if hasattr(depth, "detach"):
        depth = depth.detach().float().cpu().numpy()
    depth = np.asarray(depth)
    if depth.ndim != 2:
        raise ValueError(f"Depth must be a map (height, width), got the shape {depth.shape}.")
    if intrinsics is None:
        raise ValueError(NO_INTRINSICS)
    height, width = depth.shape
    if valid is not None and np.shape(valid) != depth.shape:
        raise ValueError(f"valid must have depth's shape {depth.shape}, got {np.shape(valid)}.")
    points = unproject(depth, intrinsics)
    keep = np.isfinite(points[..., 2])
    if valid is not None:
        keep &= np.asarray(valid, dtype=bool)
    if max_depth is not None:
        keep &= ~(depth > max_depth)
    if edge_threshold is not None:
        keep &= ~flying_pixels(depth, edge_threshold)
    normals = surface_normals(np.where(keep[..., None], points, np.nan))
    keep &= np.isfinite(normals[..., 2])  # a pixel without neighbours is no surface
    if not keep.any():
        raise ValueError("No pixel is left: all are invalid, too far or on edges.")
    colors = None
    if image is not None:
        if isinstance(image, str | os.PathLike):
            image = open_image(image)
        elif not isinstance(image, Image.Image):
            image = Image.fromarray(np.asarray(image))
        colors = np.asarray(as_rgb(image).resize((width, height), Image.Resampling.LANCZOS))
    cloud = PointCloud(
        points=points.reshape(-1, 3).astype(np.float32),
        normals=normals.reshape(-1, 3).astype(np.float32),
        pixels=np.argwhere(np.ones_like(keep))[:, ::-1].astype(np.float32),
        intrinsics=intrinsics.resized(width, height),
        colors=None if colors is None else colors.reshape(-1, 3),
        info=info,
    )
    return cloud, keep


def _select(cloud: PointCloud, taken: np.ndarray) -> PointCloud:
    """Some points of a cloud, by a mask of any shape."""
    names = ("points", "normals", "pixels") if cloud.colors is None else ("points", "normals", "pixels", "colors")
    return replace(cloud, **{name: getattr(cloud, name)[taken.ravel()] for name in names})


def _info(depth: DepthMap) -> dict[str, str]:
    """What a map says about itself, for people."""
    known = {"picture": depth.image, "model": depth.model, "alignment": depth.alignment}
    known["focal length"] = depth.intrinsics and f"{depth.intrinsics.fx:.5g} pixels, {depth.intrinsics.source}"
    return {name: str(value) for name, value in known.items() if value is not None}


def _one_a_voxel(cloud: PointCloud, size: float) -> PointCloud:
    """Means of points, colours and normals in each cube of an axis-parallel grid."""
    if not size > 0:
        raise ValueError(f"The voxel size must be positive, got {size}.")
    cells = np.floor(cloud.points.astype(np.float64) / size).astype(np.int64)
    _, index, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    index = index.reshape(-1)  # NumPy 2.0 gives a column

    def mean(values):
        return np.stack([np.bincount(index, weights=column) / count for column in values.T], axis=1)

    normals = mean(cloud.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return replace(
        cloud,
        points=mean(cloud.points).astype(np.float32),
        colors=None if cloud.colors is None else mean(cloud.colors).round().astype(np.uint8),
        normals=normals.astype(np.float32),
        pixels=mean(cloud.pixels).astype(np.float32),
    )


NO_INTRINSICS = (
    "A point cloud needs the camera's focal length, and the picture's EXIF data do not hold it: give a field of view "
    "(`--fov DEGREES`, `Intrinsics.from_fov`) or a focal length in pixels (`--focal PIXELS`, `Intrinsics.from_focal`)."
)
