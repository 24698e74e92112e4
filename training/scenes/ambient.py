"""Screen-space ambient occlusion: neighbouring surfaces that rise above a pixel's tangent plane take light from it."""

import torch
import torch.nn.functional as F

_RING = ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_RADII = (2, 7)  # pixels


def ambient_occlusion(planes, focal):
    """Unoccluded fraction of the ambient light, float32 (scenes, height, width).

    Args: planes (scenes, 8, height, width): world point, 1 where a surface was hit, unit normal, depth;
    focal (scenes, 1, 1) in pixels.
    """
    height, width = planes.shape[-2:]
    point, normal, depth = planes[:, :3], planes[:, 4:7], planes[:, 7]
    margin = _RADII[-1]
    padded = F.pad(planes[:, :4], (margin,) * 4, mode="replicate")
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
    return (1 - 1.9 * total).clamp(0.15, 1)
