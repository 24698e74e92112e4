"""Furniture along the walls and in the middle of a room, people, and what hangs."""

import numpy as np

from .catalogue import Model
from .clutter import add_pile, scatter_on_floor, scatter_on_top
from .room import Placed, Room
from .room_shell import add_shell, light_room
from .scene import Material
from .shapes import BOX, place, shifted
from .stock import INDOOR, TABLES, Furniture, pick
from .textures import TextureBank


def furnished_room(rng: np.random.Generator, furniture: Furniture, bank: TextureBank) -> Room:
    """A room with walls, furniture and light."""
    room = Room(rng, furniture, bank)
    add_shell(room)
    furnish(room)
    light_room(room)
    return room


def furnish(room: Room) -> None:
    """Fills a room with what one or two kinds of rooms have."""
    rng, furniture = room.rng, room.furniture
    line_walls(room)
    for _ in range(rng.integers(0, 3)):
        if not room.corridor:
            add_table(room)
    for models, most in (
        (furniture.odd, 4),
        (furniture.plants, 2),
        (furniture.seats, 3),
        (furniture.lamps, 2),
        (furniture.sofas, 2),
    ):
        for _ in range(rng.integers(0, most + 1)):
            put_anywhere(room, pick(rng, models))
    hang_things(room)
    if rng.random() < 0.4:
        add_rug(room)
    if rng.random() < 0.25:
        for _ in range(rng.integers(1, 4)):
            put_anywhere(room, pick(rng, furniture.people))
    for spot in list(room.placed):
        if rng.random() < 0.2 and spot.named(TABLES):
            stand_beside(room, spot)
        scatter_on_top(room, spot)
    scatter_on_floor(room)
    if rng.random() < 0.15:
        add_pile(room)


def line_walls(room: Room) -> None:
    """Furniture of one or two kinds of rooms with its back to the walls, now and then after a table in the middle."""
    rng, furniture = room.rng, room.furniture
    themes = rng.choice(len(INDOOR), 1 + (rng.random() < 0.35), p=[0.32, 0.2, 0.18, 0.08, 0.22])
    pool = [model for theme in themes for model in furniture.large[INDOOR[theme]]]
    if rng.random() < 0.3:
        pool = pool + furniture.odd
    density = rng.uniform(0.15, 0.9)
    if rng.random() < 0.5 and not room.corridor:
        add_table(room)
    for _ in range(int(np.clip(room.width * room.depth * density * 1.2, 2, 30))):
        model = pick(rng, pool)
        side, length = room.draw_side()
        if model.width + 0.1 <= length and model.height <= room.height:
            along = rng.uniform(model.width / 2, length - model.width / 2)
            room.put(model, *room.on_side(side, along, model.depth / 2 + rng.uniform(0, 0.06), 0))


def hang_things(room: Room) -> None:
    """Clocks, cupboards and the like on the walls, and lamps from the ceiling."""
    rng, furniture = room.rng, room.furniture
    for _ in range(rng.integers(0, 8)):
        model = pick(rng, furniture.on_wall)
        side, length = room.draw_side()
        if model.width < length and model.elevation + model.height < room.height:
            along = rng.uniform(model.width / 2, length - model.width / 2)
            room.put(model, *room.on_side(side, along, model.depth / 2, model.elevation))
    for _ in range(rng.integers(0, 3)):
        model = pick(rng, furniture.on_ceiling)
        spot = (rng.uniform(0.5, room.width - 0.5), room.height - model.height, rng.uniform(0.5, room.depth - 0.5))
        if spot[1] > 1.7:
            room.put(model, spot, rng.uniform(0, 6.3))


def put_anywhere(room: Room, model: Model) -> None:
    """A model on the floor, turned at random, if it fits."""
    rng = room.rng
    reach = max(model.width, model.depth) / 2
    if 2 * reach <= min(room.width, room.depth):
        x, y = rng.uniform(reach, room.width - reach), model.elevation if model.elevation < 0.2 else 0
        room.put(model, (x, y, rng.uniform(reach, room.depth - reach)), rng.uniform(0, 2 * np.pi))


def stand_beside(room: Room, spot: Placed) -> None:
    """A person close to a side of a thing, facing it, as seen at tables."""
    rng = room.rng
    model = pick(rng, room.furniture.people)
    across = int(rng.choice([0, 2]))
    at = rng.uniform(spot.low, spot.high)
    at[across] = rng.choice([spot.low[across] - 0.25, spot.high[across] + 0.25])
    at[1] = 0.0
    towards = spot.middle - at
    if room.inside(at, 0.2):
        room.put(model, at, np.arctan2(towards[0], towards[2]) + rng.normal(0, 0.3), claim=False)


def add_table(room: Room) -> None:
    """A table with chairs around it."""
    rng, furniture = room.rng, room.furniture
    model = pick(rng, furniture.tables)
    if max(model.width, model.depth) + 1 > min(room.width, room.depth):
        return
    x = rng.uniform(model.width / 2 + 0.3, room.width - model.width / 2 - 0.3)
    z = rng.uniform(model.depth / 2 + 0.3, room.depth - model.depth / 2 - 0.3)
    turn = rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + rng.normal(0, 0.08)
    if not room.put(model, (x, 0, z), turn):
        return
    seat = pick(rng, furniture.seats)
    for across in np.arange(-model.width / 2 + 0.35, model.width / 2, 0.65):
        for face in (1, -1):
            if rng.random() < 0.6:
                out = model.depth / 2 + rng.uniform(-0.1, 0.35)
                spot = shifted((x, 0, z), turn, across, out=face * out)
                if room.inside(spot, 0.2):
                    # chairs reach under tables, so they claim no room of their own
                    room.put(seat, spot, turn + (np.pi if face > 0 else 0) + rng.normal(0, 0.25), claim=False)


def add_rug(room: Room) -> None:
    """A flat rug or a printed mat."""
    rng, bank = room.rng, room.bank
    w, d = rng.uniform(0.8, min(3.0, room.width)), rng.uniform(0.8, min(3.0, room.depth))
    x, z = rng.uniform(w / 2, room.width - w / 2 + 0.01), rng.uniform(d / 2, room.depth - d / 2 + 0.01)
    texture = bank.pattern(rng, "carpet", "fabric") if rng.random() < 0.8 else bank.photo(rng)
    room.scene.add(BOX, place(x, 0, z, rng.normal(0, 0.2), (w, 0.012, d)), Material((0.9,) * 3, texture))
