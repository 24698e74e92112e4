"""Floor, walls and ceiling of a room, its doors, windows, posters and light."""

from dataclasses import replace

import numpy as np

from .patterns import color
from .room import Room
from .scene import Light, Material
from .shapes import BOX, QUAD, place
from .surfaces import surface


def add_shell(room: Room):
    """Floor, ceiling, walls with skirting, and what is in and on the walls."""
    rng, bank, w, d, h = room.rng, room.bank, room.width, room.depth, room.height
    floor = surface(rng, bank, "planks", "wood", "tiles", "carpet", "stone", "planks")
    wall = surface(rng, bank, "plaster", "plaster", "plaster", "wallpaper", "bricks", "planks")
    if rng.random() < 0.5:
        wall = Material(tuple(color(rng, (0, 0.3), (0.55, 1.0)) ** 1.8), None)
    if rng.random() < 0.08:
        wall = replace(wall, texture=bank.photo(rng), metres=rng.uniform(1.5, 4))
    ceiling = Material(
        tuple(color(rng, (0, 0.08), (0.75, 1.0)) ** 1.5),
        bank.pattern(rng, "plaster") if rng.random() < 0.5 else None,
        1.0,
    )
    t = 0.1
    room.scene.add(BOX, place(w / 2, -t, d / 2, scale=(w + 1, t, d + 1)), floor, casts_shadow=False)
    room.scene.add(BOX, place(w / 2, h, d / 2, scale=(w + 1, t, d + 1)), ceiling, casts_shadow=False)
    skirting = rng.random() < 0.6
    trim = Material(tuple(color(rng, (0, 0.3), (0.2, 1.0)) ** 2), gloss=0.1)
    for x, z, sx, sz in (
        (w / 2, -t / 2, w, t),
        (w / 2, d + t / 2, w, t),
        (-t / 2, d / 2, t, d),
        (w + t / 2, d / 2, t, d),
    ):
        own = surface(rng, bank, "plaster", "wallpaper", "bricks", "wood", "tiles") if rng.random() < 0.12 else wall
        room.scene.add(BOX, place(x, 0, z, scale=(sx, h, sz)), own, casts_shadow=False)
        if skirting:
            room.scene.add(BOX, place(x, 0, z, scale=(sx + 0.02, 0.09, sz + 0.02)), trim, casts_shadow=False)
    for side in range(4):
        length = w if side < 2 else d
        for _ in range(rng.integers(0, 3)):
            kind = rng.random()
            if kind < 0.55:
                add_door(room, side, length)
            elif kind < 0.75:
                add_window(room, side, length)
    for _ in range(rng.integers(0, 6)):
        add_poster(room)


def add_door(room: Room, side, length):
    """A door or window of the catalogue in wall `side`, which is `length` metres long."""
    rng = room.rng
    model = rng.choice(room.furniture.doors)
    if length < model.width + 0.4:
        return
    along = rng.uniform(model.width / 2 + 0.1, length - model.width / 2 - 0.1)
    position, turn = room.on_side(side, along, model.depth / 2 - 0.06, model.elevation)
    if room.claim(position, turn, model.width, model.depth, model.height) and model.elevation > 0.05:
        add_pane(room, position, turn, model.width, model.height)
    room.put(model, position, turn, claim=False)


def add_pane(room, position, turn, width, height):
    """What is seen through a window: a bright photograph right behind it."""
    bright = room.rng.uniform(0.3, 2.5)
    x, y, z = position
    back = np.array([np.sin(turn), np.cos(turn)]) * 0.05
    material = Material((bright,) * 3, room.bank.photo(room.rng), emission=(bright * 0.2,) * 3)
    room.scene.add(QUAD, place(x - back[0], y, z - back[1], turn, (width, height, 1)), material, False)


