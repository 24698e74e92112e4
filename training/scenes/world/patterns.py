"""Procedural textures, each a function of a random generator: sRGB float (SIDE, SIDE, 3) that repeats."""

import numpy as np
from numpy.random import Generator

SIDE = 256
Span = tuple[float, float]
"""What a number is drawn from: lowest and highest."""


def noise(
    rng: Generator, octaves: int = 6, persistence: float = 0.55, aspect: Span = (1, 1), first: int = 2
) -> np.ndarray:
    """
    Fractal value noise (SIDE, SIDE), about 0 to 1, which repeats.

    Args:
        octaves: how many layers, each twice as fine as the one before and `persistence` times as strong.
        aspect: stretches it. first: cells along a side in the coarsest layer.
    """
    total, weight, amount = np.zeros((SIDE, SIDE)), 0.0, 1.0
    for octave in range(octaves):
        cells = [int(np.clip(first * 2**octave * a, 1, SIDE)) for a in aspect]
        grid = rng.random(cells)
        grid = np.concatenate([grid, grid[:1]], axis=0)
        grid = np.concatenate([grid, grid[:, :1]], axis=1)
        y, x = (np.arange(SIDE) / SIDE * count for count in cells)
        row, column = y.astype(int), x.astype(int)
        fy, fx = (y - row)[:, None], (x - column)[None]
        fy, fx = fy * fy * (3 - 2 * fy), fx * fx * (3 - 2 * fx)
        upper, lower = (grid[row + i][:, column] * (1 - fx) + grid[row + i][:, column + 1] * fx for i in (0, 1))
        total += amount * (upper * (1 - fy) + lower * fy)
        weight += amount
        amount *= persistence
    return np.clip((total / weight - 0.5) * 1.8 + 0.5, 0, 1)


def color(rng: Generator, saturation: Span, value: Span, hue: Span | None = None) -> np.ndarray:
    """Random sRGB colour (3,)."""
    h = rng.random() if hue is None else rng.uniform(*hue)
    s, v = rng.uniform(*saturation), rng.uniform(*value)
    k = (np.array([5, 3, 1]) + 6 * h) % 6
    return v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)


def tint(rng: Generator, saturation: Span, value: Span, gamma: float = 1.0, hue: Span | None = None) -> tuple:
    """Random colour of a material, linear RGB: `color` to the power `gamma`."""
    return tuple(color(rng, saturation, value, hue) ** gamma)


