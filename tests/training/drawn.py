"""Pictures with exact depth that need no renderer: boxes in a room or on a street, seen by a pinhole camera."""

from pathlib import Path

import numpy as np

from training.scenes.picture_files import write_picture

FAR = 300.0  # metres; what is farther is sky


def draw(seed: int, height: int, width: int, street: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 (height, width, 3), and planar depth float32 (height, width) in metres, 0 in the sky."""
    rng = np.random.default_rng(seed)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    focal = max(height, width) * rng.uniform(0.7, 0.9)
    rays = np.stack([(columns - width / 2) / focal, (rows - height / 2) / focal, np.ones((height, width))], axis=-1)
    eye = rng.uniform(1.2, 1.8)  # y points down, so the floor lies at y = eye
    if street:
        shell, scale = ((-1e4, -1e4, -1e4), (1e4, eye, 1e4)), 8.0
    else:
        shell, scale = ((-rng.uniform(1, 3), eye - 2.6, -1), (rng.uniform(1, 3), eye, rng.uniform(3, 7))), 1.0
    depth, face = _inside(rays, *np.asarray(shell))
    for number in range(1, 6):
        size = scale * rng.uniform(0.15, 0.5, 3)
        middle = np.array([scale * rng.uniform(-1.2, 1.2), eye - size[1], scale * rng.uniform(1.8, 4)])
        near, side = _outside(rays, middle - size, middle + size)
        face = np.where(near < depth, 3 * number + side, face)
        depth = np.minimum(depth, near)
    depth = np.where(depth < FAR, depth, 0)
    checks = np.floor(2 / scale * (rays * depth[..., None] + 0.01)).sum(axis=-1) % 2
    colors = rng.uniform(60, 220, (18, 3))
    image = np.where(depth[..., None] > 0, colors[face] * (1 - 0.2 * checks[..., None]), (170, 200, 240))
    return (image + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8), depth.astype(np.float32)


def _crossings(rays, low, high) -> tuple[np.ndarray, np.ndarray]:
    """(..., 3) depths at which rays from the origin pass the nearer and the farther plane of each axis."""
    with np.errstate(divide="ignore"):
        planes = np.stack([low / rays, high / rays])
    return planes.min(axis=0), planes.max(axis=0)


def _inside(rays, low, high) -> tuple[np.ndarray, np.ndarray]:
    """Where rays leave the box that the camera is in, and through which axis' faces."""
    leave = _crossings(rays, low, high)[1]
    return leave.min(axis=-1), leave.argmin(axis=-1)


def _outside(rays, low, high) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter a box before the camera, infinite beside it, and through which axis' faces."""
    enter, leave = _crossings(rays, low, high)
    hit = enter.max(axis=-1) < leave.min(axis=-1)
    return np.where(hit, enter.max(axis=-1), np.inf), enter.argmax(axis=-1)


def write_pictures(
    root: Path, count: int = 4, height: int = 40, width: int = 56, seed: int = 0, street: bool = False
) -> str:
    """Files as `training/scenes/make.py` leaves them, named SEED-WORLD-0; returns the data set's specification."""
    for world in range(count):
        image, depth = draw(1000 * seed + world, height, width, street)
        write_picture(root, f"{seed}-{world}-0", image, depth)
    return f"pictures,root={root}"
