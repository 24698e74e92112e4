"""Pictures of disparity and depth maps. Needs numpy and Pillow only."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .colormaps import color_table

_TICKS = 5


def value_range(values: np.ndarray, valid: np.ndarray | None = None, robust: float = 0.0) -> tuple[float, float]:
    """
    Lowest and highest value that a picture shows.

    Args:
        values: any shape.
        valid: bool, of the same shape; finite values by default.
        robust: fraction of the values at each end that may lie outside: 0.02 goes from the 2nd to the 98th percentile.

    Returns:
        Two numbers; 0 and 1 where nothing is valid.
    """
    values = np.asarray(values)
    seen = np.isfinite(values) if valid is None else valid & np.isfinite(values)
    if not seen.any():
        return 0.0, 1.0
    if robust:
        low, high = np.quantile(values[seen], [robust, 1 - robust])
    elif seen.all():
        low, high = values.min(), values.max()
    else:
        low, high = values[seen].min(), values[seen].max()
    return float(low), float(high)


def colorize(
    values: np.ndarray,
    prediction_type: str = "disparity",
    valid: np.ndarray | None = None,
    colormap: str = "spectral",
    limits: tuple[float, float] | None = None,
) -> Image.Image:
    """
    Colour picture of a map; in the default colours red is near and blue is far.

    Args:
        values: `(height, width)`, disparity or depth.
        prediction_type: `"disparity"` (large is near) or `"depth"` (large is far).
        valid: bool `(height, width)`; finite values by default. Other pixels are black; a constant map has one colour.
        colormap: one of `COLORMAPS`.
        limits: values of the first and the last colour, beyond which colours stay; by default those of the map
            (`value_range`). Pictures that shall be compared, frames of a video for one, need the same.

    Returns:
        A PIL image of mode RGB.
    """
    values = np.asarray(values)
    seen = np.isfinite(values) if valid is None else valid & np.isfinite(values)
    low, high = limits or value_range(values, seen)
    table = color_table(colormap)
    if prediction_type == "disparity":
        table = table[::-1]
    last = len(table) - 1
    complete = seen.all()
    values = values if complete else np.where(seen, values, low)
    position = values.astype(np.result_type(values, np.float32)) - low
    if high > low:
        position *= last / (high - low)
    index = (position.clip(0, last) + 0.5).astype(np.uint16)
    colors = table.take(index, axis=0)
    if not complete:
        colors[~seen] = 0
    return Image.fromarray(colors)


def add_legend(
    picture: Image.Image,
    limits: tuple[float, float],
    prediction_type: str = "disparity",
    unit: str | None = None,
    colormap: str = "spectral",
) -> Image.Image:
    """
    The picture with a bar of its colours below, the values that they mean, and what these are.

    Args:
        picture: what `colorize` gave with the same `limits`, `prediction_type` and `colormap`.
        unit: of the values; without one the legend says that they are relative.
    """
    low, high = limits
    size = int(np.clip(picture.width / 40, 10, 40))
    font = ImageFont.load_default(size)
    margin, bar, height = size, size, 5 * size
    result = Image.new("RGB", (picture.width, picture.height + height), "white")
    result.paste(picture)
    width = max(picture.width - 2 * margin, 1)
    ramp = np.linspace(low, high, width)[None].repeat(bar, axis=0)
    top = picture.height + size // 2
    result.paste(colorize(ramp, prediction_type, colormap=colormap, limits=limits), (margin, top))
    draw = ImageDraw.Draw(result)
    for tick, value in enumerate(np.linspace(low, high, _TICKS)):
        x = margin + tick * (width - 1) / (_TICKS - 1)
        draw.line([(x, top + bar), (x, top + bar + size // 4)], fill="black", width=max(1, size // 10))
        anchor = "l" if tick == 0 else "r" if tick == _TICKS - 1 else "m"
        draw.text((x, top + bar + size // 3), f"{value:.3g}", fill="black", font=font, anchor=f"{anchor}a")
    near = "right" if prediction_type == "disparity" else "left"
    text = f"{prediction_type} in {unit}" if unit else f"relative {prediction_type}: near is {near}"
    draw.text((picture.width / 2, top + bar + 1.7 * size), text, fill="black", font=font, anchor="ma")
    return result


def grid(pictures: Sequence[Image.Image], columns: int | None = None, gap: int = 4) -> Image.Image:
    """
    Pictures side by side, row by row, each scaled into a cell of the first one's size with its aspect ratio kept.

    Args:
        columns: pictures in a row; by default about as many as there are rows.
        gap: white pixels between them.

    Raises:
        ValueError: no pictures, or less than one column.
    """
    if not pictures or (columns is not None and columns < 1):
        raise ValueError(f"A grid needs pictures and columns, got {len(pictures)} and {columns}.")
    columns = min(columns or round(len(pictures) ** 0.5) or 1, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for index, picture in enumerate(pictures):
        scale = min(width / picture.width, height / picture.height)
        if scale != 1:
            size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
            picture = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        x = index % columns * (width + gap) + (width - picture.width) // 2
        y = index // columns * (height + gap) + (height - picture.height) // 2
        sheet.paste(picture, (x, y))
    return sheet
