"""Point clouds and meshes as files: PLY, GLB (glTF 2.0), a page for a browser, offline, and COLMAP's text model.

The first three are in metres and right-handed with y up: x to the right, y up, z towards the viewer, the camera at the
origin looking along -z. That is the camera's own frame turned by 180 degrees about x.
"""

import base64
import json
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .atomic_write import atomic_write, atomic_write_text
from .colormaps import color_table
from .depth_map import GENERATOR

if TYPE_CHECKING:
    from .point_cloud import PointCloud

AXES = "right-handed, x right, y up, z towards the viewer; the camera is at the origin and looks along -z"
_Y_UP = np.array([1, -1, -1], dtype=np.float32)


def save_point_cloud(cloud: "PointCloud", path: str | os.PathLike) -> Path:
    """Writes a point cloud or mesh as `.ply`, `.glb` or `.html`, whichever the name ends with, whole or not at all."""
    path = Path(path)
    encoders = {".ply": encode_ply, ".glb": encode_glb, ".html": encode_html}
    if path.suffix.lower() not in encoders:
        raise ValueError(f"{path}: a point cloud is written as {', '.join(encoders)}, not as {path.suffix or 'this'}.")
    data = encoders[path.suffix.lower()](cloud)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def encode_ply(cloud: "PointCloud") -> bytes:
    """A binary PLY file: float x, y, z; nx, ny, nz and uchar red, green, blue if there are any; faces of a mesh."""
    columns = [(name, "<f4", cloud.points[:, i] * _Y_UP[i]) for i, name in enumerate("xyz")]
    columns += [(name, "<f4", cloud.normals[:, i] * _Y_UP[i]) for i, name in enumerate(("nx", "ny", "nz"))]
    if cloud.colors is not None:
        columns += [(name, "u1", cloud.colors[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    vertices = np.empty(len(cloud), dtype=[(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        vertices[name] = values
    header = ["ply", "format binary_little_endian 1.0", f"comment generator: {GENERATOR}", "comment unit: metre"]
    header.append(f"comment axes: {AXES}")
    header += [f"comment {line}" for line in _lines(cloud)]
    header += [f"element vertex {len(cloud)}"]
    header += [f"property {'float' if kind == '<f4' else 'uchar'} {name}" for name, kind, _ in columns]
    faces = b""
    if cloud.triangles is not None:
        header += [f"element face {len(cloud.triangles)}", "property list uchar int vertex_indices"]
        table = np.empty(len(cloud.triangles), dtype=[("count", "u1"), ("corners", "<i4", 3)])
        table["count"], table["corners"] = 3, cloud.triangles
        faces = table.tobytes()
    text = "\n".join([*header, "end_header", ""]).encode("ascii", "replace")
    return text + vertices.tobytes() + faces


def encode_glb(cloud: "PointCloud") -> bytes:
    """
    A binary glTF 2.0 file of one mesh, unlit: triangles or points, with normals and vertex colours.

    glTF's vertex colours are linear light, so sRGB values are converted, in 16 bits.
    """
    vectors = {"POSITION": cloud.points, "NORMAL": cloud.normals}
    arrays = [(name, (values * _Y_UP).astype("<f4"), 5126, "VEC3") for name, values in vectors.items()]
    if cloud.colors is not None:
        linear = np.full((len(cloud), 4), 65535, "<u2")
        linear[:, :3] = _srgb_to_linear()[cloud.colors]
        arrays.append(("COLOR_0", linear, 5123, "VEC4"))
    if cloud.triangles is not None:
        arrays.append(("indices", cloud.triangles.astype("<u4").reshape(-1), 5125, "SCALAR"))
    views, accessors, primitive, offset = [], [], {"attributes": {}, "material": 0}, 0
    for index, (name, values, component, kind) in enumerate(arrays):
        target = 34963 if name == "indices" else 34962
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": target})
        accessor = {"bufferView": index, "componentType": component, "count": len(values), "type": kind}
        if name == "POSITION":
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        if name == "COLOR_0":
            accessor["normalized"] = True
        accessors.append(accessor)
        (primitive if name == "indices" else primitive["attributes"])[name] = index
        offset += values.nbytes  # every element is a multiple of four bytes long
    primitive["mode"] = 0 if cloud.triangles is None else 4
    document = {
        "asset": {"version": "2.0", "generator": GENERATOR, "extras": {"unit": "metre", "axes": AXES, **cloud.info}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "depth"}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [
            {
                "pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1},
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "extensionsUsed": ["KHR_materials_unlit"],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    parts = [struct.pack("<II", len(text), 0x4E4F534A), text, struct.pack("<II", offset, 0x004E4942)]
    parts += [values.tobytes() for _, values, _, _ in arrays]
    return struct.pack("<III", 0x46546C67, 2, 12 + sum(map(len, parts))) + b"".join(parts)


def encode_html(cloud: "PointCloud") -> bytes:
    """
    One page that shows a point cloud or mesh in any browser with WebGL 2, without a network.

    Orbit by mouse, touch or keys; photograph, depth and normals as colours; click two points to measure. It first
    shows what the camera saw. Positions are float32 as in the other files; only normals are rounded, to 1/127.
    """

    def encoded(values, dtype):
        return "" if values is None else base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()

    points = cloud.points * _Y_UP
    camera = cloud.intrinsics
    tan_x = max(camera.cx + 0.5, camera.width - 0.5 - camera.cx) / camera.fx
    tan_y = max(camera.cy + 0.5, camera.height - 0.5 - camera.cy) / camera.fy
    size = f"{len(cloud):,} points" + ("" if cloud.triangles is None else f", {len(cloud.triangles):,} triangles")
    meta = {
        "info": [size, "Unit: metre.", f"Axes: {AXES}.", *_lines(cloud), f"Made by {GENERATOR}."],
        "palette": color_table("spectral", 11).tolist(),
        "tan_x": tan_x,
        "tan_y": tan_y,
        "spacing": 2 * (tan_x * tan_y / len(cloud)) ** 0.5,
    }
    fields = {
        # no text can end the script element
        "META": json.dumps(meta).replace("<", "\\u003c"),
        "POINTS": encoded(points, "<f4"),
        "COLORS": encoded(cloud.colors, "u1"),
        "NORMALS": encoded((cloud.normals * _Y_UP * 127).round(), "i1"),
        "TRIANGLES": encoded(cloud.triangles, "<u4"),
    }
    page = (Path(__file__).parent / "viewer.html").read_text(encoding="utf-8")
    pieces = [page]
    for name, value in fields.items():
        before, after = pieces.pop().split("{{" + name + "}}")
        pieces += [before, value, after]
    return "".join(pieces).encode()


def save_colmap(name: str, cloud: "PointCloud", directory: str | os.PathLike) -> Path:
    """
    Writes `cameras.txt`, `images.txt` and `points3D.txt` (colmap.github.io/format.html) into a folder, replacing them.

    World axes are the camera's, COLMAP's own: x right, y down, z forward, in metres. The picture has the identity as
    its pose. COLMAP counts pixels from the picture's corner, so half a pixel is added.

    The folder is made if it does not exist; `points3D.txt` is written last. A picture's name with a line break raises
    ValueError.
    """
    if len(name.splitlines()) != 1:
        raise ValueError(f"{name!r} is no name for a picture of a COLMAP model.")
    camera = cloud.intrinsics
    lens = f"{camera.fx!r} {camera.fy!r} {camera.cx + 0.5!r} {camera.cy + 0.5!r}"
    colors = np.full((len(cloud), 3), 128, np.uint8) if cloud.colors is None else cloud.colors
    places = (cloud.pixels + 0.5).tolist()
    seen = " ".join(f"{x:.6g} {y:.6g} {number}" for number, (x, y) in enumerate(places, start=1))
    # the last two numbers: picture and which of its points
    points = "".join(
        f"{index + 1} {x:.9g} {y:.9g} {z:.9g} {r} {g} {b} 0 1 {index}\n"
        for index, ((x, y, z), (r, g, b)) in enumerate(zip(cloud.points.tolist(), colors.tolist()))
    )
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        "cameras.txt": "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n"
        f"1 PINHOLE {camera.width} {camera.height} {lens}\n",
        "images.txt": "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n# POINTS2D[] as (X, Y, POINT3D_ID)\n"
        f"1 1 0 0 0 0 0 0 1 {name}\n{seen}\n",
        "points3D.txt": "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX); metres\n" + points,
    }
    for file, text in files.items():
        atomic_write_text(directory / file, f"# {GENERATOR}\n{text}")
    return directory


def _lines(cloud: "PointCloud") -> list[str]:
    """What is known about a cloud, one line each."""
    return [" ".join(f"{name}: {value}".split()) for name, value in cloud.info.items()]


def _srgb_to_linear() -> np.ndarray:
    """16-bit linear values of the 256 sRGB values (IEC 61966-2-1)."""
    srgb = np.arange(256) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return (linear * 65535).round().astype("<u2")
