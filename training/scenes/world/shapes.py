"""Simple meshes, and where to put them."""

import numpy as np
from numpy.typing import ArrayLike

from .scene import FLOATS, Material, Mesh

SQUARE = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], np.float32)
"""Texture coordinates (2, 3, 2) of the two triangles of a square."""


def place(x: float, y: float, z: float, turn: float = 0.0, scale: ArrayLike = 1.0, tilt: float = 0.0) -> np.ndarray:
    """Transform (4, 4): scale, lean by `tilt` about x, turn by `turn` radians about the vertical, then move."""
    cos, sin = np.cos(turn), np.sin(turn)
    turned = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    cos, sin = np.cos(tilt), np.sin(tilt)
    leaned = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    transform = np.eye(4, dtype=np.float32)
    transform[:3, :3] = turned @ leaned @ np.diag(np.broadcast_to(scale, 3))
    transform[:3, 3] = x, y, z
    return transform


def shifted(position: ArrayLike, turn: float, across: float = 0.0, up: float = 0.0, out: float = 0.0) -> tuple:
    """A position moved by metres across, up and out of the front of a thing turned by `turn`."""
    (x, y, z), cos, sin = position, np.cos(turn), np.sin(turn)
    return x + across * cos + out * sin, y + up, z - across * sin + out * cos


def from_faces(positions: ArrayLike, faces: ArrayLike, uv: np.ndarray | None = None, key: str = "") -> Mesh:
    """Flat-shaded mesh of triangles `faces` (n, 3) over `positions` (m, 3); `uv` (n, 3, 2) or none."""
    corners = np.asarray(positions, np.float32)[np.asarray(faces)]
    uv = np.zeros((*corners.shape[:2], 2), np.float32) if uv is None else uv
    vertices = np.concatenate([corners, np.repeat(flat_normals(corners)[:, None], 3, axis=1), uv], axis=2)
    vertices = vertices.reshape(-1, FLOATS).astype(np.float32)
    return Mesh(vertices, ((0, len(vertices), Material()),), key)


def flat_normals(corners: np.ndarray) -> np.ndarray:
    """Normals (n, 3) of triangles (n, 3, 3); 0 of those without an area."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def lathe(profile: ArrayLike, segments: int = 24, key: str = "") -> Mesh:
    """Surface of revolution about y of `profile` (n, 2) radii and heights, smooth around, texture once around."""
    profile = np.asarray(profile, np.float64)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = revolved(profile, ring)
    slope = np.gradient(profile, axis=0)
    outward = np.stack([slope[:, 1], -slope[:, 0]], axis=1)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    normals = revolved(outward, ring)
    along = np.linspace(0, 1, len(profile))
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, segments + 1)[None], along[:, None]), axis=2)
    vertices = grid_triangles(np.concatenate([points, normals, uv], axis=2)).astype(np.float32)
    return Mesh(vertices, ((0, len(vertices), Material()),), key)


def revolved(profile: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Radii and heights (n, 2) turned about y into each direction of a ring (m, 2): (n, m, 3)."""
    around = profile[:, None, :1] * ring[None]
    heights = np.broadcast_to(profile[:, None, 1:], (*around.shape[:2], 1))
    return np.concatenate([around, heights], axis=2)[..., [0, 2, 1]]


def blob(rng: np.random.Generator, roughness: float) -> Mesh:
    """A lumpy ball of diameter about 1 standing on y = 0: bushes, crowns, stones, heaps."""
    polar = np.linspace(0.02, np.pi - 0.02, 15)
    azimuth = np.linspace(0, 2 * np.pi, 29)
    polar, azimuth = np.meshgrid(polar, azimuth, indexing="ij")
    direction = np.stack([np.sin(polar) * np.cos(azimuth), -np.cos(polar), np.sin(polar) * np.sin(azimuth)], axis=2)
    radius = np.full(polar.shape, 0.5)
    for octave in range(5):
        waves = rng.normal(size=(3, 3)) * 2.0 * 1.9**octave
        phase = rng.uniform(0, 2 * np.pi, 3)
        radius *= 1 + roughness * 0.75**octave * np.sin(direction @ waves.T + phase).mean(axis=2)
    points = direction * radius[..., None]
    points[..., 1] -= points[..., 1].min()
    corners = grid_triangles(points)
    return from_faces(corners, np.arange(len(corners)).reshape(-1, 3))


def grid_triangles(grid: np.ndarray) -> np.ndarray:
    """Corners of two triangles for each cell of a grid (n, m, values): (6 * cells, values)."""
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    return np.stack([a, b, c, a, c, d], axis=2).reshape(-1, grid.shape[2])


CORNERS = [[x, y, z] for x in (-0.5, 0.5) for y in (0, 1) for z in (-0.5, 0.5)]
SIDES = [(0, 1, 3, 2), (5, 4, 6, 7), (4, 0, 2, 6), (1, 5, 7, 3), (2, 3, 7, 6), (4, 5, 1, 0)]
FACES = [face for a, b, c, d in SIDES for face in ((a, b, c), (a, c, d))]
BOX = from_faces(CORNERS, FACES, np.tile(SQUARE, (len(SIDES), 1, 1)), key="box")
"""Unit box: x and z in [-0.5, 0.5], y in [0, 1]; each face has the texture once."""
QUAD = from_faces([[-0.5, 0, 0], [0.5, 0, 0], [0.5, 1, 0], [-0.5, 1, 0]], [(0, 1, 2), (0, 2, 3)], SQUARE, key="quad")
"""Unit square in the plane z = 0, facing +z: x in [-0.5, 0.5], y in [0, 1]."""
