"""The one place where image files are opened: formats by an explicit list, orientation, damaged files, huge ones.

HEIC files need the extra `formats`.
"""

import io
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import BinaryIO

from PIL import Image, features

from anydepth_cli.sentences import one_line

from .extras import require
from .pixels_anydepth import pil_to_rgb, upright
from .tiff_io import open_tiff

ImageSource = str | os.PathLike | bytes | BinaryIO
"""A path, the bytes of a file, or a file object opened for reading bytes."""

# Pillow goes by content, not by name, and for some formats (EPS, WMF) it starts programs: only these are tried.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "GIF", "BMP", "PPM")

IMAGE_SUFFIXES = frozenset(
    ".avif .bmp .gif .heic .heif .hif .jfif .jpe .jpeg .jpg .mpo .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
"""File name endings, in lower case, by which folders are searched. Opening a file goes by its content alone."""

MAX_PIXELS = 2**28
"""Pixels that an image may have, so that a small file cannot fill the memory; a 200-megapixel photograph has fewer."""

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"}
_AVIF_BRANDS = {b"avif", b"avis"}


class ImageError(ValueError):
    """An image that cannot be used; the message is one sentence that begins with its name."""


class UnknownFormat(ImageError):
    """What is no image, or one of a format that is not read here."""


class TooManyPixels(ImageError):
    """An image of more pixels than the caller takes."""


def open_image(
    source: ImageSource, *, orient: bool = True, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """
    Opens and decodes an image of one of `FORMATS`, whatever its name says; of an animation the first frame.

    Damaged EXIF data are dropped, since the pixels are good without them.

    Args:
        source: path, bytes, or binary file object.
        orient: turn the image upright as its EXIF orientation says. Depth labels were made for pixels as stored: for
            data sets pass `False`.
        name: what errors call the image; by default its path.
        max_pixels: an image of more is refused before its pixels are decoded.

    Returns:
        The decoded image in its own mode (16-bit gray stays `I;16`), independent of the file.

    Raises:
        UnknownFormat: no image of these formats.
        TooManyPixels: more than `max_pixels` pixels.
        ImageError: damaged.
        ImportError: an HEIC file without the package that reads it.
        OSError: the file cannot be opened.
    """
    if name is None:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else getattr(source, "name", "the image")
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            return _decode(file, orient, name, max_pixels)
    return _decode(io.BytesIO(source) if isinstance(source, bytes) else source, orient, name, max_pixels)


def check_pixels(name: str, width: int, height: int, max_pixels: int):
    """Raises TooManyPixels where a picture, or a frame of a video, has more than `max_pixels` pixels."""
    if width * height > max_pixels:
        raise TooManyPixels(
            f"{name} has {width}x{height} pixels, {width * height / 1e6:.6g} million; "
            f"at most {max_pixels / 1e6:.6g} million are read: make it smaller."
        )


def _decode(file: BinaryIO, orient: bool, name: str, max_pixels: int) -> Image.Image:
    check = partial(check_pixels, name, max_pixels=max_pixels)
    try:
        image = _identify(file, name, check)
        check(*image.size)
        image.load()
        return upright(image) if orient else image
    except (ImageError, ImportError):
        raise
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory.") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, KeyError ...
        raise ImageError(f"{name} is a damaged image ({one_line(error)}).") from error


def _identify(file: BinaryIO, name: str, check: Callable[[int, int], None]) -> Image.Image:
    """The image, header read and pixels not, of the first format that takes the file's first bytes."""
    prefix = file.read(32)
    file.seek(0)
    Image.init()
    formats = [format for format in FORMATS if format not in ("AVIF", "HEIF")]
    brands = {prefix[i : i + 4] for i in range(8, 32, 4)} if prefix[4:8] == b"ftyp" else set()
    if brands & _AVIF_BRANDS:
        formats = ["AVIF"]
        if not features.check("avif"):
            raise ImageError(f"{name} is an AVIF image, which needs another Pillow: pip install 'pillow>=11.3'.")
    elif brands & _HEIF_BRANDS:
        formats = ["HEIF"]
        require("pillow_heif", "formats", f"{name} is an HEIC image, and reading it").register_heif_opener()
    for format in formats:
        # not `Image.open`: by a process-wide setting it refuses photographs of 179 million pixels and more
        factory, accept = Image.OPEN[format]
        if accept(prefix) is True:
            return open_tiff(file, name, check) if format == "TIFF" else factory(file, name)
    raise UnknownFormat(f"{name} is no image of a format that is read here ({', '.join(FORMATS)}).")


def as_rgb(image: Image.Image) -> Image.Image:
    """The image upright in mode RGB, as models see it: 16-bit gray scaled to 8 bits, transparency laid on white."""
    image = upright(image)
    plain = image.mode == "RGB" and "transparency" not in image.info
    return image if plain else Image.fromarray(pil_to_rgb(image))


def find_images(
    folder: str | os.PathLike, recursive: bool = True, suffixes: Collection[str] = IMAGE_SUFFIXES
) -> list[Path]:
    """Files below a folder that look like images by their endings (or have others that are given), sorted; hidden
    files and folders are left out.
    """
    paths = Path(folder).rglob("*") if recursive else Path(folder).iterdir()
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
