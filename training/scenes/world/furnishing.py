"""Furniture along the walls and in the middle of a room, and things on tables and floors."""

from dataclasses import replace

import numpy as np

from .furniture import INDOOR, SEATS, SOFAS, TABLES
from .patterns import color
from .room import Placed, Room
from .scene import Material
from .shapes import BOX, place
from .surfaces import dressed, vessel


def furnish(room: Room):
    """Fills a room with what one or two kinds of rooms have."""
    rng, furniture = room.rng, room.furniture
    themes = rng.choice(len(INDOOR), 1 + (rng.random() < 0.35), p=[0.32, 0.2, 0.18, 0.08, 0.22])
    pool = [model for theme in themes for model in furniture.large[INDOOR[theme]]]
    if rng.random() < 0.3:
        pool = pool + furniture.odd
    area = room.width * room.depth
    density = rng.uniform(0.15, 0.9)
    if rng.random() < 0.5 and not room.corridor:
        add_table(room)
    for _ in range(int(np.clip(area * density * 1.2, 2, 30))):
        model, side = pool[rng.integers(len(pool))], int(rng.integers(4))
        length = room.width if side < 2 else room.depth
        if model.width + 0.1 > length or model.height > room.height:
            continue
        along = rng.uniform(model.width / 2, length - model.width / 2)
        position, turn = room.on_side(side, along, model.depth / 2 + rng.uniform(0, 0.06), 0)
        room.put(model, position, turn)
    for _ in range(rng.integers(0, 3)):
        if not room.corridor:
            add_table(room)
    for model, count in (
        (furniture.odd, 4),
        (furniture.plants, 2),
        (furniture.seats, 3),
        (furniture.lamps, 2),
        (furniture.sofas, 2),
    ):
        for _ in range(rng.integers(0, count + 1)):
            put_anywhere(room, model[rng.integers(len(model))])
    for _ in range(rng.integers(0, 8)):
        model = furniture.on_wall[rng.integers(len(furniture.on_wall))]
        side = int(rng.integers(4))
        length = room.width if side < 2 else room.depth
        if model.width < length and model.elevation + model.height < room.height:
            along = rng.uniform(model.width / 2, length - model.width / 2)
            room.put(model, *room.on_side(side, along, model.depth / 2, model.elevation))
    for _ in range(rng.integers(0, 3)):
        model = furniture.on_ceiling[rng.integers(len(furniture.on_ceiling))]
        spot = (rng.uniform(0.5, room.width - 0.5), room.height - model.height, rng.uniform(0.5, room.depth - 0.5))
        if spot[1] > 1.7:
            room.put(model, spot, rng.uniform(0, 6.3))
    if rng.random() < 0.4:
        add_rug(room)
    if rng.random() < 0.25:
        for _ in range(rng.integers(1, 4)):
            put_anywhere(room, furniture.people[rng.integers(len(furniture.people))])
    for spot in list(room.placed):
        if rng.random() < 0.2 and spot.what and any(word in spot.what.lower() for word in TABLES):
            stand_beside(room, spot)
        if spot.top is not None and 0.25 < spot.top < 1.7 and (spot.high - spot.low)[[0, 2]].min() > 0.25:
            soft = any(word in spot.what.lower() for word in (*SOFAS, *SEATS, "bed", "chair"))
            size = (spot.high - spot.low)[[0, 2]].prod()
            many = rng.uniform(0, 14) * min(1.5, size + 0.3)
            scatter(room, spot, int(min(2, many / 6) if soft else many))
    floor = Placed(np.zeros(3), np.array([room.width, 0, room.depth]), 0.0)
    scatter(room, floor, int(rng.uniform(0, 1) ** 2 * 14), large=True)
    if rng.random() < 0.15:
        add_pile(room)


def put_anywhere(room: Room, model):
    """A model on the floor, turned at random, if it fits."""
    rng = room.rng
    reach = max(model.width, model.depth) / 2
    if 2 * reach > min(room.width, room.depth):
        return
    spot = (
        rng.uniform(reach, room.width - reach),
        model.elevation if model.elevation < 0.2 else 0,
        rng.uniform(reach, room.depth - reach),
    )
    room.put(model, spot, rng.uniform(0, 2 * np.pi))


