"""Colours and ready-made materials; every call draws a new variant from the scene's generator."""

import colorsys

from .texture_patterns import TEXTURE_IDS


def _pick(rng, family):
    return rng.choice(TEXTURE_IDS[family])


def linear(color):
    """sRGB 0 .. 1 to linear."""
    return tuple(max(0.0, min(1.0, v)) ** 2.2 for v in color)


def hsv(hue, saturation, value):
    return linear(colorsys.hsv_to_rgb(hue % 1, max(0, min(1, saturation)), max(0, min(1, value))))


def any_color(rng):
    """Muted more often than not, as things are."""
    return hsv(rng.random(), rng.random() ** 2, rng.uniform(0.12, 0.95))


def grey(rng, low=0.2, high=0.9):
    value = rng.uniform(low, high)
    return hsv(rng.random(), abs(rng.gauss(0, 0.06)), value)


def near(rng, color, amount=0.25):
    """A lighter or darker relative of a linear colour."""
    factor = max(0.1, 1 + rng.gauss(0, amount))
    return tuple(min(1.0, v * factor * (1 + rng.gauss(0, amount * 0.25))) for v in color)


def brown(rng):
    return hsv(rng.gauss(0.075, 0.02), rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.8))


def green(rng):
    return hsv(rng.gauss(0.25, 0.05), rng.uniform(0.3, 0.8), rng.uniform(0.18, 0.6))


def paint_color(rng):
    """Walls: mostly pale and warm, seldom strong."""
    if rng.random() < 0.12:
        return hsv(rng.random(), rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.9))
    hue = rng.gauss(0.11, 0.06) if rng.random() < 0.6 else rng.random()
    return hsv(hue, rng.uniform(0, 0.22), rng.uniform(0.45, 0.97))


def painted(scene, color=None):
    """Plastered, painted or papered wall."""
    rng = scene.rng
    a = color or paint_color(rng)
    family = rng.choices(
        ("plaster", "soft", "stripes", "dots", "bricks", "planks", "panels"), (50, 15, 5, 6, 7, 5, 3)
    )[0]
    contrast = 0.12 if family in ("plaster", "soft") else 0.3
    return scene.material(
        _pick(rng, family), rng.uniform(0.8, 3.5), a, near(rng, a, contrast), near(rng, a, contrast),
        bump=rng.uniform(0, 0.6), dirt=rng.uniform(0, 0.25), dirt_scale=rng.uniform(1.5, 6),
        specular=rng.random() * 0.1,
    )  # fmt: skip


def flooring(scene):
    rng = scene.rng
    family = rng.choices(
        ("planks", "tiles", "carpet", "grain", "wood", "marble", "checker", "stones"), (34, 18, 22, 10, 5, 6, 4, 3)
    )[0]
    if family in ("planks", "wood"):
        a = brown(rng)
    elif family == "carpet":
        hue = rng.gauss(0.09, 0.06) if rng.random() < 0.6 else rng.random()
        a = hsv(hue, rng.uniform(0, 0.4), rng.uniform(0.2, 0.75))
    else:
        a = hsv(rng.gauss(0.09, 0.05), rng.uniform(0, 0.35), rng.uniform(0.25, 0.9))
    shiny = 0.0 if family == "carpet" else rng.random() ** 2
    rotation = rng.choice((0, 1.5708)) if rng.random() < 0.85 else rng.random() * 3
    c = near(rng, a, 0.5) if family in ("checker", "marble") else near(rng, a, 0.25)
    return scene.material(
        _pick(rng, family), rng.uniform(0.7, 2.6), a, near(rng, a, 0.35), c, rotation=rotation, specular=0.3 * shiny,
        gloss=rng.uniform(10, 120), mirror=0.35 * shiny, bump=rng.uniform(0, 0.7), dirt=rng.uniform(0, 0.3),
        dirt_scale=rng.uniform(1, 4),
    )  # fmt: skip


def wooden(scene, color=None):
    rng = scene.rng
    a = color or (brown(rng) if rng.random() < 0.75 else grey(rng, 0.1, 0.95))
    return scene.material(
        _pick(rng, "wood"), rng.uniform(0.4, 1.6), a, near(rng, a, 0.35), near(rng, a, 0.4), rotation=rng.choice((0,
        1.5708)),
        specular=rng.random() ** 2 * 0.5, gloss=rng.uniform(10, 80), mirror=0.15 * rng.random() ** 2, bump=0.2,
        dirt=rng.uniform(0, 0.15),
    )  # fmt: skip


