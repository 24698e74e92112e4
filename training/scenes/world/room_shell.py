"""Floor, walls and ceiling of a room, its doors, windows, posters and light."""

from dataclasses import replace

import numpy as np

from .patterns import tint
from .room import Room
from .scene import Light, Material
from .shapes import BOX, QUAD, place, shifted
from .surfaces import surface

FLOORS = ("planks", "wood", "tiles", "carpet", "stone", "planks")
WALLS = ("plaster", "plaster", "plaster", "wallpaper", "bricks", "planks")
OTHER_WALLS = ("plaster", "wallpaper", "bricks", "wood", "tiles")
"""Patterns, some twice to make them more frequent."""


def add_shell(room: Room) -> None:
    """Floor, ceiling, walls with skirting, and what is in and on the walls."""
    add_surfaces(room)
    rng = room.rng
    for side in range(4):
        for _ in range(rng.integers(0, 3)):
            kind = rng.random()
            if kind < 0.55:
                add_door(room, side)
            elif kind < 0.75:
                add_window(room, side)
    for _ in range(rng.integers(0, 6)):
        add_poster(room)


def add_surfaces(room: Room) -> None:
    """Floor, ceiling and walls with skirting."""
    rng, bank, w, d, h = room.rng, room.bank, room.width, room.depth, room.height
    floor, wall = surface(rng, bank, *FLOORS), surface(rng, bank, *WALLS)
    if rng.random() < 0.5:
        wall = Material(tint(rng, (0, 0.3), (0.55, 1.0), 1.8))
    if rng.random() < 0.08:
        wall = replace(wall, texture=bank.photo(rng), metres=rng.uniform(1.5, 4))
    white = tint(rng, (0, 0.08), (0.75, 1.0), 1.5)
    ceiling = Material(white, bank.pattern(rng, "plaster") if rng.random() < 0.5 else None, 1.0)
    t = 0.1
    room.scene.add(BOX, place(w / 2, -t, d / 2, scale=(w + 1, t, d + 1)), floor, casts_shadow=False)
    room.scene.add(BOX, place(w / 2, h, d / 2, scale=(w + 1, t, d + 1)), ceiling, casts_shadow=False)
    skirting = rng.random() < 0.6
    trim = Material(tint(rng, (0, 0.3), (0.2, 1.0), 2), gloss=0.1)
    for x, z, along_x, along_z in (
        (w / 2, -t / 2, w, t),
        (w / 2, d + t / 2, w, t),
        (-t / 2, d / 2, t, d),
        (w + t / 2, d / 2, t, d),
    ):
        own = surface(rng, bank, *OTHER_WALLS) if rng.random() < 0.12 else wall
        room.scene.add(BOX, place(x, 0, z, scale=(along_x, h, along_z)), own, casts_shadow=False)
        if skirting:
            board = place(x, 0, z, scale=(along_x + 0.02, 0.09, along_z + 0.02))
            room.scene.add(BOX, board, trim, casts_shadow=False)


def add_door(room: Room, side: int) -> None:
    """A door or window of the catalogue in wall `side`."""
    rng, length = room.rng, room.side_length(side)
    model = rng.choice(room.furniture.doors)
    if length < model.width + 0.4:
        return
    along = rng.uniform(model.width / 2 + 0.1, length - model.width / 2 - 0.1)
    position, turn = room.on_side(side, along, model.depth / 2 - 0.06, model.elevation)
    if room.claim(position, turn, (model.width, model.depth, model.height)) and model.elevation > 0.05:
        add_pane(room, position, turn, model.width, model.height)
    room.put(model, position, turn, claim=False)


def add_pane(room: Room, position: tuple, turn: float, width: float, height: float) -> None:
    """What is seen through a window: a bright photograph right behind it."""
    bright = room.rng.uniform(0.3, 2.5)
    material = Material((bright,) * 3, room.bank.photo(room.rng), emission=(bright * 0.2,) * 3)
    behind = place(*shifted(position, turn, out=-0.05), turn, (width, height, 1))
    room.scene.add(QUAD, behind, material, casts_shadow=False)


