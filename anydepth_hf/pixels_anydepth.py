"""Pixels before a model sees them, in NumPy and Pillow: RGB from any picture, the size to resize to, resizing.

Everything here gives exactly the values that [`AnyDepthImageProcessor`] computes with torch.
"""

from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; the same object where there is nothing to turn."""
    try:
        # Pillow copies the image even where it has nothing to turn
        return image if image.getexif().get(ExifTags.Base.Orientation, 1) == 1 else ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF data (struct.error, SyntaxError, KeyError ...): the pixels are good without them
        return image


def pil_to_rgb(image: Image.Image) -> np.ndarray:
    """uint8 RGB array of a PIL image of any mode: EXIF rotation applied, transparency laid on white."""
    image = upright(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray = np.asarray(image).astype(np.float32)
        if image.mode != "F":
            # 16-bit gray: Pillow's own conversion to 8 bits clips instead of scaling
            gray = gray / 65535 if image.mode.startswith("I;16") or gray.max() > 255 else gray / 255
        elif not (gray.min() >= 0 and gray.max() <= 1):  # NaN is not in the range either
            raise ValueError("A PIL image of mode F must have values in [0, 1].")
        return np.repeat((gray.clip(0, 1) * 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))  # Pillow would copy it without a need


def get_resized_size(height: int, width: int, size: Any, multiple: int) -> tuple[int, int]:
    """Size (height, width) that an image is resized to: aspect ratio kept, then each side to the nearest multiple.

    `size` has the attributes `shortest_edge`, `longest_edge`, `height` and `width`, of which it gives one of the first
    two, both (the second as a limit), or the last two (a squash); the others are `None`.
    """
    if size.height and size.width:
        new_height, new_width = size.height, size.width
    else:
        scale = size.shortest_edge / min(height, width) if size.shortest_edge else float("inf")
        if size.longest_edge:
            scale = min(scale, size.longest_edge / max(height, width))
        if scale == float("inf"):
            raise ValueError(
                "`size` needs `shortest_edge`, `longest_edge`, or `height` and `width`; "
                f"got { ({key: value for key, value in dict(size).items() if value is not None}) }."
            )
        new_height, new_width = height * scale, width * scale
    return tuple(max(multiple, int(side / multiple + 0.5) * multiple) for side in (new_height, new_width))


def resize_rgb(image: np.ndarray, size: tuple[int, int], filter: str = "bicubic") -> np.ndarray:
    """
    Resizes `(H, W, 3)` uint8 with antialiasing, to the last bit as torch's `interpolate(..., antialias=True)` does.

    Torch takes Pillow's algorithm with weights of 15 bits, one axis after the other, columns first.

    Args:
        size: height and width of the result.
        filter: `"bicubic"` (a = -0.5), `"bilinear"` or `"nearest"`.
    """
    if image.shape[:2] == tuple(size):
        return image
    if filter == "nearest":
        rows, columns = (
            ((np.arange(new, dtype=np.float32) + 0.5) * np.float32(old / new)).astype(int)
            for new, old in zip(size, image.shape)
        )
        return image[rows][:, columns]
    for axis in (1, 0):
        if image.shape[axis] != size[axis]:
            image = _resize_axis(image, size[axis], axis, filter)
    return image


def _resize_axis(image: np.ndarray, size: int, axis: int, filter: str) -> np.ndarray:
    length = image.shape[axis]
    scale = length / size
    support = (2 if filter == "bicubic" else 1) * max(scale, 1.0)
    centres = scale * (np.arange(size) + 0.5)
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), length)
    taps = np.arange((last - first).max())
    distance = np.abs(first[:, None] + taps - centres[:, None] + 0.5) / max(scale, 1.0)
    weights = _cubic(distance) if filter == "bicubic" else np.maximum(1 - distance, 0)
    weights *= taps < (last - first)[:, None]
    weights /= weights.sum(axis=1, keepdims=True)
    precision = 0
    while precision < 22 and int(0.5 + weights.max() * 2 ** (precision + 1)) < 2**15:
        precision += 1
    weights = np.trunc(weights * 2**precision + np.copysign(0.5, weights)).astype(np.int32)
    shape = [1] * image.ndim
    shape[axis] = size
    total = np.full_like(np.take(image, first, axis), 2 ** (precision - 1), dtype=np.int32)
    for tap in taps:
        values = np.take(image, np.minimum(first + tap, length - 1), axis)
        total += values * weights[:, tap].reshape(shape)
    return (total >> precision).clip(0, 255).astype(np.uint8)


def _cubic(distance: np.ndarray) -> np.ndarray:
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


__all__ = ["get_resized_size", "pil_to_rgb", "resize_rgb", "upright"]
