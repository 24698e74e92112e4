"""Walls with openings, and what hangs on them: doors, windows, curtains, pictures."""

import math

from . import palette as P
from .scene import Frame


def wall_frames(width, depth):
    """Frames in the middle of the four walls of the room [0, width] x [0, depth], local +y pointing out of it, and
    the walls' half lengths."""
    return (
        (Frame(width / 2, depth, 0, 0.0), width / 2),
        (Frame(0, depth / 2, 0, math.pi / 2), depth / 2),
        (Frame(width / 2, 0, 0, math.pi), width / 2),
        (Frame(width, depth / 2, 0, -math.pi / 2), depth / 2),
    )


def pierced_wall(scene, frame, half, height, material, opening=None, shadow=0.0):
    """Wall with at most one opening (centre x, half width, bottom, top)."""
    if opening is None:
        scene.wall(frame, 0, 0, 0, half, height / 2, material, shadow=shadow)
        return
    x, hw, bottom, top = opening
    left, right = (x - hw + half) / 2, (half - x - hw) / 2
    scene.wall(frame, -half + left, 0, 0, left, height / 2, material, shadow=shadow)
    scene.wall(frame, half - right, 0, 0, right, height / 2, material, shadow=shadow)
    if bottom > 0:
        scene.wall(frame, x, 0, 0, hw, bottom / 2, material, shadow=shadow)
    if top < height:
        scene.wall(frame, x, 0, top, hw, (height - top) / 2, material, shadow=shadow)


def casing(scene, frame, opening, material, sill=False):
    """Frame around an opening."""
    x, hw, bottom, top = opening
    for side in (-1, 1):
        scene.box(frame, x + side * (hw + 0.03), 0, bottom, 0.045, 0.05, (top - bottom) / 2 + 0.03, material)
    scene.box(frame, x, 0, top, hw + 0.07, 0.05, 0.04, material)
    if sill:
        scene.box(frame, x, -0.04, bottom - 0.04, hw + 0.08, 0.12, 0.02, material)


def door(scene, frame, x, height=2.02, hw=0.42):
    """A closed door, slightly proud of the wall, with casing and handle."""
    material, trim = (P.cabinetry(scene) if scene.rng.random() < 0.5 else P.wooden(scene)), P.wooden(scene)
    scene.box(frame, x, 0, 0.01, hw, 0.03, height / 2, material)
    casing(scene, frame, (x, hw, 0, height), trim)
    scene.box(frame, x + hw * 0.82, -0.06, 0.98, 0.05, 0.03, 0.015, P.plain(scene, None, 1.0))


def open_door(scene, frame, opening):
    """A door leaf standing open into the room."""
    x, hw, _, top = opening
    side = scene.rng.choice((-1, 1))
    hinge = frame.child(x + side * hw, 0, 0, side * scene.rng.uniform(0.6, 1.7))
    scene.box(hinge, -side * hw, 0, 0.01, hw, 0.02, top / 2 - 0.01, P.cabinetry(scene))


def window(scene, frame, opening, through):
    """Panes and bars in the wall's plane; an opaque bright or dark pane unless one sees through."""
    rng = scene.rng
    x, hw, bottom, top = opening
    trim = P.wooden(scene, P.grey(rng, 0.5, 1.0)) if rng.random() < 0.7 else P.wooden(scene)
    casing(scene, frame, opening, trim, sill=True)
    for k in range(rng.randint(1, 3)):
        scene.box(
            frame, x - hw + 2 * hw * (k + 0.5) / 2 if k < 2 else x, 0, bottom, 0.02, 0.02, (top - bottom) / 2, trim
        )
    if rng.random() < 0.6:
        scene.box(frame, x, 0, (bottom + top) / 2, hw, 0.02, 0.02, trim)
    if not through:
        bright = rng.choice((0.0, 0.3, 2.0, 5.0))
        color = P.hsv(rng.gauss(0.58, 0.04), rng.uniform(0, 0.25), rng.uniform(0.5, 1.0) if bright else 0.08)
        pane = scene.material(
            rng.choice((0, 1, 2)), 2.0, color, P.near(rng, color, 0.5), mirror=0.6, emission=bright, dirt=0.0
        )
        scene.wall(frame, x, 0.03, bottom, hw, (top - bottom) / 2, pane, shadow=0)
    dressing = rng.random()
    if dressing < 0.4:  # curtains
        cloth = P.cloth(scene)
        low = 0.03 if rng.random() < 0.6 else max(0.03, bottom - 0.2)
        for side in (-1, 1):
            width = hw * rng.uniform(0.15, 0.6)
            folds = max(2, round(width / 0.07))
            for k in range(folds):
                scene.cylinder(
                    frame,
                    x + side * (hw + 0.1 - width * 2 * (k + 0.5) / folds),
                    -0.12,
                    low,
                    width / folds * 1.15,
                    (top + 0.1 - low) / 2,
                    cloth,
                )
    elif dressing < 0.55:  # blind
        drop = (top - bottom) * rng.uniform(0.15, 0.8)
        blind = scene.material(
            rng.choice(P.TEXTURE_IDS["stripes"]),
            0.3,
            P.grey(rng, 0.5, 0.95),
            P.grey(rng, 0.4, 0.9),
            rotation=1.5708,
            bump=0.6,
        )
        scene.wall(frame, x, -0.05, top - drop, hw, drop / 2, blind, shadow=0)


def hang_pictures(scene, frame, half, height, taken):
    """Pictures, posters, clocks, wall cupboards and switches where nothing else is."""
    rng = scene.rng
    for _ in range(rng.randint(0, 4)):
        hw, hz = rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.45)
        x, z = rng.uniform(-half + hw, half - hw) if half > hw else 0, rng.uniform(1.2, 1.7)
        if any(abs(x - t) < hw + w for t, w in taken) or z + hz > height:
            continue
        taken.append((x, hw))
        scene.box(frame, x, -0.015, z - hz, hw, 0.015, hz, P.wooden(scene))
        scene.box(frame, x, -0.02, z - hz * 0.9, hw * 0.9, 0.014, hz * 0.9, P.picture(scene))


def skirting(scene, frame, half, material):
    scene.box(frame, 0, 0, 0, half, 0.015, scene.rng.uniform(0.03, 0.08), material)
