"""Screen-space ambient occlusion: neighbouring surfaces that rise above a pixel's tangent plane take light from it."""

import torch
import torch.nn.functional as F

from .visibility import TILE

_RING = ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_RADII = (2, 5, 11)  # pixels


def ambient_occlusion(tiles, surface, hit, focal):
    """Unoccluded fraction of the ambient light, float32 (tiles, SAMPLES), from the centre samples alone."""
    height, width = tiles.rows * TILE, tiles.columns * TILE
    point = tiles.to_image(surface["point"], height, width)[:, :, 0]
    normal = tiles.to_image(surface["normal"], height, width)[:, :, 0]
    seen = tiles.to_image(hit.to(point.dtype).unsqueeze(0), height, width)[:, 0, 0]
    depth = tiles.to_image(surface["depth"].unsqueeze(0), height, width)[:, 0, 0]
    focal = focal.view(tiles.scenes, -1)[:, :1].unsqueeze(-1)
    margin = _RADII[-1]
    padded = F.pad(torch.cat([point, seen.unsqueeze(1)], 1), (margin,) * 4, mode="replicate")
    blocked = torch.zeros_like(depth)
    for radius in _RADII:
        reach = (radius * depth / focal) * 2.5 + 0.02  # farther surfaces do not touch: no halo at silhouettes
        for dx, dy in _RING:
            top, left = margin + dy * radius, margin + dx * radius
            other = padded[:, :, top : top + height, left : left + width]
            offset = other[:, :3] - point
            squared = (offset * offset).sum(1)
            rise = (offset * normal).sum(1) * torch.rsqrt(squared + 1e-6) - 0.08
            weight = (1 - squared / (reach * reach)).clamp(min=0) * other[:, 3]
            blocked = blocked + rise.clamp(0, 1) * weight
    total = blocked / (len(_RING) * len(_RADII))
    return tiles.from_image((1 - 1.8 * total).clamp(0.15, 1))
