"""Shadow rays: candidates are culled per tile, lamps have an extent, and neighbouring pixels share their samples.

Every 4 x 4 block of pixels sends its rays to 32 points of a lamp (interleaved sampling, Keller & Heidrich 2001); a
filter over the block that respects depth steps then gives each pixel the whole penumbra.
"""

import torch
import torch.nn.functional as F

from .layout import LIGHT, OBJECT
from .primitives import MISS, NEAREST
from .vectors import dot, to_local
from .visibility import PIXEL_OFFSETS, SAMPLES, TILE, corners, object_parameters

BLOCK = 4


def light_points(device):
    """The point of a unit ball that each sample of a tile aims at, (3, SAMPLES): the R3 low-discrepancy sequence."""
    count = len(PIXEL_OFFSETS) * BLOCK**2
    index = torch.arange(1, count + 1, dtype=torch.float64)
    u, v, w = ((index * 1.2207440846 ** -(k + 1)) % 1 for k in range(3))  # powers of the root of x^4 = x + 1
    z, angle, radius = 2 * u - 1, 2 * torch.pi * v, w ** (1 / 3)
    flat = (1 - z * z).sqrt()
    ball = torch.stack([radius * flat * angle.cos(), radius * flat * angle.sin(), radius * z])
    place = torch.arange(TILE) % BLOCK
    y, x, sample = torch.meshgrid(place, place, torch.arange(len(PIXEL_OFFSETS)), indexing="ij")
    order = (y * BLOCK + x) * len(PIXEL_OFFSETS) + sample
    return ball[:, order.flatten()].to(torch.float32).to(device)


def _basis(vector):
    """Two unit vectors across a direction and the direction itself, each three tensors."""
    length = (vector * vector).sum(0).sqrt().clamp(min=1e-6)
    x, y, z = vector / length
    flat = (x * x + y * y).sqrt().clamp(min=1e-4)
    return (-y / flat, x / flat, torch.zeros_like(x)), (-z * x / flat, -z * y / flat, flat), (x, y, z)


def _behind_in_sunlight(low, high, box, light, scene):
    """Tiles whose boxes meet the columns that objects cast: extents overlap across the light, the object is ahead."""
    middle, reach = (low + high) / 2, (high - low) / 2
    basis = _basis(light[1:4].unsqueeze(-1))
    tile_middle = torch.stack([dot(middle, row) for row in basis])
    tile_reach = torch.stack([dot(reach, [component.abs() for component in row]) for row in basis])
    tile_low, tile_high = (tile_middle - tile_reach)[:, scene], (tile_middle + tile_reach)[:, scene]
    along = torch.stack([dot(box, [component[scene] for component in row]) for row in basis])
    box_low, box_high = along.amin(-1).unsqueeze(-1), along.amax(-1).unsqueeze(-1)
    ahead = box_high[2] - tile_low[2]
    spread = LIGHT.planes(light, "radius")[scene].unsqueeze(1) * ahead.clamp(min=0)
    beside = [(tile_low[k] <= box_high[k] + spread) & (tile_high[k] >= box_low[k] - spread) for k in range(2)]
    return beside[0] & beside[1] & (ahead >= 0)


def _behind_in_lamplight(low, high, box, light, scene):
    """Tiles whose bounding spheres meet the cones that objects' bounding spheres cast from the lamp."""
    away = (low + high) / 2 - light[1:4].unsqueeze(-1)
    radius = ((high - low) ** 2).sum(0).sqrt() / 2
    distance = (away * away).sum(0).sqrt().clamp(min=1e-3)
    angle = torch.where(radius < distance, torch.asin((radius / distance).clamp(max=1)), torch.pi)
    middle = box.mean(-1)
    object_away = middle - light[1:4, scene]
    object_radius = ((box - middle.unsqueeze(-1)) ** 2).sum(0).amax(-1).sqrt() + LIGHT.planes(light, "radius")[scene]
    object_distance = (object_away * object_away).sum(0).sqrt().clamp(min=1e-3)
    object_angle = torch.asin((object_radius / object_distance).clamp(max=1))
    object_angle = torch.where(object_radius < object_distance, object_angle, torch.pi).unsqueeze(1)
    cosine = dot(away[:, scene], object_away.unsqueeze(-1))
    cosine = cosine / (distance[scene] * object_distance.unsqueeze(1))
    reach = (angle[scene] + object_angle + 2e-3).clamp(max=torch.pi)
    nearer = (object_distance - object_radius).unsqueeze(1) <= (distance + radius)[scene]
    return nearer & ((cosine >= torch.cos(reach)) | (reach >= torch.pi))


