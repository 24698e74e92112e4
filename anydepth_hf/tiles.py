"""Large pictures in overlapping tiles, each aligned to the map of the whole picture and blended into its neighbours.

The whole picture, made small enough for the model, says how far things are from each other; tiles, seen closer, say
where their edges are. A relative prediction of a tile has a scale and a shift of its own, so both are fitted (least
squares) to the part of the whole map that the tile covers, on what both can show: detail that only the tile has would
pull the scale to zero. The idea is BoostingMonocularDepth's (Miangoleh et al. 2021) and PatchFusion's (Li et al.
2023), without their merging networks.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .linear_fit import fit_line

OVERLAP = 0.3
"""Part of a tile's side that the next tile shows too."""
_LEAST_CELLS = 8  # along a side of a tile, which are fitted


class Span(NamedTuple):
    """Where a tile lies along one side of the picture in pixels, and how far its neighbours there reach into it."""

    start: int
    end: int
    before: int
    after: int


def tile_windows(width: int, height: int, count: int, overlap: float = OVERLAP) -> list[tuple[Span, Span]]:
    """
    Rows and columns of the tiles that cover a picture.

    Args:
        count: tiles along the shorter side; the longer side gets as many as keep them about square.
        overlap: part of a tile's side that two neighbours share, at least.
    """
    shorter = min(width, height)
    side = shorter / (count - (count - 1) * overlap)
    return list(itertools.product(*(_spans(length, side, overlap) for length in (height, width))))


def _spans(length: int, side: float, overlap: float) -> list[Span]:
    """Those of the tiles along one side of the picture."""
    count = 1 + max(0, int(np.ceil((length - side) / (side * (1 - overlap)) - 1e-9)))
    size = min(length, int(np.ceil(side)))
    # steps are whole pixels: the longest must leave the overlap too
    while count > 1 and size + (size - length) // (count - 1) < overlap * size - 1e-9:
        size += 1
    starts = np.linspace(0, length - size, count).round().astype(int).tolist()
    shared = [0, *(before + size - after for before, after in zip(starts, starts[1:])), 0]
    return [Span(start, start + size, shared[k], shared[k + 1]) for k, start in enumerate(starts)]


def refine(
    whole: np.ndarray,
    image: Image.Image,
    predict: Callable[[Sequence[Image.Image]], Sequence[np.ndarray]],
    count: int,
    detail: float = 1.0,
    batch_size: int = 1,
) -> np.ndarray:
    """
    A sharper map of a large picture.

    Args:
        whole: float32 `(height, width)`, the map predicted from the whole picture, at its size.
        image: the picture.
        predict: maps, each of its picture's size, of a few pictures of equal size.
        count: see `tile_windows`.
        detail: pixels of the picture in one that the model saw for the whole map.
        batch_size: tiles that are predicted at once.

    Returns:
        float32 `(height, width)`, in the numbers of `whole`. Besides it and the picture there is never more in memory
        than one batch of tiles.
    """
    height, width = whole.shape
    windows = tile_windows(width, height, count)
    result = np.zeros_like(whole)
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        tiles = predict([image.crop((across.start, down.start, across.end, down.end)) for down, across in batch])
        for (down, across), tile in zip(batch, tiles):
            part = slice(down.start, down.end), slice(across.start, across.end)
            # the weights of all tiles add up to 1 in each pixel
            result[part] += _weights(down)[:, None] * _weights(across) * align_tile(tile, whole[part], detail)
    return result


def align_tile(tile: np.ndarray, whole: np.ndarray, detail: float = 1.0) -> np.ndarray:
    """
    A tile's map, scaled and shifted to the part of the whole map that shows the same, of the same shape.

    Args:
        detail: see `refine`. The fit is on means of squares of twice this side.
    """
    cells = [max(min(side, _LEAST_CELLS), round(side / (2 * detail))) for side in tile.shape]
    seen, known = (F.adaptive_avg_pool2d(torch.from_numpy(values)[None], cells).flatten() for values in (tile, whole))
    scale, shift = fit_line(seen, known).tolist()
    if scale <= 0:  # nothing in the tile is where the whole map has it
        return whole
    return np.float32(scale) * tile + np.float32(shift)


def _weights(span: Span) -> np.ndarray:
    """Weights of a tile along one side: 1 inside, falling to 0 over the overlaps."""

    # squared sine: smooth where it starts and ends, and with its mirror image it adds up to 1
    def rise(count):
        return np.sin(np.pi / 2 * (np.arange(count) + 0.5) / max(count, 1)) ** 2

    weights = np.ones(span.end - span.start)
    weights[: span.before] *= rise(span.before)
    weights[len(weights) - span.after :] *= rise(span.after)[::-1]
    return weights.astype(np.float32)
