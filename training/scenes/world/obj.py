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
    lines: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
    name, fans = "", {"": []}  # for each material: a triangle's number in its face, and its corners
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word in lines:
            lines[word].append(rest)
        elif word == "usemtl":
            name = rest.strip()
            fans.setdefault(name, [])
        elif word == "f":
            face = rest.split()
            if "-" in rest:
                face = [from_start(corner, [len(each) for each in lines.values()]) for corner in face]
            fans[name] += [(last, face[0], face[last - 1], face[last]) for last in range(2, len(face))]
    points, coordinates, normals = numbers(lines["v"], 3), numbers(lines["vt"], 2), numbers(lines["vn"], 3)
    chunks, parts, start = [np.zeros((0, FLOATS), np.float32)], [], 0
    for name, fan in fans.items():
        if not fan:
            continue
        fan.sort(key=lambda triangle: triangle[0])
        corners = [corner for _, *three in fan for corner in three]
        index = np.array([int(part or 0) for corner in corners for part in (corner.split("/") + ["", ""])[:3]])
        point, coordinate, normal = index.reshape(-1, 3).T
        vertices = np.concatenate([points[point], normals[normal], coordinates[coordinate]], axis=1)
        missing = np.abs(vertices[:, 3:6]).sum(axis=1) < 1e-6
        vertices[missing, 3:6] = np.repeat(flat_normals(vertices[:, :3].reshape(-1, 3, 3)), 3, axis=0)[missing]
        parts.append((start, len(vertices), materials.get(name, Material())))
        chunks.append(vertices)
        start += len(vertices)
    return Mesh(np.concatenate(chunks), tuple(parts))


def from_start(corner: str, counts: list[int]) -> str:
    """A corner such as `-1/-1` with its indices counted from the first line, not back from the last so far."""
    indices = zip(corner.split("/"), counts)
    return "/".join(str(int(index) + count + 1) if index.startswith("-") else index for index, count in indices)


def numbers(lines: list[str], columns: int) -> np.ndarray:
    """The first `columns` numbers of each line after a line of zeros, float32 (1 + lines, columns)."""
    values = [value for line in lines for value in (line.split() + ["0"] * columns)[:columns]]
    return np.array(["0"] * columns + values, dtype=np.float32).reshape(-1, columns)
