"""The three-dimensional files that a metric map becomes; PyTorch is needed for writing them alone."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .atomic_write import atomic_write
from .depth_files import KEY, png_text, save_picture
from .depth_map import EDGE_THRESHOLD, DepthMap

if TYPE_CHECKING:
    from .point_cloud import PointCloud

ENDINGS = {
    "ply": "_depth.ply",
    "glb": "_depth.glb",
    "html": "_depth.html",
    "colmap": "_colmap/points3D.txt",
    "normals": "_normals.png",
    "normals_array": "_normals.npz",
}
"""File name of each format behind that of the picture. `normals` brings its array with it."""

MAX_POINTS = 1_000_000
MAX_POINTS_OF_PAGE = 300_000  # a surface of so many is a page of 17 MB


@dataclass(frozen=True)
class ShapeOptions:
    """
    What three-dimensional files hold.

    Args:
        points: points instead of a surface.
        max_points: at most so many; by default `MAX_POINTS`, and `MAX_POINTS_OF_PAGE` in pages.
        edge_threshold: see `flying_pixels`; 0 keeps them.
        voxel_size, max_depth: see `point_cloud`.

    Raises:
        ValueError: a voxel size for a surface.
    """

    points: bool = False
    max_points: int | None = None
    edge_threshold: float = EDGE_THRESHOLD
    voxel_size: float | None = None
    max_depth: float | None = None

    def __post_init__(self):
        if self.voxel_size is not None and not self.points:
            raise ValueError("A voxel size is for points, not for a surface: --voxel-size needs --points.")

    def build(self, depth: DepthMap, image: Image.Image, most: int) -> "PointCloud":
        """The surface or the points of a map, of which there are at most `most` unless `max_points` says otherwise."""
        from .point_cloud import mesh, point_cloud

        common = {
            "image": image,
            "edge_threshold": self.edge_threshold or None,
            "max_depth": self.max_depth,
            "max_points": self.max_points or most,
        }
        if self.points:
            return point_cloud(depth, voxel_size=self.voxel_size, **common)
        return mesh(depth, **common)


def with_arrays(formats: Iterable[str]) -> list[str]:
    """Formats with those that they bring with them."""
    return [name for item in formats for name in ((item, "normals_array") if item == "normals" else (item,))]


class ShapeWriter:
    """Writes one map, in the photograph's colours, in several formats; what they share is computed once."""

    def __init__(self, depth: DepthMap, image: Image.Image, options: ShapeOptions):
        self.depth, self.image, self.options = depth, image, options
        self._clouds: dict[int, PointCloud] = {}

    def write(self, name: str, path: Path):
        """
        Writes the file of a format of `ENDINGS`.

        Raises:
            ValueError: the map has no unit or camera, or no pixel of it is left.
            OSError: the file cannot be written.
        """
        if name == "normals":
            from .geometry import normals_to_rgb

            about = self.depth.metadata(normals="red: to the right, green: up, blue: towards the camera; black: none")
            picture = Image.fromarray(normals_to_rgb(self.normals))
            with atomic_write(path) as temporary:
                save_picture(temporary, picture, "PNG", pnginfo=png_text(about))
        elif name == "normals_array":
            about = self.depth.metadata(
                normals="unit vectors facing the camera; x right, y down, z forward; NaN: none"
            )
            arrays = {"normals": self.normals, KEY: np.bytes_(json.dumps(about))}
            with atomic_write(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **arrays)
        elif name == "colmap":
            from .point_cloud_files import save_colmap

            save_colmap(self.depth.image or "image", self.cloud(MAX_POINTS_OF_PAGE), path.parent)
        else:
            self.cloud(MAX_POINTS_OF_PAGE if name == "html" else MAX_POINTS).save(path)

    def cloud(self, most: int) -> "PointCloud":
        """The surface or points, at most so many where the options do not say."""
        most = self.options.max_points or most
        if most not in self._clouds:
            self._clouds[most] = self.options.build(self.depth, self.image, most)
        return self._clouds[most]

    @cached_property
    def normals(self) -> np.ndarray:
        """(H, W, 3) float32, in the camera's axes, facing it; NaN where there are none."""
        from .geometry import surface_normals, unproject
        from .point_cloud import NO_INTRINSICS

        depth = self.depth.to_depth()
        if depth.intrinsics is None:
            raise ValueError(NO_INTRINSICS)
        keep = depth.valid if depth.sky is None else depth.valid & ~depth.sky
        if self.options.max_depth is not None:
            keep = keep & (depth.values <= self.options.max_depth)
        values = np.where(keep, depth.values, np.float32("nan"))
        return surface_normals(unproject(values, depth.intrinsics)).astype(np.float32)
