"""Point clouds as COLMAP's text model, which structure-from-motion and splatting tools start from."""

import os
from pathlib import Path

import numpy as np

from .atomic_write import atomic_write_text
from .depth_map import GENERATOR
from .point_cloud import PointCloud


def save_colmap(name: str, cloud: PointCloud, directory: str | os.PathLike) -> Path:
    """
    Writes `cameras.txt`, `images.txt` and `points3D.txt` (colmap.github.io/format.html) into a folder, replacing them.

    World axes are the camera's, COLMAP's own: x right, y down, z forward, in metres. The picture has the identity as
    its pose. COLMAP counts pixels from the picture's corner, so half a pixel is added.

    Args:
        name: file name of the picture.
        cloud: its points.
        directory: made if it does not exist. `points3D.txt` is written last.

    Raises:
        ValueError: a name with a line break.
        OSError: a file cannot be written.
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
