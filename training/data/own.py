"""Users' own depth: any supported file type, recognised by its first bytes, as depth or disparity, at any scale."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.data.decoding import DataError, Source, open_binary, read_exr, read_hdf5, read_npy, read_pfm, read_png

DECODERS: dict[bytes, Callable[[Source], np.ndarray]] = {
    b"\x93NUMPY": read_npy,
    b"\x89PNG": read_png,
    b"II*\0": read_png,
    b"MM\0*": read_png,
    b"Pf": read_pfm,
    b"\x76\x2f\x31\x01": read_exr,
    b"\x89HDF": read_hdf5,
}
"""Decoder by a file's first bytes."""


@dataclass(frozen=True)
class OwnDepth:
    """Decodes depth of unknown origin to float32 (H, W) in units of depth.

    Attributes:
        quantity: what is stored, `depth` or `disparity` (inverted here, where positive).
        scale: stored values per unit; `None` only for floating-point files, or with `integer_scale`.
        integer_scale: that of files of integers where `scale` is `None`.
    """

    quantity: str = "depth"
    scale: float | None = None
    integer_scale: float | None = None

    def __post_init__(self):
        if self.quantity not in ("depth", "disparity"):
            raise DataError(f"quantity must be 'depth' or 'disparity', got {self.quantity!r}.")
        if self.scale is not None and not self.scale > 0:
            raise DataError(f"depth_scale must be positive (stored values per metre), got {self.scale}.")

    def __call__(self, source: Source | np.ndarray) -> np.ndarray:
        """From a path, a file's bytes, or an array.

        Raises:
            DataError: unknown file type, colour image, or integers without a scale.
        """
        if not isinstance(source, np.ndarray):
            with open_binary(source) as file:
                start = file.read(8)
            decode = next((decoder for magic, decoder in DECODERS.items() if start.startswith(magic)), None)
            if decode is None:
                raise DataError("expected depth as NPY, 16-bit PNG, TIFF, PFM, EXR or HDF5; this is none of them.")
            source = decode(source)
        if source.ndim != 2:
            raise DataError(f"expected one depth value per pixel, got an array of shape {source.shape}.")
        if source.dtype.kind not in "fiu":
            raise DataError(f"expected depth as numbers, got values of type {source.dtype}.")
        scale = self.scale if self.scale or source.dtype.kind not in "iu" else self.integer_scale
        if scale is None and source.dtype.kind in "iu":
            raise DataError(
                f"holds {source.dtype} values; set depth_scale, the stored values per metre (1000 for millimetres)."
            )
        values = source.astype(np.float32)
        if scale is not None:
            values /= np.float32(scale)
        if self.quantity == "disparity":
            return np.divide(np.float32(1), values, out=np.zeros_like(values), where=values > 0)
        return values
