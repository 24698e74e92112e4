"""Point clouds as COLMAP's text model, which structure-from-motion and splatting tools start from."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .atomic_write import atomic_write_text
from .depth_map import GENERATOR
from .point_cloud import PointCloud


def save_colmap(clouds: Mapping[str, PointCloud], directory: str | os.PathLike) -> Path:
    """
    Writes `cameras.txt`, `images.txt` and `points3D.txt` (colmap.github.io/format.html) into a folder, replacing them.

    World axes are the camera's, COLMAP's own: x right, y down, z forward, in metres. Every picture has the identity as
    its pose, since nothing is known of how the cameras of two pictures lie to each other; give one picture at a time
    unless they share a camera's place. COLMAP counts pixels from the picture's corner, so half a pixel is added.

    Args:
        clouds: file name of each picture, and its points, which need `pixels` and `intrinsics`.
        directory: made if it does not exist. `points3D.txt` is written last.

    Raises:
        ValueError: a cloud without pixels or intrinsics, or a name with a line break.
        OSError: a file cannot be written.
    """
    cameras, images, points, next_point = [], [], [], 1
    for number, (name, cloud) in enumerate(clouds.items(), start=1):
        if cloud.pixels is None or cloud.intrinsics is None:
            raise ValueError(f"{name}: a COLMAP model needs the pixels of the points and the intrinsics.")
        if len(name.splitlines()) != 1:
            raise ValueError(f"{name!r} is no name for a picture of a COLMAP model.")
        camera = cloud.intrinsics
        lens = f"{camera.fx!r} {camera.fy!r} {camera.cx + 0.5!r} {camera.cy + 0.5!r}"
        cameras.append(f"{number} PINHOLE {camera.width} {camera.height} {lens}\n")
        identifiers = np.arange(next_point, next_point + len(cloud))
        next_point += len(cloud)
        colors = np.full((len(cloud), 3), 128, np.uint8) if cloud.colors is None else cloud.colors
        places = cloud.pixels + 0.5
        seen = " ".join(
            f"{x:.6g} {y:.6g} {identifier}" for (x, y), identifier in zip(places.tolist(), identifiers.tolist())
        )
        images.append(f"{number} 1 0 0 0 0 0 0 {number} {name}\n{seen}\n")
        # the last two numbers: picture and which of its points
        points += [
            f"{identifier} {x:.9g} {y:.9g} {z:.9g} {r} {g} {b} 0 {number} {index}\n"
            for index, (identifier, (x, y, z), (r, g, b)) in enumerate(
                zip(identifiers.tolist(), cloud.points.tolist(), colors.tolist())
            )
        ]
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    headers = {
        "cameras.txt": "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n",
        "images.txt": "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n# POINTS2D[] as (X, Y, POINT3D_ID)\n",
        "points3D.txt": "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX); metres\n",
    }
    for (name, header), lines in zip(headers.items(), (cameras, images, points)):
        atomic_write_text(directory / name, f"# {GENERATOR}\n" + header + "".join(lines))
    return directory


__all__ = ["save_colmap"]
