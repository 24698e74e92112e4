"""What every ray hits: primitives are culled against screen tiles first, so a ray meets a handful of them, not all.

The image is cut into tiles of 16 x 16 pixels with two samples a pixel, its centre (which carries the depth) and its
top left corner (which only smooths edges). Per-sample tensors are (tiles, SAMPLES) with tiles of all scenes in a row.
"""

import warnings
from dataclasses import dataclass

import torch

from .layout import CAMERA, OBJECT
from .primitives import MISS
from .vectors import to_local, to_world

TILE = 16
PIXEL_OFFSETS = (0.5, 0.0)  # centre, corner
SAMPLES = TILE * TILE * len(PIXEL_OFFSETS)
warnings.filterwarnings("ignore", message="index_reduce")  # "in beta"; its sums are not used
_NO_HIT = (0x7F800000 << 32) | 0x7FFFFFFF  # depth inf, object 2**31 - 1


@dataclass
class Tiles:
    """The tile grid of a batch: `rows` x `columns` tiles in each of `scenes` images, all flattened to one axis."""

    scenes: int
    rows: int
    columns: int
    device: torch.device

    def __post_init__(self):
        count = self.rows * self.columns
        index = torch.arange(self.scenes * count, device=self.device)
        self.scene = index // count
        self.top = (index % count) // self.columns * TILE
        self.left = index % self.columns * TILE
        place = torch.arange(TILE, device=self.device, dtype=torch.float32)
        offsets = torch.tensor(PIXEL_OFFSETS, device=self.device)
        y, x, s = torch.meshgrid(place, place, offsets, indexing="ij")
        self.x, self.y = (x + s).flatten(), (y + s).flatten()

    def to_image(self, values, height, width):
        """(channels, tiles, SAMPLES) -> (scenes, channels, 2, height, width): centres and corners."""
        grid = values.reshape(-1, self.scenes, self.rows, self.columns, TILE, TILE, len(PIXEL_OFFSETS))
        image = grid.permute(1, 0, 6, 2, 4, 3, 5).reshape(self.scenes, -1, 2, self.rows * TILE, self.columns * TILE)
        return image[..., :height, :width]

    def from_image(self, image):
        """(scenes, rows * TILE, columns * TILE) -> (tiles, SAMPLES), both samples of a pixel alike."""
        grid = image.reshape(self.scenes, self.rows, TILE, self.columns, TILE, 1).permute(0, 1, 3, 2, 4, 5)
        return grid.expand(-1, -1, -1, -1, -1, len(PIXEL_OFFSETS)).reshape(-1, SAMPLES)


def ray_directions(cameras, tiles):
    """World directions (3, tiles, SAMPLES) whose component along the optical axis is 1."""
    camera = cameras[:, tiles.scene].unsqueeze(-1)
    axes, focal, center = (CAMERA.planes(camera, name) for name in ("axes", "focal", "center"))
    x = (tiles.left.unsqueeze(-1) + tiles.x - center[0]) / focal[0]
    y = (tiles.top.unsqueeze(-1) + tiles.y - center[1]) / focal[1]
    return torch.stack([axes[6 + k] + axes[k] * x + axes[3 + k] * y for k in range(3)])


def corners(objects):
    """World corners of the objects' bounding boxes, (3, objects, 8)."""
    centre, axes, half = (OBJECT.planes(objects, name) for name in ("centre", "axes", "half"))
    signs = torch.tensor(
        [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)], device=half.device
    )
    reach = half.unsqueeze(-1) * signs.T.unsqueeze(1)  # (3, objects, 8)
    return centre.unsqueeze(-1) + to_world(axes.unsqueeze(-1), reach)


def _tile_masks(objects, cameras, tiles):
    """Which objects may be seen in which tile, (objects, rows, columns): boxes not beside the tile's frustum."""
    camera = cameras[:, OBJECT.planes(objects, "scene").long()].unsqueeze(-1)
    points = corners(objects) - CAMERA.planes(camera, "position")
    right, down, forward = to_local(CAMERA.planes(camera, "axes"), points)
    focal, center = CAMERA.planes(camera, "focal"), CAMERA.planes(camera, "center")

    def spans(across, axis, count):
        edges = torch.arange(count + 1, device=across.device, dtype=torch.float32) * TILE
        slopes = (edges - center[axis]) / focal[axis]  # (objects, count + 1)
        side = across.unsqueeze(-1) - forward.unsqueeze(-1) * slopes.unsqueeze(1)  # (objects, 8, count + 1)
        return (side.amax(1)[:, :-1] >= 0) & (side.amin(1)[:, 1:] <= 0)

    ahead = (forward.amax(1) > 0).view(-1, 1, 1)
    return spans(down, 1, tiles.rows).unsqueeze(2) & spans(right, 0, tiles.columns).unsqueeze(1) & ahead


