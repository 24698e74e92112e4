"""Exact depth of simple scenes, seen by a known camera."""

import numpy as np

from anydepth_hf.camera import Intrinsics

CAMERA = Intrinsics(fx=110.0, fy=115.0, cx=81.3, cy=58.2, width=160, height=120, source="a rendering")


def rays(camera: Intrinsics = CAMERA) -> np.ndarray:
    """(H, W, 3) direction of every pixel's ray, of z = 1."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    return np.stack(
        [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(columns.shape)], axis=-1
    )


def plane(normal, distance: float, camera: Intrinsics = CAMERA) -> np.ndarray:
    """(H, W) float32 depth of the plane `normal @ x = -distance`, whose normal faces the camera; NaN beside it."""
    slope = rays(camera) @ np.asarray(normal)
    return np.where(slope < 0, -distance / np.minimum(slope, -1e-9), np.nan).astype(np.float32)


def room(camera: Intrinsics = CAMERA) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32 depth from inside a box of 4 x 3 x 6 m, and which wall each pixel shows, 0 to 4."""
    walls = [((1, 0, 0), 2.2), ((-1, 0, 0), 1.8), ((0, 1, 0), 1.4), ((0, -1, 0), 1.6), ((0, 0, -1), 6.0)]
    depths = np.stack([np.nan_to_num(plane(*wall, camera), nan=np.inf) for wall in walls])
    return depths.min(axis=0), depths.argmin(axis=0)
