"""Pictures of disparity and depth maps. Needs numpy and Pillow only."""

import numpy as np
from PIL import Image

# ColorBrewer's "Spectral" (colorbrewer2.org, Cynthia Brewer, Apache-2.0), from near to far
NEAR_TO_FAR = np.array(
    [
        (158, 1, 66), (213, 62, 79), (244, 109, 67), (253, 174, 97), (254, 224, 139), (255, 255, 191),
        (230, 245, 152), (171, 221, 164), (102, 194, 165), (50, 136, 189), (94, 79, 162),
    ],
    dtype=np.float64,
)  # fmt: skip


def colorize(values: np.ndarray, prediction_type: str = "disparity", valid: np.ndarray | None = None) -> Image.Image:
    """
    Colour picture of a map: red is near and blue is far, over the range of the valid values.

    Args:
        values: `(height, width)`, disparity or depth.
        prediction_type: `"disparity"` (large is near) or `"depth"` (large is far).
        valid: bool `(height, width)`; finite values by default. Other pixels are black; a constant map has one colour.
    """
    values = np.asarray(values, dtype=np.float64)
    valid = np.isfinite(values) if valid is None else valid & np.isfinite(values)
    low, high = (values[valid].min(), values[valid].max()) if valid.any() else (0.0, 1.0)
    position = np.where(valid, values - low, 0) / max(high - low, np.finfo(np.float64).tiny)
    far = 1 - position if prediction_type == "disparity" else position
    anchors = np.linspace(0, 1, len(NEAR_TO_FAR))
    table = np.stack([np.interp(np.linspace(0, 1, 1024), anchors, channel) for channel in NEAR_TO_FAR.T], axis=1)
    colors = table.round().astype(np.uint8)[(far * 1023).round().astype(np.int64)]
    colors[~valid] = 0
    return Image.fromarray(colors)


def encode_16bit(values: np.ndarray) -> tuple[Image.Image, dict[str, float]]:
    """
    A float map as a 16-bit gray picture over its own range, and the numbers that undo it.

    Returns:
        A PIL image of mode I;16 and `{"scale", "offset"}`: `values = scale * pixel + offset`, exact to half a scale.

    Raises:
        ValueError: the map has values that are not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("The map has values that are not finite; a 16-bit picture cannot hold them.")
    offset, span = values.min(), values.max() - values.min()
    scale = span / 65535 if span > 0 else 1.0
    pixels = ((values - offset) / scale).round().astype(np.uint16)
    return Image.fromarray(pixels), {"scale": float(scale), "offset": float(offset)}
