"""Height fields: rays march over a bilinear grid, then the crossing is bisected."""

import torch
import torch.nn.functional as F

from .primitives import MISS

STEPS = 56
REFINEMENTS = 8
FIRST, LAST = 0.3, 160.0  # metres along the optical axis


def height_at(maps, half, x, y):
    """Bilinear heights (fields, n) at local x, y (fields, n) of maps (fields, size, size) over +-half (fields, 1)."""
    grid = torch.stack([x / half, y / half], -1).unsqueeze(1)
    return F.grid_sample(maps.unsqueeze(1), grid, mode="bilinear", padding_mode="border", align_corners=True)[:, 0, 0]


def march(maps, half, origin, direction):
    """Ray parameter (fields, n) of the first crossing from above, inf where there is none.

    Args: maps (fields, size, size), half (fields, 1), origin 3 x (fields, 1), direction 3 x (fields, n).
    """

    def place(t):
        return (origin[k] + t * direction[k] for k in range(3))

    def is_under(t):
        x, y, z = place(t)
        return z < height_at(maps, half, x, y)

    ratio = (LAST / FIRST) ** (1 / STEPS)
    low = torch.full_like(direction[0], FIRST)
    high = torch.full_like(low, MISS)
    t = FIRST
    for _ in range(STEPS):
        following = t * ratio
        crossed = is_under(torch.full_like(low, following)) & (high == MISS)
        low = torch.where(crossed, t, low)
        high = torch.where(crossed, following, high)
        t = following
    found = high < MISS
    high = torch.where(found, high, low)
    for _ in range(REFINEMENTS):
        middle = (low + high) / 2
        under = is_under(middle)
        low, high = torch.where(under, low, middle), torch.where(under, middle, high)
    t = (low + high) / 2
    x, y, _ = place(t)
    # Beyond its border the field goes on level while marching, so that a step over the border loses nothing.
    return torch.where(found & (x.abs() <= half) & (y.abs() <= half), t, MISS)


def terrain_normal(maps, half, x, y):
    """Upward normals 3 x (fields, n), not normalised, by central differences over one grid cell."""
    step = 2 * half / (maps.shape[-1] - 1)
    slope_x = height_at(maps, half, x + step, y) - height_at(maps, half, x - step, y)
    slope_y = height_at(maps, half, x, y + step) - height_at(maps, half, x, y - step)
    return -slope_x, -slope_y, (2 * step).expand_as(slope_x)