class PairTracer:
    """Runs the intersection functions over (object, tile) pairs in chunks of bounded memory."""

    def __init__(self, kernels, objects, pairs_per_chunk):
        self.kernels, self.objects, self.pairs_per_chunk = kernels, objects, pairs_per_chunk
        self.kind = OBJECT.planes(objects, "kind")

    def chunks(self, mask):
        """(kind, object ids, tile ids) of every set element of `mask` (objects, tiles), one kind at a time."""
        for kind in self.kernels.kinds:
            members = (self.kind == kind).nonzero().squeeze(1)
            if not len(members):
                continue
            member, tile = mask[members].nonzero(as_tuple=True)
            ids = members[member]
            if len(ids) == 1:  # a compiled kernel would be specialised for a single pair
                ids, tile = ids.repeat(2), tile.repeat(2)
            for start in range(0, len(ids), self.pairs_per_chunk):
                part = slice(start, start + self.pairs_per_chunk)
                yield kind, ids[part], tile[part]


def object_parameters(row):
    return tuple(OBJECT.planes(row, name) for name in ("centre", "axes", "half", "extra"))


def camera_pairs(function, row, camera, left, top, x, y, ids):
    """Packed hits (pairs, SAMPLES); `row` and `camera` (columns, pairs, 1), `left` and `top` (pairs, 1)."""
    centre, axes, half, extra = object_parameters(row)
    look, focal, center = (CAMERA.planes(camera, name) for name in ("axes", "focal", "center"))
    position = CAMERA.planes(camera, "position")
    origin = to_local(axes, [position[k] - centre[k] for k in range(3)])
    right, down, forward = (to_local(axes, look[3 * k : 3 * k + 3]) for k in range(3))
    x0, y0 = (left - center[0]) / focal[0], (top - center[1]) / focal[1]
    # The local direction is affine in the pixel: one vector a pair and two fused multiply-adds a sample.
    direction = []
    for k in range(3):
        base = forward[k] + right[k] * x0 + down[k] * y0
        direction.append(base + (right[k] / focal[0]) * x + (down[k] / focal[1]) * y)
    depth = function(origin, tuple(direction), half, extra)
    # Depth above object id in one int64: the minimum is the nearest hit, the same whatever the order of the pairs.
    return (depth.view(torch.int32).to(torch.int64) << 32) | ids


def trace_camera(tracer, cameras, tiles):
    """Nearest hit of every camera ray but for height fields: packed depth and object id, int64 (tiles, SAMPLES)."""
    best = torch.full((len(tiles.scene), SAMPLES), _NO_HIT, dtype=torch.int64, device=tiles.device)
    mask = _tile_masks(tracer.objects, cameras, tiles).flatten(1)
    first = OBJECT.planes(tracer.objects, "scene").long() * (tiles.rows * tiles.columns)
    left, top = tiles.left.to(torch.float32), tiles.top.to(torch.float32)
    for kind, ids, local_tile in tracer.chunks(mask):
        tile = first[ids] + local_tile
        row, camera = tracer.objects[:, ids].unsqueeze(-1), cameras[:, tiles.scene[tile]].unsqueeze(-1)
        packed = tracer.kernels.camera[kind](
            row, camera, left[tile].unsqueeze(-1), top[tile].unsqueeze(-1), tiles.x, tiles.y, ids.unsqueeze(-1)
        )
        best.index_reduce_(0, tile, packed, "amin")
    return best


def unpack(best):
    """Depth (inf where nothing was hit) and object id (0 there) of packed hits."""
    depth = (best >> 32).to(torch.int32).view(torch.float32)
    return depth, torch.where(depth < MISS, best & 0xFFFFFFFF, 0)