def add_window(room: Room, side: int) -> None:
    """A simple window with a frame, now and then with curtains."""
    rng, length = room.rng, room.side_length(side)
    width, height, low = rng.uniform(0.6, 2.2), rng.uniform(0.7, 1.5), rng.uniform(0.7, 1.1)
    if length < width + 0.4:
        return
    along = rng.uniform(width / 2 + 0.1, length - width / 2 - 0.1)
    position, turn = room.on_side(side, along, 0.04, low)
    if not room.claim(position, turn, (width, 0.1, height)):
        return
    add_pane(room, room.on_side(side, along, 0.07, low)[0], turn, width, height)
    frame = Material(tint(rng, (0, 0.3), (0.3, 1.0), 2), gloss=0.2)
    t = 0.06
    for across, up, bar_width, bar_height in (
        (-width / 2, 0, t, height),
        (width / 2, 0, t, height),
        (0, 0, t * 0.7, height),
        (0, 0, width, t),
        (0, height, width + t, t),
    ):
        bar = place(*shifted(position, turn, across, up), turn, (bar_width, bar_height, t))
        room.scene.add(BOX, bar, frame)
    if rng.random() < 0.5:
        cloth = surface(rng, room.bank, "fabric")
        for across in (-width / 2 - 0.1, width / 2 + 0.1):
            for fold in range(5):
                x, _, z = shifted(position, turn, across + (fold - 2) * 0.08, out=0.1)
                strip = place(x, 0.05, z, turn + rng.uniform(0.5, 0.9), (0.09, low + height + 0.1, 0.03))
                room.scene.add(BOX, strip, cloth)


def add_poster(room: Room) -> None:
    """A framed photograph on a wall."""
    rng = room.rng
    side, length = room.draw_side()
    width = rng.uniform(0.25, 1.2)
    height = width * rng.choice([0.7, 1.4, 1.0])
    low = rng.uniform(1.0, max(1.05, room.height - height - 0.2))
    if length < width + 0.2 or low + height > room.height:
        return
    along = rng.uniform(width / 2, length - width / 2)
    position, turn = room.on_side(side, along, 0.015, low)
    if room.claim(position, turn, (width, 0.04, height)):
        rim = Material(tint(rng, (0, 0.4), (0.05, 1.0), 2), gloss=0.2)
        room.scene.add(BOX, place(*position, turn=turn, scale=(width + 0.05, height + 0.05, 0.02)), rim)
        photograph = Material((0.9,) * 3, room.bank.photo(rng), gloss=rng.uniform(0, 0.3))
        front = room.on_side(side, along, 0.03, low + 0.025)[0]
        room.scene.add(QUAD, place(*front, turn=turn, scale=(width, height, 1)), photograph)


def light_room(room: Room) -> None:
    """A ceiling lamp, or light from the side as through a window."""
    rng, scene, w, d, h = room.rng, room.scene, room.width, room.depth, room.height
    warm = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.5, 1.05)])
    if rng.random() < 0.6:
        at = np.array([rng.uniform(0.3, 0.7) * w, h - 0.12, rng.uniform(0.3, 0.7) * d])
        target, angle = at - [0.01, 1, 0.02], 2.75
        strongest, falloff, softness = 1.6, (0.3, 1), (1, 6)
    else:
        turn = rng.uniform(0, 2 * np.pi)
        target, angle = np.array([w / 2, 0.6, d / 2]), 1.9
        at = target + [np.cos(turn) * w * 0.9, rng.uniform(0.6, 2.5), np.sin(turn) * d * 0.9]
        strongest, falloff, softness = 1.8, (0, 0.6), (2, 10)
    scene.light = Light(
        at, target, tuple(warm * rng.uniform(0.4, strongest)), angle,
        falloff=rng.uniform(*falloff), softness=rng.uniform(*softness),
    )  # fmt: skip
    level = rng.uniform(0.15, 0.6)
    cool = np.array([rng.uniform(0.85, 1.05), 1.0, rng.uniform(0.9, 1.15)])
    scene.sky_light = tuple(cool * level)
    scene.ground_light = tuple(warm * level * rng.uniform(0.4, 0.9))
    scene.fill = (rng.uniform(0, w), rng.uniform(1, h - 0.2), rng.uniform(0, d), rng.uniform(0, 3))
