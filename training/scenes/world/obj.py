"""Wavefront OBJ and MTL, as furniture catalogues hold them."""

import numpy as np

from .scene import FLOATS, Material, Mesh
from .shapes import flat_normals


def read_materials(text: str, folder: str) -> dict[str, Material]:
    """Materials of an MTL file; textures become `folder/name`."""
    materials: dict[str, dict] = {}
    values: dict = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "newmtl":
            values = materials[rest.strip()] = {}
        elif word in ("Kd", "Ks", "Ns", "d"):
            try:
                values[word] = [float(value) for value in rest.split()]
            except ValueError:
                continue
        elif word == "map_Kd":
            values["map"] = f"{folder}/{rest.strip()}"
    return {name: _material(values) for name, values in materials.items()}


def _material(values: dict) -> Material:
    """The material of an MTL file's entries."""
    return Material(
        color=(1, 1, 1) if "map" in values else tuple(np.clip(values.get("Kd", [0.7, 0.7, 0.7]), 0, 1) ** 1.6),
        texture=values.get("map"),
        alpha=float(np.clip(values.get("d", [1.0])[0], 0.05, 1)),
        gloss=float(np.clip(np.mean(values.get("Ks", [0])), 0, 1)),
        shininess=float(np.clip(values.get("Ns", [30])[0], 2, 300)),
    )


def read_obj(text: str, materials: dict[str, Material]) -> Mesh:
    """Triangles of an OBJ file, in its own units; faces of more corners become fans, missing normals flat ones."""
    kinds = {"v": [], "vn": [], "vt": [], "f": [], "usemtl": []}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "f":
            kinds["f"].append(rest)
        elif word == "usemtl":
            kinds["usemtl"].append((len(kinds["f"]), rest.strip()))
        elif word in kinds:
            kinds[word].append(rest)
    points, normals = numbers(kinds["v"], 3), numbers(kinds["vn"], 3)
    coordinates = numbers(kinds["vt"], 2)
    corners = read_faces(kinds["f"], (len(points), len(coordinates), len(normals)))
    normals = np.concatenate([np.zeros((1, 3), np.float32), normals])
    coordinates = np.concatenate([np.zeros((1, 2), np.float32), coordinates])
    starts = [0, *(face for face, _ in kinds["usemtl"])]
    names = ["", *(name for _, name in kinds["usemtl"])]
    owner = np.searchsorted(starts, corners[:, 3], side="right") - 1
    chunks, parts, start = [], [], 0
    for name in dict.fromkeys(names):
        index = corners[np.isin(owner, [i for i, each in enumerate(names) if each == name])]
        if not len(index):
            continue
        vertices = np.empty((len(index), FLOATS), np.float32)
        vertices[:, :3] = points[index[:, 0] - 1]
        vertices[:, 3:6] = normals[index[:, 2]]
        vertices[:, 6:] = coordinates[index[:, 1]]
        flat = flat_normals(vertices[:, :3].reshape(-1, 3, 3))
        missing = np.abs(vertices[:, 3:6]).sum(axis=1) < 1e-6
        vertices[missing, 3:6] = np.repeat(flat, 3, axis=0)[missing]
        parts.append((start, len(vertices), materials.get(name, Material())))
        chunks.append(vertices)
        start += len(vertices)
    return Mesh(np.concatenate(chunks) if chunks else np.zeros((0, FLOATS), np.float32), tuple(parts))


def numbers(lines: list[str], columns: int) -> np.ndarray:
    """The first `columns` numbers of each line, float32 (lines, columns)."""
    if not lines:
        return np.zeros((0, columns), np.float32)
    values = np.array(" ".join(lines).split(), dtype=np.float32)
    if len(values) % len(lines) == 0 and len(values) >= columns * len(lines):
        return values.reshape(len(lines), -1)[:, :columns]
    return np.array([(line.split() + ["0"] * columns)[:columns] for line in lines], dtype=np.float32)


def read_faces(lines: list[str], counts: tuple[int, int, int]) -> np.ndarray:
    """Corners of the triangles, int (3 * triangles, 4): point, texture and normal, from 1 on, 0 if absent; face."""
    faces = [line.split() for line in lines]
    sizes = np.array([len(face) for face in faces], dtype=int)
    words = [word for face in faces for word in face]
    parts = [int(part or 0) for word in words for part in (word.split("/") + ["", ""])[:3]]
    index = np.array(parts, dtype=np.int64).reshape(-1, 3)
    index = np.where(index < 0, index + np.array(counts) + 1, index)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int) if len(sizes) else np.zeros(0, int)
    triangles = []
    for last in range(2, int(sizes.max(initial=0))):
        which = np.flatnonzero(sizes > last)
        start = first[which]
        triangles.append(np.stack([start, start + last - 1, start + last, which], axis=1))
    if not triangles:
        return np.zeros((0, 4), np.int64)
    triangles = np.concatenate(triangles)
    corners = index[triangles[:, :3].reshape(-1)]
    return np.concatenate([corners, np.repeat(triangles[:, 3:], 3, axis=0)], axis=1)