def shadow_mask(objects, light, tiles, points, valid):
    """Which objects may shade which tile, bool (objects, tiles a scene): never too few.

    Args: light (LIGHT.size, scenes), points (3, tiles, SAMPLES), valid bool (tiles, SAMPLES): where a surface is.
    """
    low = torch.where(valid, points, MISS).amin(-1).view(3, tiles.scenes, -1)
    high = torch.where(valid, points, -MISS).amax(-1).view(3, tiles.scenes, -1)
    occupied = low[0] <= high[0]
    low, high = torch.where(occupied, low, 0.0), torch.where(occupied, high, 0.0)
    scene, box = OBJECT.planes(objects, "scene").long(), corners(objects)
    kind = LIGHT.planes(light, "kind")[scene].unsqueeze(1)
    reached = torch.where(
        kind == 1,
        _behind_in_sunlight(low, high, box, light, scene),
        _behind_in_lamplight(low, high, box, light, scene),
    )
    casts = (OBJECT.planes(objects, "casts_shadow") > 0).unsqueeze(1)
    return casts & occupied[scene] & reached & (kind > 0)


def shadow_pairs(function, row, light, world, ball):
    """1 where the object blocks the way from `world` (3, pairs, SAMPLES) to the light (LIGHT.size, pairs, 1), else 0.

    Each sample aims at a point of the light of its own: `ball`, (3, SAMPLES).
    """
    centre, axes, half, extra = object_parameters(row)
    origin = to_local(axes, [world[k] - centre[k] for k in range(3)])
    kind, vector, radius = (LIGHT.planes(light, name) for name in ("kind", "vector", "radius"))
    is_lamp = kind == 2
    target = [vector[k] - torch.where(is_lamp, centre[k], 0.0) + radius * ball[k] for k in range(3)]
    target = to_local(axes, target)
    direction = tuple(torch.where(is_lamp, target[k] - origin[k], target[k]) for k in range(3))
    t = function(origin, direction, half, extra)
    return ((t < torch.where(is_lamp, 1.0, MISS)) & (t > NEAREST)).to(torch.float32)


def trace_shadows(tracer, light, tiles, points, valid):
    """1 where the light is hidden from the surface point, else 0: float32 (tiles, SAMPLES)."""
    mask = shadow_mask(tracer.objects, light, tiles, points, valid)
    first = OBJECT.planes(tracer.objects, "scene").long() * (tiles.rows * tiles.columns)
    hidden = torch.zeros((len(tiles.scene), SAMPLES), device=tiles.device)
    ball = light_points(tiles.device)
    for kind, ids, local_tile in tracer.chunks(mask):
        tile = first[ids] + local_tile
        row, source = tracer.objects[:, ids].unsqueeze(-1), light[:, tiles.scene[tile]].unsqueeze(-1)
        hidden.index_reduce_(0, tile, tracer.kernels.shadow[kind](row, source, points[:, tile], ball), "amax")
    return hidden


def soften(hidden, planes):
    """Means of `hidden` (scenes, lights, height, width) over the 4 x 4 pixels around, those on the same surface only.

    `planes` (scenes, 8, height, width): world point, 1 where a surface was hit, unit normal, depth.
    """
    height, width = hidden.shape[-2:]
    point, normal, depth = planes[:, :3], planes[:, 4:7], planes[:, 7]
    before, after = BLOCK // 2, BLOCK - 1 - BLOCK // 2
    padded = F.pad(torch.cat([hidden, planes[:, :4]], 1), (before, after, before, after), mode="replicate")
    lights = hidden.shape[1]
    total, weights = torch.zeros_like(hidden), torch.zeros_like(depth)
    for top in range(BLOCK):
        for left in range(BLOCK):
            other = padded[:, :, top : top + height, left : left + width]
            offset = other[:, lights : lights + 3] - point
            near = ((offset * normal).sum(1).abs() < 0.01 + 0.01 * depth) & (other[:, lights + 3] > 0)
            weight = near.to(hidden.dtype)
            total, weights = total + other[:, :lights] * weight.unsqueeze(1), weights + weight
    return total / weights.clamp(min=1).unsqueeze(1)
