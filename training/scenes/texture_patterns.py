"""The texture atlas' patterns: every function draws one tileable (mix B, mix C, height), each in 0 .. 1."""

import torch

from .texture_noise import TEXTURE_SIZE, edges, fbm, grid, integer, noise, stretch, uniform, voronoi

SLOPE_SCALE = 1.5  # slopes are stored as 0.5 + 1.5 * (height change a texel)
_SEED = 20240917


def _soft(rng):
    base = fbm(rng, integer(rng, 2, 4), 6, uniform(rng, 0.45, 0.65))
    return base, fbm(rng, 3, 5) ** 4, base


def _grain(rng):
    fine = fbm(rng, integer(rng, 24, 48), 4, 0.8)
    return fine, (fbm(rng, 64, 2, 0.9) > 0.72).float() * 0.7, fine


def _plaster(rng):
    fine = fbm(rng, 32, 4, 0.8)
    stains = (fbm(rng, 2, 5) - 0.55).clamp(min=0) * 2
    return fbm(rng, 3, 6) * 0.6 + fine * 0.25, stains, fine


def _marble(rng):
    u, v = grid()
    turbulence = fbm(rng, 3, 6)
    veins = (torch.sin(6.2832 * (integer(rng, 1, 3) * u + integer(rng, 1, 3) * v + 2.5 * turbulence)) * 0.5 + 0.5) ** 6
    return turbulence, veins, turbulence * 0.1


def _wood(rng, planks):
    u, v = grid()
    grain = stretch(noise(rng, integer(rng, 2, 5), 96) + 0.6 * noise(rng, 4, 32) + noise(rng, 2, 10))
    if not planks:
        return grain, (grain > 0.75).float() * 0.5, grain * 0.3
    rows = integer(rng, 3, 8)
    row = (v * rows).floor().long()
    shift = torch.rand(rows, generator=rng)[row]
    shade = torch.rand(rows, 2, generator=rng)[row, ((u + shift) * 2).floor().long() % 2]
    solid = edges(v * rows, 0.02) * edges((u + shift) * 2, 0.003)
    return grain * 0.55 + shade * 0.45, 1 - solid, solid * (0.8 + 0.2 * grain)


