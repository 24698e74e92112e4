"""A contact sheet of a folder of pictures: each beside its disparity (near red, far blue, sky black)."""

from pathlib import Path

import numpy as np
from PIL import Image

from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.visualization import colorize, value_range

from .picture_files import list_pictures, read_picture


def write_sheet(root: Path, path: Path, count: int = 12, columns: int = 3) -> None:
    """
    Writes `count` pictures of the folder's most frequent size, spread over it, as PNG or JPEG.

    Raises:
        ValueError: there are no pictures.
    """
    files = max(list_pictures(root).values(), key=len, default=[])
    if not files:
        raise ValueError(f"{root}: no pictures for the sheet")
    chosen = np.unique(np.linspace(0, len(files) - 1, count).astype(int))
    cells = []
    for index in chosen:
        image, depth = read_picture(files[index])
        seen = depth > 0
        disparity = np.where(seen, 1 / np.where(seen, depth, 1), 0)
        colors = colorize(disparity, valid=seen, limits=value_range(disparity, seen, robust=0.02))
        cells.append(np.hstack([image, np.asarray(colors)]))
    columns = min(columns, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary, quality=80)
