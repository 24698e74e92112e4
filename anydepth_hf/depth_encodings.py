"""Depth files of other programs and data sets, which do not say themselves what they hold."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anydepth_cli.sentences import one_line

from .depth_map import DepthMap
from .extras import require
from .image_io import open_image


@dataclass(frozen=True)
class Encoding:
    """
    Args:
        kind, unit: of the decoded map.
        per_unit: how many of the file's steps make one unit; `None` for floats, which are taken as they are.
        invalid: the code of 16-bit files for "no value".
        about: what it is, for people.
    """

    kind: str
    unit: str | None
    per_unit: float | None
    about: str
    invalid: int = 0


ENCODINGS = {
    "kitti": Encoding("depth", "m", 256, "16-bit PNG, metres times 256, 0: no value (KITTI's depth devkit)"),
    "nyu": Encoding("depth", "m", 1000, "16-bit PNG in millimetres, 0: no value (NYUv2 as usually exported)"),
    "millimetres": Encoding("depth", "m", 1000, "16-bit PNG in millimetres, 0: no value (ScanNet, RealSense, Kinect)"),
    "tum": Encoding("depth", "m", 5000, "16-bit PNG, metres times 5000, 0: no value (TUM RGB-D)"),
    "vkitti": Encoding("depth", "m", 100, "16-bit PNG in centimetres, 65535: sky (Virtual KITTI 2)", invalid=65535),
    "sintel": Encoding("depth", "m", None, ".dpt file of MPI Sintel: float32"),
    "depth": Encoding("depth", "m", None, "floats of NPY, TIFF, EXR or PFM, depth in metres"),
    "disparity": Encoding("disparity", None, None, "floats of NPY, TIFF, EXR or PFM, disparity without a unit"),
}
"""Encodings that `read_depth` knows, by name."""


def read_encoded(path: str | os.PathLike, encoding: str) -> DepthMap:
    """
    Reads a map from a file of a known encoding. Depth that is zero, negative, NaN or infinite is no value.

    Raises:
        ValueError: an unknown encoding, or a file that is damaged or in another format.
        ImportError: EXR without its package (extra `formats`).
        OSError: the file cannot be opened.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"The encoding must be one of {', '.join(ENCODINGS)}, not {encoding!r}.")
    path, entry = Path(path), ENCODINGS[encoding]
    with open(path, "rb"):  # a missing file is an OSError whatever the library says
        pass
    if entry.per_unit is not None:
        image = open_image(path, orient=False)
        if image.mode not in ("I", "I;16"):
            raise ValueError(f"{path}: {encoding} needs {entry.about}, but this picture has mode {image.mode}.")
        codes = np.asarray(image)
        values, step = codes / np.float64(entry.per_unit), 1 / entry.per_unit
        depth = DepthMap(values, entry.kind, entry.unit, codes != entry.invalid, step=step)
    else:
        reader = _read_dpt if encoding == "sintel" else _FLOATS.get(path.suffix.lower())
        if reader is None:
            raise ValueError(f"{path}: floats are read from {', '.join(_FLOATS)}, not from this.")
        try:
            depth = DepthMap(reader(path), entry.kind, entry.unit)
        except ImportError:
            raise
        except Exception as error:  # libraries raise KeyError, struct.error, RuntimeError ...
            raise ValueError(f"{path} is damaged or no {entry.about} ({one_line(error)}).") from error
    return replace(depth, valid=depth.valid & (depth.values > 0)) if entry.kind == "depth" else depth


def _read_dpt(path: Path) -> np.ndarray:
    # sintel_io.py of the data set: a float32 tag, then int32 width and height, then the rows; all little-endian
    data = path.read_bytes()
    tag = np.frombuffer(data, "<f4", 1)[0]
    width, height = np.frombuffer(data, "<i4", 2, offset=4).tolist()
    if tag != np.float32(202021.25) or width < 1 or height < 1 or len(data) != 12 + 4 * width * height:
        raise ValueError("no .dpt header, or truncated")
    return np.frombuffer(data, "<f4", offset=12).reshape(height, width)


def _read_npy(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        array = np.load(file, allow_pickle=False)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def _read_tiff(path: Path) -> np.ndarray:
    image = open_image(path, orient=False)
    if image.mode != "F":
        raise ValueError(f"mode {image.mode}, not floats")
    return np.asarray(image)


def _read_exr(path: Path) -> np.ndarray:
    openexr = require("OpenEXR", "formats", "Reading EXR files")
    with openexr.File(os.fspath(path), separate_channels=True) as file:
        channels = file.channels()
        name = next((name for name in ("Z", "Y", "R") if name in channels), None) or next(iter(channels))
        return np.array(channels[name].pixels, dtype=np.float32)


def _read_pfm(path: Path) -> np.ndarray:
    with open(path, "rb") as file:
        if file.readline().strip() != b"Pf":
            raise ValueError("no grey PFM")
        width, height = (int(number) for number in file.readline().split())
        order = "<" if float(file.readline()) < 0 else ">"  # the sign is the byte order
        data = file.read()
    values = np.frombuffer(data, f"{order}f4", width * height).reshape(height, width)
    return np.flipud(values).astype(np.float32)  # the bottom row comes first


_FLOATS: dict[str, Callable[[Path], np.ndarray]] = {
    ".npy": _read_npy,
    ".tiff": _read_tiff,
    ".tif": _read_tiff,
    ".exr": _read_exr,
    ".pfm": _read_pfm,
}
