"""TIFF pictures as raw converters write them: 16 bits or floats a channel, in planes, or with white as zero."""

from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from .extras import require

_BITS, _PHOTOMETRIC, _PLANES = (
    TiffImagePlugin.BITSPERSAMPLE,
    TiffImagePlugin.PHOTOMETRIC_INTERPRETATION,
    TiffImagePlugin.PLANAR_CONFIGURATION,
)


def open_tiff(file: BinaryIO, name: str, check_size: Callable[[int, int], None]) -> Image.Image:
    """
    Opens a TIFF picture by Pillow or, of a kind that Pillow refuses or decodes wrongly, by tifffile.

    Those kinds are floats or 16 bits in several channels, one plane a channel, and 16 bits where zero is white. What
    tifffile reads of several channels becomes 8 bits a channel, as Pillow gives other 16-bit colour.

    Args:
        check_size: is given width and height before pixels are decoded, and raises if they are too many.

    Raises:
        ValueError: floats outside [0, 1], or another number of channels.
        ImportError: tifffile is needed and missing (extra `formats`).
    """
    try:
        image = TiffImagePlugin.TiffImageFile(file, name)
    except SyntaxError:  # "unknown pixel mode"
        return _decode(file, name, check_size)
    check_size(*image.size)
    bits = image.tag_v2.get(_BITS, (1,))
    deep = max(bits) > 8
    planes = image.tag_v2.get(_PLANES, 1) == 2 and len(bits) > 1
    inverted = image.tag_v2.get(_PHOTOMETRIC) == 0 and image.mode != "F"
    if deep and (planes or inverted):
        return _decode(file, name, check_size)
    if bits == (12,):  # Pillow gives 0 to 4095 in a mode that means 0 to 65535
        return _with_exif(Image.fromarray(np.asarray(image) * np.uint16(16)), image.getexif())
    return image


def _decode(file: BinaryIO, name: str, check_size: Callable[[int, int], None]) -> Image.Image:
    tifffile = require("tifffile", "formats", f"{name} is a TIFF of a rare kind, and reading it")
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        check_size(page.imagewidth, page.imagelength)
        array = page.asarray()
        if array.ndim == 3 and page.planarconfig == 2:
            array = np.moveaxis(array, 0, -1)
        inverted, orientation = page.photometric == 0, page.tags.get("Orientation")
    if np.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float32)
        if not (array.min() >= 0 and array.max() <= 1):  # NaN is not in the range either
            raise ValueError("floating-point colour needs values in [0, 1]; export it in display brightness")
        array = np.rint(array * 65535).astype(np.uint16)
    elif array.dtype != np.uint16:
        raise ValueError(f"samples of type {array.dtype}")
    array = 65535 - array if inverted else array
    if array.ndim == 3:
        if array.shape[2] not in (3, 4):
            raise ValueError(f"{array.shape[2]} channels")
        array = np.rint(array / np.float32(257)).astype(np.uint8)
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = int(orientation.value)
    return _with_exif(Image.fromarray(array), exif)


def _with_exif(image: Image.Image, exif: Image.Exif) -> Image.Image:
    image.info["exif"] = exif.tobytes()
    return image