def blend(mask: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first + mask[..., None] * (second - first)


def plaster(rng: Generator) -> np.ndarray:
    tone = color(rng, (0, 0.3), (0.5, 0.97))
    return blend(noise(rng, 7, 0.7, first=3), tone, tone * rng.uniform(0.86, 0.98))


def wallpaper(rng: Generator) -> np.ndarray:
    a = color(rng, (0, 0.45), (0.4, 0.95))
    b = np.clip(a * rng.uniform(0.6, 1.3) + rng.normal(0, 0.05, 3), 0, 1)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE * 2 * np.pi
    n, m = rng.integers(2, 12, 2)
    kind, stripes = rng.integers(4), np.sin(n * x)
    mask = [stripes, stripes * np.sin(m * y), np.sin(n * x + np.sin(m * y)), np.cos(n * x) + np.cos(n * y)][kind]
    rgb = blend(np.clip(mask * rng.uniform(1, 6) + rng.uniform(-1, 0.5), 0, 1), a, b)
    return rgb * (0.94 + 0.06 * noise(rng)[..., None])


def wood(rng: Generator) -> np.ndarray:
    tone = color(rng, (0.25, 0.7), (0.25, 0.85), (0.03, 0.12))
    grain = noise(rng, 6, 0.7, (1, 12), 2)
    rings = 0.5 + 0.5 * np.sin(grain * rng.uniform(6, 25))
    return blend(0.5 * grain + 0.5 * rings, tone, tone * rng.uniform(0.55, 0.85)).transpose(1, 0, 2)


def planks(rng: Generator) -> np.ndarray:
    rgb = wood(rng)
    rows = int(rng.integers(3, 9))
    height = SIDE // rows
    result = rgb.copy()
    for row in range(rows + 1):
        span = slice(row * height, (row + 1) * height)
        shift, shade = int(rng.integers(SIDE)), rng.uniform(0.75, 1.1)
        result[span] = np.roll(np.roll(rgb, shift, axis=0), int(rng.integers(SIDE)), axis=1)[span] * shade
        result[span][:1] *= 0.5
        joint = int(rng.integers(SIDE))
        result[span, joint : joint + 1] *= 0.5
    return result


def tiles(rng: Generator) -> np.ndarray:
    count = int(rng.integers(1, 6))
    a, b = color(rng, (0, 0.4), (0.3, 0.95)), color(rng, (0, 0.4), (0.3, 0.95))
    y, x = np.mgrid[:SIDE, :SIDE] * count / SIDE
    shade = rng.uniform(0.85, 1.05, (count, count))[y.astype(int), x.astype(int)][..., None]
    checker = ((y.astype(int) + x.astype(int)) % 2 if rng.random() < 0.35 and count % 2 == 0 else 0 * y).astype(float)
    rgb = blend(checker, a, b) * shade * (0.85 + 0.2 * noise(rng, 6, 0.7)[..., None])
    width = rng.uniform(0.01, 0.04) * count
    joint = (np.minimum(y % 1, x % 1) < width).astype(float)
    return blend(joint, rgb, color(rng, (0, 0.1), (0.3, 0.9)))


def bricks(rng: Generator) -> np.ndarray:
    rows = int(rng.integers(4, 10)) * 2
    columns = max(1, rows // int(rng.integers(2, 4)))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    y, x = y * rows, x * columns
    x = (x + 0.5 * (y.astype(int) % 2)) % columns
    tone = color(rng, (0.1, 0.6), (0.3, 0.8), (0.0, 0.1))
    shade = rng.uniform(0.7, 1.15, (rows, columns))[y.astype(int), x.astype(int)][..., None]
    joint = ((y % 1 < 0.12) | (x % 1 < 0.05)).astype(float)
    return blend(joint, tone * shade * (0.8 + 0.3 * noise(rng, 7, 0.75)[..., None]), color(rng, (0, 0.1), (0.5, 0.85)))


def fabric(rng: Generator) -> np.ndarray:
    a, b = color(rng, (0, 0.7), (0.1, 0.9)), color(rng, (0, 0.7), (0.1, 0.9))
    y, x = np.mgrid[:SIDE, :SIDE]
    weave = 0.5 + 0.25 * (np.sin(x * np.pi / 2) + np.sin(y * np.pi / 2))
    kind = rng.integers(3)
    count = int(rng.integers(2, 12))
    stripes = (np.sin(x * 2 * np.pi * count / SIDE) > rng.uniform(-0.5, 0.8)).astype(float)
    check = (stripes + (np.sin(y * 2 * np.pi * count / SIDE) > 0)) / 2
    mask = [np.zeros((SIDE, SIDE)), stripes, check][kind]
    rgb = blend(mask, a, a + (b - a) * rng.uniform(0.2, 1))
    return rgb * (0.75 + 0.15 * weave + 0.2 * noise(rng, 7, 0.8))[..., None]


def carpet(rng: Generator) -> np.ndarray:
    a, b = color(rng, (0, 0.6), (0.15, 0.8)), color(rng, (0, 0.6), (0.15, 0.8))
    field = noise(rng, 4, 0.5, first=int(rng.integers(1, 6)))
    edges = np.clip((np.sin(field * rng.uniform(3, 40)) - rng.uniform(-0.5, 0.5)) * 4, 0, 1)
    return blend(edges * rng.uniform(0, 1), a, b) * (0.7 + 0.35 * rng.random((SIDE, SIDE)))[..., None]


def stone(rng: Generator) -> np.ndarray:
    tone = color(rng, (0, 0.25), (0.25, 0.9))
    veins = np.abs(noise(rng, 7, 0.65) - 0.5) * 2
    rgb = blend(veins ** rng.uniform(0.3, 2), tone * rng.uniform(0.4, 0.9), tone)
    return rgb * (0.9 + 0.15 * noise(rng, 8, 0.9)[..., None])


def asphalt(rng: Generator) -> np.ndarray:
    tone = color(rng, (0, 0.08), (0.2, 0.6))
    rgb = tone * (0.75 + 0.3 * noise(rng, 8, 0.85)[..., None] + 0.12 * rng.standard_normal((SIDE, SIDE, 1)))
    return rgb * (0.8 + 0.3 * noise(rng, 3, 0.6)[..., None])


def grass(rng: Generator) -> np.ndarray:
    a = color(rng, (0.3, 0.8), (0.2, 0.65), (0.16, 0.34))
    b = color(rng, (0.2, 0.7), (0.15, 0.7), (0.08, 0.3))
    rgb = blend(noise(rng, 7, 0.8), a, b)
    return rgb * (0.55 + 0.7 * rng.random((SIDE, SIDE)) ** 0.7)[..., None]


def leaves(rng: Generator) -> np.ndarray:
    a = color(rng, (0.3, 0.85), (0.12, 0.6), (0.15, 0.36) if rng.random() < 0.85 else (0.0, 0.15))
    spots = noise(rng, 4, 0.9, first=int(rng.integers(14, 34)))
    clumps = noise(rng, 4, 0.6, first=5)
    return a * (0.1 + 1.5 * spots * (0.3 + 0.9 * clumps))[..., None] + rng.normal(0, 0.02, (SIDE, SIDE, 3))


def facade(rng: Generator) -> np.ndarray:
    """A repeat of a house front: floors and windows."""
    base = [plaster, bricks, stone, tiles, wallpaper][rng.choice(5, p=[0.5, 0.2, 0.15, 0.05, 0.1])](rng)
    columns, rows = rng.integers(1, 4, 2)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    y, x = (y * rows) % 1, (x * columns) % 1
    w, h, low = rng.uniform(0.3, 0.75), rng.uniform(0.35, 0.7), rng.uniform(0.15, 0.3)
    inside = (np.abs(x - 0.5) < w / 2) & (y > low) & (y < low + h)
    frame = (np.abs(x - 0.5) < w / 2 + 0.04) & (y > low - 0.03) & (y < low + h + 0.03) & ~inside
    bars = inside & ((np.abs(x - 0.5) < 0.015) | (np.abs(y - low - h * 0.6) < 0.012))
    glass = color(rng, (0, 0.4), (0.05, 0.5), (0.5, 0.7))
    glass = np.clip(glass + (noise(rng, 3) - 0.5)[..., None] * rng.uniform(0, 0.6), 0, 1)
    trim = color(rng, (0, 0.3), (0.4, 1.0))
    rgb = np.where(inside[..., None], glass, base)
    rgb = np.where((frame | bars)[..., None], trim, rgb)
    ledge = (y > low - 0.07) & (y < low - 0.03) & (np.abs(x - 0.5) < w / 2 + 0.06)
    return rgb * np.where(ledge, 0.7, 1.0)[..., None]


def metal(rng: Generator) -> np.ndarray:
    tone = color(rng, (0, 0.15), (0.3, 0.8))
    return tone * (0.85 + 0.25 * noise(rng, 6, 0.8, (1, 16), 2))[..., None]


def rust(rng: Generator) -> np.ndarray:
    spots, tone = noise(rng, 7, 0.7) ** 2, color(rng, (0, 0.7), (0.15, 0.9))
    return blend(spots, tone, color(rng, (0.3, 0.8), (0.15, 0.5), (0.02, 0.1)))


def sky(rng: Generator) -> np.ndarray:
    """Top row first of the dome: zenith to horizon."""
    height = np.linspace(1, 0, SIDE)[:, None, None]
    overcast = rng.random() < 0.4
    zenith = color(rng, (0.0, 0.1) if overcast else (0.3, 0.75), (0.5, 0.95), (0.55, 0.63))
    horizon = color(rng, (0, 0.15), (0.75, 1.0), (0.05, 0.6))
    base = horizon + (zenith - horizon) * height ** rng.uniform(0.3, 1.0)
    clouds = np.clip((noise(rng, 7, 0.6, (2, 1)) - rng.uniform(0.3, 0.8)) * rng.uniform(1, 4), 0, 1)
    return blend(clouds, base, color(rng, (0, 0.06), (0.6, 1.0)))


KINDS = {
    function.__name__: function
    for function in (
        plaster, wallpaper, wood, planks, tiles, bricks, fabric, carpet, stone, asphalt, grass, leaves, facade, metal,
        rust, sky,
    )
}  # fmt: skip
