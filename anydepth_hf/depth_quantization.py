"""Maps as 16-bit integers: for PNG and JPEG, the only formats that round."""

from dataclasses import dataclass

import numpy as np

INVALID = 0
"""The code of a pixel without a value, as in KITTI's and ScanNet's files."""


@dataclass(frozen=True)
class Quantized:
    """
    Args:
        codes: uint16 `(height, width)`: `value = scale * code + offset`; code 0 is no value.
        scale, offset: see above; a value is off by at most half of `scale`.
        out_of_range: valid pixels that 16 bits of the demanded step could not hold and that have no value now.
    """

    codes: np.ndarray
    scale: float
    offset: float
    out_of_range: int = 0


def quantize(
    values: np.ndarray, valid: np.ndarray, step: float | None = None, limits: tuple[float, float] | None = None
) -> Quantized:
    """
    Rounds a map to 65,535 levels.

    Args:
        values: float `(height, width)`.
        valid: bool, of the same shape; finite where true.
        step: distance of two levels, counted from 0: 0.001 for millimetres, 1 / 256 as in KITTI. By default as small
            as the range of the valid values allows, which wastes no precision.
        limits: without a step, the values of the lowest and the highest level instead of the map's own, beyond which
            values are clipped: the same for all frames of a video.

    Raises:
        ValueError: `step` is not positive and finite, or fits no value of a single map.
    """
    values = np.where(valid, values, 0).astype(np.float64)
    if step is None:
        if limits is not None:
            low, high = limits
            values = values.clip(low, high)
        else:
            low, high = (values[valid].min(), values[valid].max()) if valid.any() else (0.0, 0.0)
        scale = (high - low) / 65534
        scale = float(scale) if scale > 0 else abs(float(low)) or 1.0
        offset = float(low) - scale
    elif not 0 < step < np.inf:
        raise ValueError(f"The step of a 16-bit file must be a positive number, got {step}.")
    else:
        scale, offset = float(step), 0.0
    codes = np.rint((values - offset) / scale)
    held = valid & (codes >= 1) & (codes <= 65535)
    if step is not None and limits is None and valid.any() and not held.any():
        raise ValueError(
            f"A step of {step:g} holds values from {step:g} to {65535 * step:g}, and none is; give another."
        )
    codes = np.where(held, codes, INVALID).astype(np.uint16)
    return Quantized(codes, scale, offset, int(valid.sum() - held.sum()))


def dequantize(codes: np.ndarray, scale: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Values, float32 with NaN for no value, and the valid mask, of 16-bit codes."""
    valid = codes != INVALID
    values = np.where(valid, codes * np.float64(scale) + offset, np.nan)
    return values.astype(np.float32), valid
