"""Small things on tables, shelves and floors, and piles of boxes."""

from dataclasses import dataclass, replace

import numpy as np

from .patterns import tint
from .room import Placed, Room
from .scene import Material, Mesh
from .shapes import BOX, place
from .stock import SEATS, SOFAS, pick
from .surfaces import dressed, vessel


@dataclass
class Thing:
    """A mesh to be stood somewhere; `size` metres (3,) once it is scaled by `scale`."""

    mesh: Mesh
    size: np.ndarray
    scale: tuple[float, ...]
    materials: Material | tuple[Material, ...]

    @property
    def reach(self) -> float:
        """Radius of a circle that holds nearly all of its footprint."""
        return 0.45 * np.hypot(self.size[0], self.size[2])


def scatter_on_top(room: Room, spot: Placed) -> None:
    """Things on a piece of furniture, few on soft ones, none where it is too high, too low or too narrow."""
    if spot.top is None or not 0.25 < spot.top < 1.7 or spot.sides.min() <= 0.25:
        return
    many = room.rng.uniform(0, 14) * min(1.5, spot.sides.prod() + 0.3)
    soft = spot.named((*SOFAS, *SEATS, "bed", "chair"))
    scatter(room, spot, int(min(2, many / 6) if soft else many))


def scatter_on_floor(room: Room) -> None:
    """Things on the floor, where no furniture stands."""
    floor = Placed(np.zeros(3), np.array([room.width, 0, room.depth]), 0.0)
    scatter(room, floor, int(room.rng.uniform(0, 1) ** 2 * 14), large=True)


def scatter(room: Room, spot: Placed, count: int, large: bool = False) -> None:
    """Up to `count` small things on a surface, apart from each other; `large`: no tiny ones, and off the furniture."""
    rng = room.rng
    taken: list[tuple[float, float, float]] = []  # x, z and reach
    cluster = rng.uniform(spot.low, spot.high)[[0, 2]] if rng.random() < 0.4 else None
    for _ in range(count):
        kind = rng.random()
        thing = draw_model(room, large) if kind < 0.55 else draw_box(room, large) if kind < 0.85 else draw_vessel(room)
        at = None if thing is None else find_place(rng, spot, thing.reach, cluster, taken)
        if at is None or large and under_furniture(room, at, thing.reach):
            continue
        taken.append((*at, thing.reach))
        quarter = rng.random() >= 0.5
        turn = rng.choice(4) * np.pi / 2 + rng.normal(0, 0.1) if quarter else rng.uniform(0, 2 * np.pi)
        room.scene.add(thing.mesh, place(at[0], spot.top, at[1], turn, thing.scale), thing.materials)
        if rng.random() < 0.15 and thing.mesh is BOX:  # another on top
            turn, size = turn + rng.normal(0, 0.3), thing.size * rng.uniform(0.5, 1, 3)
            lid = place(at[0], spot.top + thing.size[1], at[1], turn, size)
            room.scene.add(BOX, lid, Material((0.8,) * 3, room.bank.photo(rng)))


def draw_model(room: Room, large: bool) -> Thing | None:
    """A model of the catalogue; None if it has no mesh."""
    rng, furniture = room.rng, room.furniture
    model = pick(rng, furniture.tiny if rng.random() < 0.4 and not large else furniture.small)
    mesh = furniture.catalogue.mesh(model)
    if mesh is None:
        return None
    scale = rng.uniform(0.8, 1.25)
    size = np.array([model.width, model.height, model.depth]) * scale
    return Thing(mesh, size, (scale,) * 3, dressed(rng, room.bank, mesh))


def draw_box(room: Room, large: bool) -> Thing:
    """A box in a photograph or pattern, often flat as books, plates, phones and paper are."""
    rng, bank = room.rng, room.bank
    size = np.exp(rng.uniform(np.log(0.03), np.log(0.6 if large else 0.35), 3))
    if rng.random() < 0.4:
        size[1] = rng.uniform(0.01, 0.06)
    printed = rng.random() < 0.6
    texture = bank.photo(rng) if printed else bank.pattern(rng, "wood", "fabric", "metal", "plaster")
    material = Material(tint(rng, (0, 0.5), (0.4, 1.0), 1.5), texture, gloss=rng.uniform(0, 0.4))
    if rng.random() < 0.25:
        material = replace(material, texture=None)
    return Thing(BOX, size, tuple(size), material)


def draw_vessel(room: Room) -> Thing:
    rng, bank = room.rng, room.bank
    width, height = rng.uniform(0.04, 0.16), rng.uniform(0.04, 0.32)
    mesh, size, texture = vessel(rng), np.array([width, height, width]), None
    if rng.random() < 0.3:
        texture = bank.photo(rng)
    elif rng.random() < 0.5:
        texture = bank.pattern(rng, "plaster", "stone", "metal", "wood")
    tone = tint(rng, (0, 0.7), (0.2, 1.0), 1.8)
    return Thing(mesh, size, tuple(size), Material(tone, texture, gloss=rng.uniform(0, 0.8), shininess=80))


def find_place(
    rng: np.random.Generator, spot: Placed, reach: float, cluster: np.ndarray | None, taken: list
) -> np.ndarray | None:
    """
    Where on a surface a thing of radius `reach` has room beside those that are `taken`, near `cluster` if given.

    Returns:
        x and z (2,), or None after six tries or if the surface is too small.
    """
    low, high = spot.low[[0, 2]], spot.high[[0, 2]]
    span = spot.sides / 2 - reach * 0.7
    if (span < 0).any():
        return None
    for _ in range(6):
        at = (low + high) / 2 + rng.uniform(-span, span)
        if cluster is not None:
            at = np.clip(cluster + rng.normal(0, 0.25, 2), low + reach * 0.7, high - reach * 0.7)
        if all(np.hypot(at[0] - x, at[1] - z) > r + reach for x, z, r in taken):
            return at
    return None


def under_furniture(room: Room, at: np.ndarray, reach: float) -> bool:
    """Whether a thing of radius `reach` on the floor would touch what stands there."""
    return any(
        (p.low[[0, 2]] - reach < at).all() and (at < p.high[[0, 2]] + reach).all() and p.low[1] < 0.3
        for p in room.placed
    )


def add_pile(room: Room) -> None:
    """Boxes and crates stacked in a corner."""
    rng, bank = room.rng, room.bank
    corner = np.array([rng.choice([0.4, room.width - 0.4]), rng.choice([0.4, room.depth - 0.4])])
    for _ in range(rng.integers(2, 7)):
        size = rng.uniform(0.2, 0.6, 3)
        x, z = at = np.clip(corner + rng.normal(0, 0.5, 2), 0.3, [room.width - 0.3, room.depth - 0.3])
        below = [p for p in room.placed if p.what == "pile" and (np.abs(p.middle[[0, 2]] - at) < 0.3).all()]
        floor = np.array([x, len(below) * 0.4, z])
        half = size * [0.5, 0, 0.5]
        room.placed.append(Placed(floor - half, floor + half + [0, size[1], 0], None, "pile"))
        texture = bank.pattern(rng, "plaster", "wood", "stone") if rng.random() < 0.7 else bank.photo(rng)
        crate = Material((0.75, 0.6, 0.42), texture)
        room.scene.add(BOX, place(*floor, turn=rng.normal(0, 0.3), scale=size), crate)
