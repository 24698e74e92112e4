"""The files that a prediction becomes."""

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from .atomic_write import atomic_write
from .depth_files import has_mark, png_text, save_picture, sidecar, write_depth
from .depth_map import DepthMap
from .image_io import as_rgb
from .outputs_3d import ENDINGS, ShapeOptions, ShapeWriter
from .visualization import add_legend, colorize, grid, value_range

MAPS = {"png": ".png", "exr": ".exr", "tiff": ".tiff", "npz": ".npz", "npy": ".npy", "jpeg": ".jpg"}
FORMATS = ("color", *MAPS, *ENDINGS)


@dataclass(frozen=True)
class OutputOptions:
    """
    How results are written.

    Args:
        formats: some of `FORMATS`.
        step: see `write_depth`.
        colormap, limits: see `colorize`.
        robust: see `value_range`; used where there are no limits.
        legend: colour pictures have one.
        beside: colour pictures stand beside the photograph.
        shape: what three-dimensional files hold.
        overwrite: replace files of others too.

    Raises:
        ValueError: limits that are not in order.
    """

    formats: Collection[str] = ("png", "color")
    step: float | None = None
    colormap: str = "spectral"
    limits: tuple[float, float] | None = None
    robust: float = 0.0
    legend: bool = False
    beside: bool = False
    shape: ShapeOptions = field(default_factory=ShapeOptions)
    overwrite: bool = False

    def __post_init__(self):
        if self.limits is not None and self.limits[0] > self.limits[1]:
            raise ValueError(
                f"A range of colours goes from LOW to HIGH, not from {self.limits[0]} to {self.limits[1]}."
            )


def output_paths(output_dir: Path, stem: str, kind: str, formats: Iterable[str]) -> dict[str, Path]:
    """File of each format for the picture whose results are called `stem`, which may name folders."""
    base = str(output_dir / stem)
    endings = {"color": f"_{kind}_color.png", **{name: f"_{kind}{suffix}" for name, suffix in MAPS.items()}}
    endings |= ENDINGS
    return {name: Path(base + endings[name]) for name in formats}


def check_replaceable(paths: Iterable[Path]):
    """Raises FileExistsError where one of the files exists and is not of this package."""
    for path in paths:
        if os.path.lexists(path) and not has_mark(path):
            raise FileExistsError(
                f"{path} exists and was not written by anydepth; --overwrite replaces it, --output-dir chooses "
                "another place"
            )


def write_outputs(depth: DepthMap, image: Image.Image, paths: dict[str, Path], options: OutputOptions):
    """
    Writes a map in every format of `paths`.

    Raises:
        FileExistsError: a file that is not ours exists, and may not be replaced.
        OSError: a file cannot be written; `filename` is its name.
        ValueError: three-dimensional files of a map without unit or camera.
    """
    if not options.overwrite:
        check_replaceable(paths.values())
    shapes = ShapeWriter(depth, image, options.shape)
    for name, path in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == "color":
                _write_color(path, depth, image, options)
            elif name in ENDINGS:
                shapes.write(name, path)
            else:
                write_depth(path, depth, step=options.step, photo=image)
        except OSError as error:
            if error.errno is None:
                raise
            # of a write to an open file, Python does not say which it was
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _write_color(path: Path, depth: DepthMap, image: Image.Image, options: OutputOptions):
    limits = options.limits or value_range(depth.values, depth.valid, options.robust)
    picture = colorize(depth.values, depth.kind, depth.valid, options.colormap, limits)
    if options.beside:
        picture = grid([as_rgb(image), picture], columns=2)
    if options.legend:
        picture = add_legend(picture, limits, depth.kind, depth.unit, options.colormap)
    text = png_text(depth.metadata(colormap=options.colormap, limits=limits))
    with atomic_write(path) as temporary:
        # run lengths: as fast as no search at all, and half the size
        save_picture(temporary, picture, "PNG", pnginfo=text, compress_level=1, compress_type=3)


def is_complete(paths: dict[str, Path]) -> bool:
    """Whether all files of a picture exist."""
    # os.path: of a name that is too long for the file system, `Path.exists` raises
    return all(map(os.path.exists, paths.values())) and ("npy" not in paths or os.path.exists(sidecar(paths["npy"])))
