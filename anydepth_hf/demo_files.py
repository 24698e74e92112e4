"""The files and the 3-D views that the demo makes of a scene."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .camera import Intrinsics
from .demo_scene import Scene
from .depth_files import sidecar
from .outputs import OutputOptions, output_paths, write_outputs
from .outputs_3d import ENDINGS, ShapeOptions, with_arrays

FORMATS = {
    "png": "PNG, 16 bits",
    "exr": "EXR",
    "tiff": "TIFF",
    "npz": "NPZ",
    "npy": "NPY",
    "jpeg": "JPEG with depth in it",
    "color": "colour picture",
    "ply": "PLY",
    "glb": "GLB",
    "html": "HTML page to turn",
    "normals": "normals",
    "calibration": "calibration",
}
"""What can be downloaded; the last five need metres."""
VIDEO_FORMATS = {"ffv1": "16-bit gray without loss", "hevc": "12-bit gray, small", "npz": "NPZ of all frames"}
"""What else of a video can be downloaded, beside the one in colours."""
VIEWS = {"surface": "glb", "points": "glb", "normals": "normals"}
"""What the page shows of a scene in metres, and the format that it is made of."""
NEEDS_METRES = (
    "3-D needs metres: this model says which things are nearer, not how far they are. In the tab *Metres*, click two "
    "points of the photograph and type how far each is."
)
NEEDS_CAMERA = (
    "3-D needs the focal length: in the tab *3-D*, type it or the field of view (the main camera of a phone sees "
    "about 65 degrees across, held upright 50)."
)


def camera_of(scene: Scene | None, number: float | None, unit: str) -> Intrinsics | None:
    """
    The camera of a scene as the page's fields say it.

    Args:
        number: what was typed; `None` for nothing.
        unit: `"pixels"` of a focal length, or `"degrees"` of a horizontal field of view.

    Raises:
        ValueError: no such camera.
    """
    if scene is None or not number:
        return None
    if unit == "degrees":
        return Intrinsics.from_fov(number, *scene.image.size)
    if scene.camera is not None and abs(number - scene.camera.fx) < 0.1:  # the field shows it rounded
        return scene.camera
    return Intrinsics.from_focal(number, *scene.image.size)


def missing(scene: Scene, camera: Intrinsics | None) -> str:
    """What a scene lacks for 3-D, in words; empty where nothing is."""
    return NEEDS_METRES if not scene.depth.is_metric else NEEDS_CAMERA if camera is None else ""


def range_of(scene: Scene) -> tuple[float, float]:
    """
    The depths in metres between which a view shows a scene: up to the 98th percentile and eight times the median,
    since a few far pixels would make all else tiny.

    Raises:
        ValueError: no pixel has a depth.
    """
    depth = scene.depth.to_depth()
    values = depth.values[depth.valid]
    if not values.size:
        raise ValueError("No pixel has a depth by these distances: check them, or begin anew.")
    near, middle, far = np.quantile(values, [0, 0.5, 0.98])
    return float(near), float(min(far, 8 * middle))


def write_view(scene: Scene, camera: Intrinsics, view: str, folder: Path) -> Path:
    """Writes one of `VIEWS` into a folder: a GLB file, or a picture of the normals."""
    name = VIEWS[view]
    paths = output_paths(folder, scene.stem, "depth", [name])
    shape = ShapeOptions(points=view == "points", max_points=200_000, max_depth=range_of(scene)[1])
    write_outputs(replace(scene.depth, intrinsics=camera), scene.image, paths, OutputOptions([name], shape=shape))
    return paths[name]


def write_files(
    scene: Scene, camera: Intrinsics | None, formats: Sequence[str], colormap: str, folder: Path
) -> list[Path]:
    """
    Writes a scene in some of `FORMATS`.

    Raises:
        ValueError: no format, or one that needs what the scene lacks.
        ImportError: one whose package is missing.
        OSError: a file cannot be written.
    """
    if not formats:
        raise ValueError("Choose at least one format.")
    shapes = [name for name in formats if name in ENDINGS]
    if shapes and (reason := missing(scene, camera)):
        raise ValueError(f"{FORMATS[shapes[0]]}: {reason.replace('*', '')}")
    depth = replace(scene.depth, intrinsics=camera)
    names = with_arrays([name for name in formats if name != "calibration"])
    paths = output_paths(folder, scene.stem, depth.kind, names)
    options = OutputOptions(names, colormap=colormap, limits=scene.limits(), legend=True)
    write_outputs(depth, scene.image, paths, options)
    written = list(paths.values())
    if "npy" in paths:
        written.append(Path(sidecar(paths["npy"])))
    if "calibration" in formats:
        calibration = scene.calibration
        if calibration is None:
            raise ValueError("calibration: there is none yet. In the tab Metres, say how far two points are.")
        calibration = replace(calibration, intrinsics=camera or calibration.intrinsics)
        written.append(calibration.save(folder / f"{scene.stem}_calibration.json"))
    return written