def add_window(room: Room, side, length):
    """A simple window with a frame, now and then with curtains."""
    rng = room.rng
    width, height, low = rng.uniform(0.6, 2.2), rng.uniform(0.7, 1.5), rng.uniform(0.7, 1.1)
    if length < width + 0.4:
        return
    along = rng.uniform(width / 2 + 0.1, length - width / 2 - 0.1)
    position, turn = room.on_side(side, along, 0.04, low)
    if not room.claim(position, turn, width, 0.1, height):
        return
    add_pane(room, room.on_side(side, along, 0.07, low)[0], turn, width, height)
    frame = Material(tuple(color(rng, (0, 0.3), (0.3, 1.0)) ** 2), gloss=0.2)
    (x, y, z), t = position, 0.06
    cos, sin = np.cos(turn), np.sin(turn)
    for across, up, w, h in (
        (-width / 2, 0, t, height),
        (width / 2, 0, t, height),
        (0, 0, t * 0.7, height),
        (0, 0, width, t),
        (0, height, width + t, t),
    ):
        room.scene.add(BOX, place(x + across * cos, y + up, z - across * sin, turn, (w, h, t)), frame)
    if rng.random() < 0.5:
        cloth = surface(rng, room.bank, "fabric")
        for across in (-width / 2 - 0.1, width / 2 + 0.1):
            for fold in range(5):
                a = across + (fold - 2) * 0.08
                bar = place(
                    x + a * cos + 0.1 * sin,
                    0.05,
                    z - a * sin + 0.1 * cos,
                    turn + rng.uniform(0.5, 0.9),
                    (0.09, low + height + 0.1, 0.03),
                )
                room.scene.add(BOX, bar, cloth)


def add_poster(room: Room):
    """A framed photograph on a wall."""
    rng = room.rng
    side = int(rng.integers(4))
    width = rng.uniform(0.25, 1.2)
    height = width * rng.choice([0.7, 1.4, 1.0])
    length = room.width if side < 2 else room.depth
    low = rng.uniform(1.0, max(1.05, room.height - height - 0.2))
    if length < width + 0.2 or low + height > room.height:
        return
    position, turn = room.on_side(side, rng.uniform(width / 2, length - width / 2), 0.015, low)
    if room.claim(position, turn, width, 0.04, height):
        rim = Material(tuple(color(rng, (0, 0.4), (0.05, 1.0)) ** 2), gloss=0.2)
        room.scene.add(BOX, place(*position, turn=turn, scale=(width + 0.05, height + 0.05, 0.02)), rim)
        front = room.on_side(side, 0, 0.03, 0)[0]
        spot = [(position[0], front[2]), (position[0], front[2]), (front[0], position[2]), (front[0], position[2])][
            side
        ]
        room.scene.add(
            QUAD,
            place(spot[0], low + 0.025, spot[1], turn, (width, height, 1)),
            Material((0.9,) * 3, room.bank.photo(rng), gloss=rng.uniform(0, 0.3)),
        )


def light_room(room: Room):
    """A ceiling lamp, or light from the side as through a window."""
    rng, scene, w, d, h = room.rng, room.scene, room.width, room.depth, room.height
    warm = np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.5, 1.05)])
    center = np.array([w / 2, 0.6, d / 2])
    if rng.random() < 0.6:  # a ceiling lamp
        at = np.array([rng.uniform(0.3, 0.7) * w, h - 0.12, rng.uniform(0.3, 0.7) * d])
        scene.light = Light(
            at,
            at - [0.01, 1, 0.02],
            tuple(warm * rng.uniform(0.4, 1.6)),
            angle=2.75,
            falloff=rng.uniform(0.3, 1),
            softness=rng.uniform(1, 6),
        )
    else:  # light from the side, as through a window
        angle = rng.uniform(0, 2 * np.pi)
        at = center + [np.cos(angle) * w * 0.9, rng.uniform(0.6, 2.5), np.sin(angle) * d * 0.9]
        scene.light = Light(
            at,
            center,
            tuple(warm * rng.uniform(0.4, 1.8)),
            angle=1.9,
            falloff=rng.uniform(0, 0.6),
            softness=rng.uniform(2, 10),
        )
    level = rng.uniform(0.15, 0.6)
    cool = np.array([rng.uniform(0.85, 1.05), 1.0, rng.uniform(0.9, 1.15)])
    scene.sky_light = tuple(cool * level)
    scene.ground_light = tuple(warm * level * rng.uniform(0.4, 0.9))
    scene.fill = (rng.uniform(0, w), rng.uniform(1, h - 0.2), rng.uniform(0, d), rng.uniform(0, 3))