def stand_beside(room: Room, spot: Placed):
    """A person close to a side of a thing, facing it, as seen at tables."""
    rng, people = room.rng, room.furniture.people
    model = people[rng.integers(len(people))]
    across = int(rng.choice([0, 2]))
    at = rng.uniform(spot.low, spot.high)
    at[across] = rng.choice([spot.low[across] - 0.25, spot.high[across] + 0.25])
    at[1] = 0.0
    towards = (spot.low + spot.high) / 2 - at
    if 0.2 < at[0] < room.width - 0.2 and 0.2 < at[2] < room.depth - 0.2:
        room.put(model, at, np.arctan2(towards[0], towards[2]) + rng.normal(0, 0.3), claim=False)


def add_table(room: Room):
    """A table with chairs around it."""
    rng, furniture = room.rng, room.furniture
    model = furniture.tables[rng.integers(len(furniture.tables))]
    if max(model.width, model.depth) + 1 > min(room.width, room.depth):
        return
    x = rng.uniform(model.width / 2 + 0.3, room.width - model.width / 2 - 0.3)
    z = rng.uniform(model.depth / 2 + 0.3, room.depth - model.depth / 2 - 0.3)
    turn = rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + rng.normal(0, 0.08)
    if not room.put(model, (x, 0, z), turn):
        return
    seat = furniture.seats[rng.integers(len(furniture.seats))]
    cos, sin = np.cos(turn), np.sin(turn)
    for across in np.arange(-model.width / 2 + 0.35, model.width / 2, 0.65):
        for face in (1, -1):
            if rng.random() < 0.6:
                out = model.depth / 2 + rng.uniform(-0.1, 0.35)
                spot = (x + across * cos + face * out * sin, 0, z - across * sin + face * out * cos)
                inside = 0.2 < spot[0] < room.width - 0.2 and 0.2 < spot[2] < room.depth - 0.2
                if inside:
                    # chairs reach under tables, so they claim no room of their own
                    room.put(seat, spot, turn + (np.pi if face > 0 else 0) + rng.normal(0, 0.25), claim=False)


def add_rug(room: Room):
    """A flat rug or a printed mat."""
    rng = room.rng
    w, d = rng.uniform(0.8, min(3.0, room.width)), rng.uniform(0.8, min(3.0, room.depth))
    x, z = rng.uniform(w / 2, room.width - w / 2 + 0.01), rng.uniform(d / 2, room.depth - d / 2 + 0.01)
    material = Material(
        (0.9,) * 3, room.bank.pattern(rng, "carpet", "fabric") if rng.random() < 0.8 else room.bank.photo(rng)
    )
    room.scene.add(BOX, place(x, 0, z, rng.normal(0, 0.2), (w, 0.012, d)), material)