def cabinetry(scene, color=None):
    """Doors and drawers of cabinets."""
    rng = scene.rng
    a = color or (brown(rng) if rng.random() < 0.5 else grey(rng, 0.3, 0.95))
    dark = near(rng, tuple(0.4 * v for v in a), 0.3)
    return scene.material(
        _pick(rng, "panels"), rng.uniform(0.7, 1.6), a, near(rng, a, 0.15), dark, specular=rng.random() ** 2 * 0.5,
        mirror=0.2 * rng.random() ** 2, bump=0.5, dirt=rng.uniform(0, 0.12),
    )  # fmt: skip


def cloth(scene, color=None):
    rng = scene.rng
    a = color or any_color(rng)
    family = rng.choices(("fabric", "carpet", "stripes", "dots", "soft", "checker"), (45, 10, 10, 12, 18, 5))[0]
    b = near(rng, a, 0.2) if rng.random() < 0.7 else any_color(rng)
    return scene.material(
        _pick(rng, family), rng.uniform(0.2, 1.0), a, b, near(rng, a, 0.4), bump=rng.uniform(0.1, 0.5),
        dirt=rng.uniform(0, 0.2),
        dirt_scale=rng.uniform(0.5, 1.5),
    )  # fmt: skip


def plain(scene, color=None, shine=None):
    """Painted metal, plastic, ceramics."""
    rng = scene.rng
    a = color or any_color(rng)
    shine = rng.random() if shine is None else shine
    return scene.material(
        _pick(rng, rng.choice(("soft", "metal", "plaster"))), rng.uniform(0.4, 2), a, near(rng, a, 0.1), near(rng, a,
        0.15),
        specular=shine, gloss=rng.uniform(8, 150), mirror=shine * rng.random() * 0.6, dirt=rng.uniform(0, 0.12),
    )  # fmt: skip


def picture(scene):
    """Posters, pictures, screens, labels: many colours; a mirror now and then."""
    rng = scene.rng
    if rng.random() < 0.1:
        return plain(scene, grey(rng, 0.02, 0.3), 1.0)
    return scene.material(
        _pick(rng, "poster"), rng.uniform(0.4, 1.2), any_color(rng), any_color(rng), any_color(rng),
        mirror=0.3 * rng.random() ** 2, dirt=0.05,
    )  # fmt: skip


def books(scene):
    rng = scene.rng
    return scene.material(
        _pick(rng, "books"), rng.uniform(1.1, 1.6), any_color(rng), any_color(rng), brown(rng), bump=0.4, dirt=0.3,
        dirt_scale=rng.uniform(0.3, 0.8),
    )  # fmt: skip


def anything(scene):
    """Any texture with any colours."""
    rng = scene.rng
    family = rng.choice(tuple(TEXTURE_IDS))
    a = any_color(rng)
    b = any_color(rng) if rng.random() < 0.6 else near(rng, a, 0.4)
    return scene.material(
        _pick(rng, family), 10 ** rng.uniform(-0.7, 0.6), a, b, any_color(rng), rotation=rng.random() * 6.28,
        specular=rng.random() ** 2, gloss=10 ** rng.uniform(0.7, 2.3), mirror=0.6 * rng.random() ** 3,
        bump=rng.random(),
        dirt=rng.uniform(0, 0.4), dirt_scale=rng.uniform(0.4, 4),
    )  # fmt: skip


def glowing(scene, color, strength):
    return scene.material(_pick(scene.rng, "soft"), 1.0, color, color, color, emission=strength, dirt=0.0)


# Outdoors


def masonry(scene):
    """Plain outer walls."""
    rng = scene.rng
    family = rng.choices(("bricks", "plaster", "stones", "planks", "corrugated", "soft"), (28, 36, 12, 9, 5, 10))[0]
    if family == "bricks" and rng.random() < 0.6:
        a = hsv(rng.gauss(0.03, 0.02), rng.uniform(0.3, 0.65), rng.uniform(0.3, 0.75))
    else:
        a = hsv(rng.gauss(0.09, 0.06), rng.uniform(0.02, 0.4), rng.uniform(0.3, 0.95))
    return scene.material(
        _pick(rng, family), rng.uniform(1.2, 4), a, near(rng, a, 0.25), near(rng, a, 0.4), bump=rng.uniform(0.2, 0.9),
        dirt=rng.uniform(0.05, 0.4), dirt_scale=rng.uniform(2, 9),
    )  # fmt: skip


