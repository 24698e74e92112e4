"""Tileable noise and cells, the building blocks of the textures; all planes are (TEXTURE_SIZE, TEXTURE_SIZE)."""

import torch

TEXTURE_SIZE = 256


def grid():
    step = (torch.arange(TEXTURE_SIZE, dtype=torch.float32) + 0.5) / TEXTURE_SIZE
    return step.view(1, -1).expand(TEXTURE_SIZE, -1), step.view(-1, 1).expand(-1, TEXTURE_SIZE)  # u, v


def uniform(rng, low, high):
    return low + (high - low) * torch.rand((), generator=rng).item()


def integer(rng, low, high):
    return int(torch.randint(low, high + 1, (), generator=rng))


def stretch(values):
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp(min=1e-6)


def noise(rng, cells_u, cells_v=None):
    """Periodic value noise, (size, size) in about 0 .. 1."""
    cells_v = cells_v or cells_u
    values = torch.rand(cells_v, cells_u, generator=rng)
    for axis, cells in ((0, cells_v), (1, cells_u)):
        place = (torch.arange(TEXTURE_SIZE) + 0.5) * (cells / TEXTURE_SIZE)
        low = place.floor()
        weight = place - low
        weight = (weight * weight * (3 - 2 * weight)).view(*((-1, 1) if axis == 0 else (1, -1)))
        low = low.long() % cells
        values = torch.lerp(values.index_select(axis, low), values.index_select(axis, (low + 1) % cells), weight)
    return values


def fbm(rng, cells, octaves=5, gain=0.55):
    total, weight = torch.zeros(TEXTURE_SIZE, TEXTURE_SIZE), 1.0
    for octave in range(octaves):
        if cells << octave > TEXTURE_SIZE:
            break
        total += weight * noise(rng, cells << octave)
        weight *= gain
    return stretch(total)


def voronoi(rng, cells):
    """Periodic cells: distance to the nearest point, to the border (second minus first), and a random value a cell."""
    u, v = grid()
    points = torch.rand(2, cells, cells, generator=rng)
    values = torch.rand(cells, cells, generator=rng)
    column, row = (u * cells).floor().long(), (v * cells).floor().long()
    first = torch.full_like(u, 9.0)
    second, value = first.clone(), torch.zeros_like(u)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            i, j = (row + dy) % cells, (column + dx) % cells
            x = column + dx + points[0][i, j] - u * cells
            y = row + dy + points[1][i, j] - v * cells
            distance = (x * x + y * y).sqrt()
            closer = distance < first
            second = torch.where(closer, first, torch.minimum(second, distance))
            value = torch.where(closer, values[i, j], value)
            first = torch.where(closer, distance, first)
    return first.clamp(max=1), (second - first).clamp(0, 1), value


def edges(position, line):
    """1 inside a cell, 0 on its border; `position` in cells."""
    inside = position - position.floor()
    return ((inside > line) & (inside < 1 - line)).float()