def scatter(room, spot: Placed, count: int, large=False):
    """Small things on a surface, apart from each other."""
    rng, furniture = room.rng, room.furniture
    taken: list[tuple[float, float, float]] = []
    cluster = rng.uniform(spot.low, spot.high) if rng.random() < 0.4 else None
    for _ in range(count):
        kind = rng.random()
        model, mesh, materials, scale = None, None, None, 1.0
        if kind < 0.55:
            pool = furniture.tiny if rng.random() < 0.4 and not large else furniture.small
            model = pool[rng.integers(len(pool))]
            mesh = furniture.catalogue.mesh(model)
            if mesh is None:
                continue
            scale = rng.uniform(0.8, 1.25)
            size = np.array([model.width, model.height, model.depth]) * scale
            materials, scale = dressed(rng, room.bank, mesh), (scale,) * 3
        elif kind < 0.85:
            size = np.exp(rng.uniform(np.log(0.03), np.log(0.35 if not large else 0.6), 3))
            if rng.random() < 0.4:
                size[1] = rng.uniform(0.01, 0.06)  # books, plates, phones, paper
            mesh, scale = BOX, tuple(size)
            texture = (
                room.bank.photo(rng)
                if rng.random() < 0.6
                else room.bank.pattern(rng, "wood", "fabric", "metal", "plaster")
            )
            materials = Material(tuple(color(rng, (0, 0.5), (0.4, 1.0)) ** 1.5), texture, gloss=rng.uniform(0, 0.4))
            if rng.random() < 0.25:
                materials = replace(materials, texture=None)
        else:
            width, height = rng.uniform(0.04, 0.16), rng.uniform(0.04, 0.32)
            mesh, size = vessel(rng), np.array([width, height, width])
            scale = tuple(size)
            texture = (
                room.bank.photo(rng)
                if rng.random() < 0.3
                else room.bank.pattern(rng, "plaster", "stone", "metal", "wood")
                if rng.random() < 0.5
                else None
            )
            materials = Material(
                tuple(color(rng, (0, 0.7), (0.2, 1.0)) ** 1.8), texture, gloss=rng.uniform(0, 0.8), shininess=80
            )
        reach = 0.45 * np.hypot(size[0], size[2])
        span = (spot.high - spot.low)[[0, 2]] / 2 - reach * 0.7
        if (span < 0).any():
            continue
        for _ in range(6):
            at = (spot.low + spot.high)[[0, 2]] / 2 + rng.uniform(-span, span)
            if cluster is not None:
                at = np.clip(
                    cluster[[0, 2]] + rng.normal(0, 0.25, 2),
                    (spot.low[[0, 2]] + reach * 0.7),
                    (spot.high[[0, 2]] - reach * 0.7),
                )
            if all(np.hypot(at[0] - x, at[1] - z) > r + reach for x, z, r in taken):
                break
        else:
            continue
        if large and any(
            (p.low[0] - reach < at[0] < p.high[0] + reach)
            and (p.low[2] - reach < at[1] < p.high[2] + reach)
            and p.low[1] < 0.3
            for p in room.placed
        ):
            continue
        taken.append((at[0], at[1], reach))
        turn = (
            rng.uniform(0, 2 * np.pi)
            if rng.random() < 0.5
            else rng.choice([0, 1, 2, 3]) * np.pi / 2 + rng.normal(0, 0.1)
        )
        room.scene.add(mesh, place(at[0], spot.top, at[1], turn, scale), materials)
        if rng.random() < 0.15 and mesh is BOX:  # another on top
            room.scene.add(
                BOX,
                place(at[0], spot.top + size[1], at[1], turn + rng.normal(0, 0.3), size * rng.uniform(0.5, 1, 3)),
                Material((0.8,) * 3, room.bank.photo(rng)),
            )


def add_pile(room):
    """Boxes and crates stacked in a corner."""
    rng = room.rng
    corner = np.array([rng.choice([0.4, room.width - 0.4]), rng.choice([0.4, room.depth - 0.4])])
    for _ in range(rng.integers(2, 7)):
        size = rng.uniform(0.2, 0.6, 3)
        at = np.clip(corner + rng.normal(0, 0.5, 2), 0.3, [room.width - 0.3, room.depth - 0.3])
        level = (
            sum(1 for p in room.placed if p.what == "pile" and (np.abs((p.low + p.high)[[0, 2]] / 2 - at) < 0.3).all())
            * 0.4
        )
        room.placed.append(
            Placed(
                np.array([at[0] - size[0] / 2, level, at[1] - size[2] / 2]),
                np.array([at[0] + size[0] / 2, level + size[1], at[1] + size[2] / 2]),
                None,
                "pile",
            )
        )
        material = Material(
            (0.75, 0.6, 0.42),
            room.bank.pattern(rng, "plaster", "wood", "stone") if rng.random() < 0.7 else room.bank.photo(rng),
        )
        room.scene.add(BOX, place(at[0], level, at[1], rng.normal(0, 0.3), size), material)