def facade(scene):
    """Rows of windows; storeys 2.8 to 3.8 m high."""
    rng = scene.rng
    a = hsv(rng.gauss(0.09, 0.06), rng.uniform(0.02, 0.45), rng.uniform(0.3, 0.95))
    glass = tuple(v * 0.4 for v in hsv(rng.gauss(0.58, 0.06), rng.uniform(0.0, 0.4), rng.uniform(0.1, 0.5)))
    trim = near(rng, a, 0.5) if rng.random() < 0.6 else grey(rng, 0.6, 1.0)
    return scene.material(
        _pick(rng, "facade"), rng.uniform(8, 15), a, glass, trim, mirror=rng.uniform(0.3, 1.2), mirror_by_mix=1.0,
        bump=0.8,
        dirt=rng.uniform(0.05, 0.35), dirt_scale=rng.uniform(3, 12),
    )  # fmt: skip


def glazing(scene):
    """Window panes of cars and shops."""
    tone = hsv(0.58, 0.2, scene.rng.uniform(0.05, 0.25))
    return scene.material(
        TEXTURE_IDS["soft"][0], 2.0, tone, specular=0.8, gloss=120, mirror=scene.rng.uniform(0.5, 1.3), dirt=0.1
    )


def roofing(scene):
    rng = scene.rng
    a = hsv(rng.gauss(0.03, 0.03), rng.uniform(0.1, 0.65), rng.uniform(0.2, 0.65))
    return scene.material(
        _pick(rng, rng.choice(("roof", "roof", "corrugated"))), rng.uniform(1.5, 3.5), a, near(rng, a, 0.3),
        near(rng, a, 0.3),
        bump=0.8, dirt=0.25,
    )  # fmt: skip


def leaves(scene, color=None):
    rng = scene.rng
    a = color or green(rng)
    if color is None and rng.random() < 0.12:  # autumn
        a = hsv(rng.uniform(0.02, 0.14), rng.uniform(0.4, 0.8), rng.uniform(0.3, 0.75))
    return scene.material(
        _pick(rng, "foliage"), rng.uniform(0.7, 2.0), tuple(0.5 * v for v in a), near(rng, a, 0.3), tuple(min(1,
        1.5 * v) for v in a),
        bump=rng.uniform(0.8, 1.6), dirt=0.35, dirt_scale=rng.uniform(0.8, 2.5), translucency=rng.uniform(0.3, 0.8),
    )  # fmt: skip


def bark(scene):
    a = near(
        scene.rng, hsv(scene.rng.gauss(0.08, 0.02), scene.rng.uniform(0.1, 0.45), scene.rng.uniform(0.15, 0.5)), 0.3
    )
    return scene.material(
        _pick(scene.rng, "wood"),
        0.6,
        a,
        near(scene.rng, a, 0.4),
        near(scene.rng, a, 0.4),
        rotation=1.5708,
        bump=1.0,
        dirt=0.3,
    )


def ground(scene, style=None, road=0.0):
    """Grass, gravel, earth, sand, snow or paving."""
    rng = scene.rng
    style = style or rng.choices(("grass", "gravel", "earth", "paving", "sand", "snow"), (50, 10, 16, 14, 6, 4))[0]
    family, a = {
        "grass": lambda: ("grass", green(rng)),
        "gravel": lambda: ("gravel", grey(rng, 0.3, 0.7)),
        "earth": lambda: ("grain", brown(rng)),
        "paving": lambda: (rng.choice(("tiles", "stones", "bricks")), grey(rng, 0.3, 0.8)),
        "sand": lambda: ("soft", hsv(0.11, rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.9))),
        "snow": lambda: ("soft", hsv(0.6, 0.04, rng.uniform(0.8, 0.97))),
        "asphalt": lambda: ("asphalt", grey(rng, 0.25, 0.6)),
    }[style]()
    return scene.material(
        _pick(rng, family), rng.uniform(1.5, 5), a, near(rng, a, 0.4), near(rng, a, 0.4), bump=rng.uniform(0.2, 0.9),
        dirt=rng.uniform(0.1, 0.45), dirt_scale=rng.uniform(4, 20), road=road,
    )  # fmt: skip
