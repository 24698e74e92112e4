"""Depth and disparity maps as files that say what they hold, and back.

Floats are stored as they are (EXR, TIFF, NPZ, NPY), with NaN where there is no value; 16-bit PNG and JPEG round, say
the step, and keep one code for "no value". What the numbers mean is JSON ([`DepthMap.metadata`]) in a place that each
format has for such things, under the name `anydepth`.
"""

import errno
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from anydepth_cli.sentences import one_line

from .atomic_write import atomic_write, atomic_write_json
from .depth_encodings import ENCODINGS, read_encoded
from .depth_jpeg import read_jpeg, write_jpeg
from .depth_map import GENERATOR, DepthMap, UnknownMeaning, parse_metadata
from .depth_quantization import INVALID, dequantize, quantize
from .extras import require
from .image_io import ImageError, open_image

KEY = "anydepth"
_DESCRIPTION = 270  # TIFF tag ImageDescription


def write_depth(
    path: str | os.PathLike,
    depth: DepthMap,
    *,
    step: float | None = None,
    limits: tuple[float, float] | None = None,
    photo: Image.Image | None = None,
) -> Path:
    """
    Writes a map in the format of the name's ending: `.png`, `.exr`, `.tiff`, `.npz`, `.npy` or `.jpg`.

    The file exists whole or not at all; an existing file is replaced. Confidence and sky go
    into EXR (channels), TIFF (pages) and NPZ (arrays).

    Args:
        step: distance of two levels of a 16-bit PNG, e.g. 0.001 for millimetres; by default as small as can be.
        limits: range of a 16-bit PNG instead of the map's own (see `quantize`).
        photo: the picture that a JPEG shows, of any size; by default the map in colours.

    Raises:
        ValueError: another ending.
        ImportError: EXR without its package (extra `formats`).
        OSError: the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"{path}: maps are written as {', '.join(_FORMATS)}; choose one by the name's ending.")
    with atomic_write(path) as temporary:
        write, _ = _FORMATS[suffix]
        write(temporary, depth, step=step, limits=limits, photo=photo)
        if suffix == ".npy":
            # the array format has no room for a meaning, without which no array is read: it gets its name just before
            atomic_write_json(sidecar(path), depth.metadata())
    return path


def read_depth(path: str | os.PathLike, encoding: str | None = None) -> DepthMap:
    """
    Reads a map with its valid mask and its meaning.

    Args:
        path: a file that `write_depth` wrote, a JPEG with GDepth data, or with `encoding` any other.
        encoding: how a file without a meaning of its own is to be read: `"kitti"`, `"nyu"`, `"sintel"`, ... (see
            `depth_encodings.ENCODINGS`), or `"depth"` (metres) and `"disparity"` for floats taken as they are.

    Raises:
        ValueError: the file is damaged or in another format, does not say what it holds, or an unknown `encoding`.
        ImportError: EXR without its package (extra `formats`).
        OSError: the file cannot be opened.
    """
    path = Path(path)
    if encoding is not None:
        return read_encoded(path, encoding)
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"{path}: maps are read from {', '.join(_FORMATS)}; for other files say the `encoding`.")
    with open(path, "rb"):  # a missing file is an OSError whatever the library says
        pass
    try:
        _, read = _FORMATS[suffix]
        return read(path)
    except UnknownMeaning as error:
        raise ValueError(f"{error}; give the `encoding`, one of {', '.join(ENCODINGS)}.") from error
    except (ImportError, ImageError):
        raise
    except Exception as error:  # libraries raise KeyError, zlib.error, struct.error, RuntimeError ...
        raise ValueError(f"{path} is damaged or was written by another program ({one_line(error)}).") from error


def sidecar(path: str | os.PathLike) -> Path:
    """Where the meaning of a `.npy` file lies."""
    return Path(f"{os.fspath(path)}.json")


def has_mark(path: str | os.PathLike) -> bool:
    """Whether this package wrote a file, as the file itself says; only such files are replaced unasked."""
    path = Path(path)
    if path.suffix.lower() == ".npy":
        path = sidecar(path)
    elif path.is_dir():  # frames of a video
        path = path / "frames.json"
    try:
        with open(path, "rb") as file:
            start = file.read(65536)
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65536))
            return GENERATOR.encode() in start or GENERATOR.encode() in file.read()
    except OSError:
        return False


def _write_png(path: Path, depth: DepthMap, step: float | None = None, limits=None, **_):
    quantized = quantize(depth.values, depth.valid, step, limits)
    metadata = depth.metadata(quantized.scale, quantized.offset, step=quantized.scale, invalid=INVALID)
    if quantized.out_of_range:
        metadata["out_of_range"] = quantized.out_of_range
    save_picture(path, Image.fromarray(quantized.codes), "PNG", pnginfo=png_text(metadata), compress_level=1)


def save_picture(path: Path, picture: Image.Image, format: str, **options):
    """`picture.save`, but an error says why the file could not be written, and not just that."""
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    path.write_bytes(buffer.getbuffer())


def png_text(metadata: dict) -> PngImagePlugin.PngInfo:
    """The text chunk that holds the meaning of a PNG file."""
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps(metadata))
    return text


def _read_png(path: Path) -> DepthMap:
    image = open_image(path, orient=False)
    metadata = parse_metadata(path, image.info.get(KEY))
    codes = np.asarray(image)
    if codes.ndim != 2 or image.mode not in ("I", "I;16") or "scale" not in metadata:
        raise ImageError(f"{path} is a picture of a map, not the map: read the 16-bit file beside it.")
    values, valid = dequantize(codes, metadata["scale"], metadata["offset"])
    return DepthMap.from_metadata(values, metadata, valid=valid)


def _write_tiff(path: Path, depth: DepthMap, **_):
    pages = {"values": depth.filled(), **_extra_layers(depth)}
    images = [Image.fromarray(page.astype(np.uint8) * 255 if page.dtype == bool else page) for page in pages.values()]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[_DESCRIPTION] = json.dumps(depth.metadata(pages=list(pages)))
    save_picture(path, images[0], "TIFF", tiffinfo=tags, save_all=True, append_images=images[1:])


def _read_tiff(path: Path) -> DepthMap:
    image = open_image(path, orient=False)
    metadata = parse_metadata(path, image.tag_v2.get(_DESCRIPTION))  # type: ignore[attr-defined]  # of TIFF images
    layers = {}
    with open(path, "rb") as file:
        pages = TiffImagePlugin.TiffImageFile(file)
        for index, name in enumerate(metadata["pages"]):
            pages.seek(index)
            layers[name] = np.array(pages)
    return _from_layers(layers["values"], metadata, layers)


def _write_exr(path: Path, depth: DepthMap, **_):
    openexr = require("OpenEXR", "formats", "Writing EXR files")
    layers = {_exr_channel(depth.kind): depth.filled(), **_extra_layers(depth)}
    channels = {name: np.ascontiguousarray(layer, np.float32) for name, layer in layers.items()}
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage, KEY: json.dumps(depth.metadata())}
    path.touch()  # where nothing can be written, OpenEXR does not tell why
    try:
        openexr.File(header, channels).write(os.fspath(path))
    except RuntimeError as error:  # its only error; the text is the system's
        full = errno.ENOSPC if "No space left" in str(error) else errno.EIO
        raise OSError(full, os.strerror(full), os.fspath(path)) from error


def _read_exr(path: Path) -> DepthMap:
    openexr = require("OpenEXR", "formats", "Reading EXR files")
    with openexr.File(os.fspath(path), separate_channels=True) as file:
        metadata = parse_metadata(path, file.header().get(KEY))
        layers = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    return _from_layers(layers[_exr_channel(metadata["kind"])], metadata, layers)


def _exr_channel(kind: str) -> str:
    # Z is OpenEXR's reserved name for depth; disparity under it would be taken for depth
    return "Z" if kind == "depth" else kind


def _write_npz(path: Path, depth: DepthMap, **_):
    # bytes, not text: NumPy stores text in four bytes a letter, and other programs look for words
    arrays = {KEY: np.bytes_(json.dumps(depth.metadata())), depth.kind: depth.values, "valid": depth.valid}
    arrays |= _extra_layers(depth)
    if depth.intrinsics is not None:
        arrays["intrinsics"] = depth.intrinsics.matrix()
    with open(path, "wb") as file:
        np.savez(file, **arrays)


def _read_npz(path: Path) -> DepthMap:
    if not zipfile.is_zipfile(path):
        raise ValueError("no zip file")
    with np.load(path, allow_pickle=False) as file:
        if KEY not in file:
            raise UnknownMeaning(f"{path} does not say what its numbers are")
        metadata = parse_metadata(path, file[KEY].item().decode())
        return _from_layers(file[metadata["kind"]], metadata, file)


def _write_npy(path: Path, depth: DepthMap, **_):
    buffer = io.BytesIO()  # of a real file, NumPy does not tell why it could not be written
    np.save(buffer, depth.filled())
    path.write_bytes(buffer.getbuffer())


def _read_npy(path: Path) -> DepthMap:
    if not sidecar(path).is_file():
        raise UnknownMeaning(f"{path} has no {sidecar(path).name} beside it, so it does not say what its numbers are")
    metadata = parse_metadata(path, sidecar(path).read_text(encoding="utf-8"))
    with open(path, "rb") as file:
        return DepthMap.from_metadata(np.load(file, allow_pickle=False), metadata)


def _extra_layers(depth: DepthMap) -> dict[str, np.ndarray]:
    layers = {"confidence": depth.confidence, "sky": depth.sky}
    return {name: layer for name, layer in layers.items() if layer is not None}


def _from_layers(values: np.ndarray, metadata: dict, layers: Mapping) -> DepthMap:
    known = {name: layers[name] for name in ("valid", "confidence", "sky") if name in layers}
    if "sky" in known:
        known["sky"] = known["sky"] > 0
    return DepthMap.from_metadata(values, metadata, **known)


_FORMATS: dict[str, tuple[Callable, Callable]] = {
    ".png": (_write_png, _read_png),
    ".exr": (_write_exr, _read_exr),
    ".tiff": (_write_tiff, _read_tiff),
    ".tif": (_write_tiff, _read_tiff),
    ".npz": (_write_npz, _read_npz),
    ".npy": (_write_npy, _read_npy),
    ".jpg": (write_jpeg, read_jpeg),
    ".jpeg": (write_jpeg, read_jpeg),
}
