"""Single files to arrays: the encodings that the depth data sets use, each failure as one sentence naming the file."""

import contextlib
import io
import os
from collections.abc import Iterator

import numpy as np

from anydepth_hf.extras import require
from anydepth_hf.image_io import ImageError, open_image
from anydepth_hf.programs import one_line

Source = str | os.PathLike | bytes
"""A path, or the bytes of a file (as the columns of Hugging Face data sets hold them)."""


class DataError(ValueError):
    """A sample, file, folder or option that cannot be used; the message is one sentence naming it."""


@contextlib.contextmanager
def naming(name: str | os.PathLike) -> Iterator[None]:
    """Turns whatever a decoder raises into a `DataError` that begins with the file's name."""
    try:
        yield
    except ImportError:
        raise
    except (DataError, ImageError) as error:
        message = str(error) if str(error).startswith(str(name)) else f"{name}: {error}"
        raise DataError(message) from error
    except FileNotFoundError as error:
        raise DataError(f"{name}: the file does not exist.") from error
    except Exception as error:  # decoders raise SyntaxError, KeyError, struct.error, zlib.error, RuntimeError ...
        raise DataError(f"{name}: the file is damaged or not in the expected format ({one_line(error)}).") from error


def open_binary(source: Source):
    """The file, or the bytes, opened for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def read_rgb(source: Source) -> np.ndarray:
    """Decodes an image to uint8 (H, W, 3) as the image processor does (EXIF rotation, transparency, 16 bits)."""
    # not at the top: it imports transformers, which takes seconds, and scoring depth files does without
    from anydepth_hf.image_processing_anydepth import pil_to_rgb

    return pil_to_rgb(open_image(source))


def read_png(source: Source) -> np.ndarray:
    """Decodes a PNG or TIFF without any conversion: uint16 or float32 (H, W), or uint8 (H, W[, C])."""
    image = open_image(source, orient=False)
    array = np.asarray(image)
    # Pillow widens 16-bit files to mode "I" in some versions
    return array.astype(np.uint16) if image.mode == "I" and 0 <= array.min() and array.max() <= 65535 else array


def read_png16(source: Source) -> np.ndarray:
    """Decodes a 16-bit single-channel PNG to uint16 (H, W)."""
    array = read_png(source)
    if array.dtype != np.uint16 or array.ndim != 2:
        raise DataError(f"expected a 16-bit grey PNG, got {array.dtype} of shape {array.shape}.")
    return array


def read_rgba_float(source: Source) -> np.ndarray:
    """Decodes a float32 map packed into a 4x8-bit PNG (TartanAir V2) to float32 (H, W).

    OpenCV writes these files from little-endian floats seen as channels B, G, R, A; Pillow gives R, G, B, A.
    """
    array = read_png(source)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 4:
        raise DataError(f"expected a PNG with 4x8 bits per pixel, got {array.dtype} of shape {array.shape}.")
    return np.ascontiguousarray(array[..., [2, 1, 0, 3]]).view("<f4")[..., 0]


def read_npy(source: Source) -> np.ndarray:
    """Loads a `.npy` file (never pickled objects); a trailing axis of one is dropped."""
    with open_binary(source) as file:
        array = np.load(file, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise DataError("expected one array (.npy), got an .npz archive.")
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array


def read_pfm(source: Source) -> np.ndarray:
    """Decodes a grey PFM to float32 (H, W), top row first; the magnitude of its scale is ignored, as data sets do."""
    image = open_image(source, orient=False)
    if image.mode != "F":
        raise DataError(f"expected a grey PFM (header 'Pf'), got an image of mode {image.mode}.")
    return np.array(image, dtype=np.float32)


def read_exr(source: Source) -> np.ndarray:
    """Decodes one channel of an EXR file to float32 (H, W): its only channel, else R (IRS has 'G' alone, or R)."""
    if isinstance(source, bytes):
        raise DataError("EXR can be read from files only, not from a column of bytes; store TIFF or NPY instead.")
    if not os.path.exists(source):  # OpenEXR's own error would not say so
        raise FileNotFoundError(source)
    openexr = require("OpenEXR", "train")
    with openexr.File(os.fspath(source), separate_channels=True) as file:
        channels = file.channels()
        name = next(iter(channels)) if len(channels) == 1 else "R"
        if name not in channels:
            raise DataError(f"expected one channel, or a channel R; found {', '.join(sorted(channels))}.")
        return np.array(channels[name].pixels, dtype=np.float32)


def read_hdf5(source: Source, key: str = "dataset") -> np.ndarray:
    """Reads the data set `key` of an HDF5 file."""
    h5py = require("h5py", "train")
    file = io.BytesIO(source) if isinstance(source, bytes) else source  # HDF5 reads files faster than file objects
    with h5py.File(file, "r", locking=False) as file:
        if key not in file:
            raise DataError(f"no data set {key!r} in this HDF5 file; it has {', '.join(map(repr, file)) or 'none'}.")
        return file[key][()]