def _bricks(rng):
    u, v = grid()
    rows = 2 * integer(rng, 3, 8)
    columns = max(2, rows // integer(rng, 2, 3))
    row = (v * rows).floor().long()
    along = u * columns + (row % 2) * 0.5 + 0.03 * noise(rng, 24)
    shade = torch.rand(rows, columns, generator=rng)[row, along.floor().long() % columns]
    line = uniform(rng, 0.04, 0.09)
    mortar = 1 - edges(v * rows + 0.05 * noise(rng, 24), line) * edges(along, line * columns / rows)
    return shade * 0.6 + fbm(rng, 16, 4) * 0.4, mortar, (1 - mortar) * (0.7 + 0.3 * fbm(rng, 32, 3))


def _tiles(rng):
    u, v = grid()
    count = integer(rng, 2, 8)
    shade = torch.rand(count, count, generator=rng)[(v * count).floor().long(), (u * count).floor().long()]
    solid = edges(u * count, uniform(rng, 0.01, 0.035)) * edges(v * count, uniform(rng, 0.01, 0.035))
    return shade * 0.5 + fbm(rng, 6, 5) * 0.5, 1 - solid, solid


def _stones(rng):
    first, border, value = voronoi(rng, integer(rng, 4, 10))
    solid = (border / 0.12).clamp(0, 1)
    return value * 0.6 + fbm(rng, 16, 4) * 0.4, 1 - solid, solid * (1 - 0.4 * first)


def _gravel(rng):
    first, border, value = voronoi(rng, integer(rng, 24, 40))
    return value, (1 - border * 3).clamp(0, 1), 1 - first


def _checker(rng):
    u, v = grid()
    count = 2 * integer(rng, 1, 4)
    odd = ((u * count).floor() + (v * count).floor()) % 2
    return odd * 0.85 + 0.15 * fbm(rng, 4, 5), 1 - edges(u * count, 0.012) * edges(v * count, 0.012), odd * 0.05


def _stripes(rng):
    u, _ = grid()
    count = integer(rng, 2, 12)
    wave = torch.sin(6.2832 * count * u) * 0.5 + 0.5
    hard = (wave > uniform(rng, 0.3, 0.7)).float()
    return hard, (torch.sin(6.2832 * count * 2 * u + 1) > 0.95).float(), hard * 0.1


def _dots(rng):
    u, v = grid()
    count = integer(rng, 3, 9)
    x, y = (u * count) % 1 - 0.5, (v * count + 0.5 * ((u * count).floor() % 2)) % 1 - 0.5
    radius = (x * x + y * y).sqrt() + 0.12 * torch.sin(torch.atan2(y, x) * integer(rng, 3, 7))
    return (radius < 0.28).float(), ((radius - 0.33).abs() < 0.05).float(), (radius < 0.28).float() * 0.05


def _fabric(rng):
    u, v = grid()
    count = 16 * integer(rng, 2, 4)
    weave = (torch.sin(6.2832 * count * u) * torch.sin(6.2832 * count * v)) * 0.5 + 0.5
    bands = (noise(rng, 12, 1) + noise(rng, 1, 12)) * 0.5
    return stretch(bands + 0.3 * weave), (fbm(rng, 48, 2) > 0.7).float() * 0.4, weave


def _carpet(rng):
    base = fbm(rng, 40, 3, 0.9)
    return base * 0.7 + 0.3 * fbm(rng, 3, 3), (fbm(rng, 4, 4) - 0.55).clamp(min=0) * 1.5, base


def _foliage(rng):
    first, border, value = voronoi(rng, integer(rng, 14, 22))
    clumps = fbm(rng, 3, 5, 0.6)
    leaf = stretch(0.55 * value + 0.5 * (1 - first) + 0.8 * clumps)
    return value * 0.6 + clumps * 0.4, leaf, 1 - first * 0.8 + 0.5 * clumps


def _grass(rng):
    blades = stretch(noise(rng, 128, 32) + noise(rng, 96, 24) + noise(rng, 64, 64))
    return blades * 0.6 + 0.4 * fbm(rng, 3, 5), (fbm(rng, 5, 5) - 0.5).clamp(min=0) * 2, blades


def _asphalt(rng):
    specks = torch.rand(TEXTURE_SIZE, TEXTURE_SIZE, generator=rng)
    base = 0.6 * fbm(rng, 64, 2, 0.9) + 0.4 * specks
    first, border, _ = voronoi(rng, 5)
    cracks = (border + 0.3 * noise(rng, 32) < 0.16).float() * (fbm(rng, 3, 3) > 0.55)
    return base, torch.maximum(cracks, (fbm(rng, 2, 3) > 0.66).float() * 0.35), base


def _facade(rng):
    """Windows (B) with frames and sills (C); one tile is 4 to 6 storeys high."""
    u, v = grid()
    rows, columns = integer(rng, 3, 5), integer(rng, 2, 6)
    x, y = (u * columns) % 1 - 0.5, (v * rows) % 1 - 0.5
    wide, tall = uniform(rng, 0.18, 0.42), uniform(rng, 0.24, 0.4)
    pane = ((x.abs() < wide) & (y.abs() < tall)).float()
    frame = 0.025
    bars = (x.abs() < frame) | ((y - tall * uniform(rng, -0.3, 0.5)).abs() < frame * 0.8)
    outline = ((x.abs() < wide + 0.04) & (y.abs() < tall + 0.04)).float() - pane
    sill = ((x.abs() < wide + 0.07) & ((y - tall - 0.06).abs() < 0.03)).float()
    bands = ((v * rows) % 1 < 0.05).float() * (uniform(rng, 0, 1) > 0.5)
    shade = torch.rand(rows, columns, generator=rng)[(v * rows).floor().long(), (u * columns).floor().long()]
    glass = pane * (1 - bars.float()) * (0.55 + 0.45 * shade)
    trim = torch.maximum(torch.maximum(outline, sill), torch.maximum(bands, pane * bars))
    return glass, trim, 0.6 + 0.4 * trim - 0.5 * pane


def _books(rng):
    u, v = grid()
    shelf = 4
    columns = 40
    heights = uniform(rng, 0.65, 0.8) + 0.2 * torch.rand(shelf, columns, generator=rng)
    row, column = (v * shelf).floor().long(), (u * columns).floor().long()
    inside = (v * shelf) % 1
    book = (1 - inside < heights[row, column]).float()
    color = torch.rand(shelf, columns, generator=rng)[row, column]
    board = (inside > 0.93).float()
    band = (
        ((inside - 0.5).abs() < 0.05).float() * (torch.rand(shelf, columns, generator=rng)[row, column] > 0.5)
    ) * 0.6
    return color * book, torch.maximum(torch.maximum(board, band * book), (1 - book) * 0.0), book * 0.5 + 0.5 * board


def _poster(rng):
    """Random shapes over a soft background: pictures, posters, labels, screens."""
    u, v = grid()
    mix, over = fbm(rng, 2, 4), torch.zeros_like(u)
    for _ in range(integer(rng, 4, 14)):
        x, y = uniform(rng, 0, 1), uniform(rng, 0, 1)
        w, h = uniform(rng, 0.03, 0.35), uniform(rng, 0.03, 0.3)
        if uniform(rng, 0, 1) < 0.5:
            shape = ((u - x).abs() < w) & ((v - y).abs() < h)
        else:
            shape = ((u - x) / w) ** 2 + ((v - y) / h) ** 2 < 1
        if uniform(rng, 0, 1) < 0.5:
            mix = torch.where(shape, torch.tensor(uniform(rng, 0, 1)), mix)
        else:
            over = torch.where(shape, torch.tensor(uniform(rng, 0, 1)), over)
    if uniform(rng, 0, 1) < 0.5:
        lines = (((v * 24) % 1 < 0.45) & (noise(rng, 48, 24) > 0.4) & (v > 0.5) & (u > 0.1) & (u < 0.9)).float()
        over = torch.maximum(over, lines)
    return mix, over, torch.zeros_like(u)


def _metal(rng):
    brushed = stretch(noise(rng, 2, 128) + noise(rng, 3, 64))
    return brushed * 0.5 + 0.3 * fbm(rng, 3, 4), (fbm(rng, 6, 5) > 0.7).float() * 0.6, brushed * 0.2


def _corrugated(rng):
    u, _ = grid()
    wave = torch.sin(6.2832 * integer(rng, 6, 14) * u) * 0.5 + 0.5
    return wave * 0.3 + 0.4 * fbm(rng, 3, 5), (fbm(rng, 4, 5) > 0.68).float() * 0.8, wave


def _roof(rng):
    u, v = grid()
    rows = 2 * integer(rng, 4, 7)
    row = (v * rows).floor().long()
    along = u * rows + (row % 2) * 0.5
    shade = torch.rand(rows, rows, generator=rng)[row, along.floor().long() % rows]
    inside = (v * rows) % 1
    return shade * 0.6 + 0.4 * fbm(rng, 8, 4), (inside > 0.88).float(), (1 - inside) * 0.7 + 0.3 * edges(along, 0.05)


def _panels(rng):
    u, v = grid()
    columns, rows = integer(rng, 1, 4), integer(rng, 1, 5)
    solid = edges(u * columns, 0.02) * edges(v * rows, 0.02)
    x, y = (u * columns) % 1 - 0.5, (v * rows) % 1 - 0.5
    inner = ((x.abs() < 0.36) & (y.abs() < 0.36)).float()
    handle = ((x.abs() < 0.12) & ((y + 0.38).abs() < 0.025)).float()
    return inner * 0.4 + 0.3 * fbm(rng, 4, 5), torch.maximum(1 - solid, handle), solid * 0.7 + inner * 0.3


_FAMILIES = {
    "soft": (_soft, 4),
    "grain": (_grain, 4),
    "plaster": (_plaster, 4),
    "marble": (_marble, 3),
    "wood": (lambda rng: _wood(rng, False), 4),
    "planks": (lambda rng: _wood(rng, True), 5),
    "bricks": (_bricks, 5),
    "tiles": (_tiles, 5),
    "stones": (_stones, 4),
    "gravel": (_gravel, 3),
    "checker": (_checker, 2),
    "stripes": (_stripes, 3),
    "dots": (_dots, 4),
    "fabric": (_fabric, 3),
    "carpet": (_carpet, 3),
    "foliage": (_foliage, 4),
    "grass": (_grass, 4),
    "asphalt": (_asphalt, 4),
    "facade": (_facade, 12),
    "books": (_books, 3),
    "poster": (_poster, 10),
    "metal": (_metal, 2),
    "corrugated": (_corrugated, 2),
    "roof": (_roof, 3),
    "panels": (_panels, 5),
}
TEXTURE_IDS, _next = {}, 0
for _family, (_, _variants) in _FAMILIES.items():
    TEXTURE_IDS[_family] = tuple(range(_next, _next + _variants))
    _next += _variants


def make_textures():
    """All textures: ({family: ids}, float32 (count, 4, size, size) in 0 .. 1 as mix B, mix C, slope u, slope v)."""
    rng = torch.Generator().manual_seed(_SEED)
    result = []
    for draw, variants in _FAMILIES.values():
        for _ in range(variants):
            mix_b, mix_c, height = draw(rng)
            slope_u = (height.roll(-1, 1) - height.roll(1, 1)) * 0.5
            slope_v = (height.roll(-1, 0) - height.roll(1, 0)) * 0.5
            planes = (mix_b, mix_c, 0.5 + SLOPE_SCALE * slope_u, 0.5 + SLOPE_SCALE * slope_v)
            result.append(torch.stack([plane.float().clamp(0, 1) for plane in planes]))
    return dict(TEXTURE_IDS), torch.stack(result)
