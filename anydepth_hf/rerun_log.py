"""Pictures, depth and points in the rerun viewer (rerun.io). Needs the extra `rerun`."""

import os
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from .extras import require
from .image_io import as_rgb
from .point_cloud import PointCloud


class RerunLog:
    """
    A recording of one picture after another: the photograph, its depth in metres, and the points in 3-D.

    Args:
        path: a `.rrd` file for the recording; by default a viewer is started and shows it.

    Raises:
        ImportError: the package `rerun-sdk` is missing.
    """

    def __init__(self, path: str | os.PathLike | None = None):
        self._rerun = require("rerun", "rerun", "Logging to rerun")
        self.path = None if path is None else Path(path)
        self._stream = self._rerun.RecordingStream("anydepth")
        self._count = 0
        self._lock = threading.Lock()  # pictures are written by several threads
        if self.path is None:
            self._stream.spawn()
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream.save(self.path)
        # OpenCV's axes: right, down, forward
        self._stream.log("camera", self._rerun.ViewCoordinates.RDF, static=True)

    def log(self, name: str, cloud: PointCloud, depth: np.ndarray, image: Image.Image):
        """Adds a picture: its name, points or mesh, (H, W) depth in metres, NaN where unknown, and the photograph."""
        rerun, camera = self._rerun, cloud.intrinsics
        pinhole = rerun.Pinhole(
            focal_length=[camera.fx, camera.fy],
            principal_point=[camera.cx + 0.5, camera.cy + 0.5],  # rerun counts from the picture's corner
            resolution=[camera.width, camera.height],
            camera_xyz=rerun.ViewCoordinates.RDF,
        )
        photograph = as_rgb(image).resize((camera.width, camera.height))
        if cloud.triangles is None:
            shape = rerun.Points3D(cloud.points, colors=cloud.colors)
        else:
            shape = rerun.Mesh3D(
                vertex_positions=cloud.points,
                triangle_indices=cloud.triangles,
                vertex_normals=cloud.normals,
                vertex_colors=cloud.colors,
            )
        entities = {
            "name": rerun.TextDocument(name),
            "camera/picture": pinhole,
            "camera/picture/photograph": rerun.Image(np.asarray(photograph)),
            "camera/picture/depth": rerun.DepthImage(np.nan_to_num(depth, nan=0.0), meter=1.0),
            "camera/points": shape,
        }
        with self._lock:
            self._stream.set_time("picture", sequence=self._count)
            self._count += 1
            for path, entity in entities.items():
                self._stream.log(path, entity)

    def close(self):
        """Writes what is left."""
        self._stream.flush()
        self._stream.disconnect()
