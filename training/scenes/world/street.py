"""A street as a car sees it, and as people on its pavement do."""

from dataclasses import dataclass

import numpy as np

from .outdoors import POLE, Outdoors
from .patterns import tint
from .scene import Camera, Material
from .shapes import BOX, place
from .stock import pick
from .surfaces import surface

STYLES = ("houses", "garden", "trees", "wall", "open")
TOWN, COUNTRY = (0.4, 0.25, 0.18, 0.07, 0.1), (0.05, 0.15, 0.5, 0.1, 0.2)
"""How frequent each of the styles is."""


@dataclass
class Road:
    """
    Attributes:
        half: half of its width, metres. lane: where the car drives, x.
        crossing: z of a street that crosses it, a gap in the houses, or None.
    """

    rural: bool
    half: float
    grass: Material
    paving: Material
    lane: float
    crossing: float | None


@dataclass
class Roadside:
    """
    What lies on one side of the road.

    Attributes:
        side: -1 left, 1 right. kerb, back: where the pavement begins and ends, metres from the road's middle.
        style: one of `STYLES`.
    """

    side: int
    kerb: float
    back: float
    style: str


def build_street(world: Outdoors) -> tuple[Camera, Camera]:
    """Fills the world; returns what a driver sees and what somebody on the pavement sees."""
    rng = world.rng
    road = add_road(world)
    for side in (-1, 1):
        add_roadside(world, road, side)
    for _ in range(rng.integers(0, 5) if rng.random() < 0.75 else 0):
        z = -np.exp(rng.uniform(np.log(6), np.log(80)))
        own = rng.random() < 0.5
        x = road.lane + rng.normal(0, 0.3) if own else -np.sign(road.lane or 1) * road.half * 0.5
        world.car(x, z if not own else min(z, -8), np.pi if own else 0)
    if rng.random() < 0.4:
        close_view(world)
    return driver(rng, road), pedestrian(rng, road)


def add_road(world: Outdoors) -> Road:
    """The ground, the road and what is painted on it."""
    rng, bank, scene = world.rng, world.bank, world.scene
    rural = rng.random() < 0.3
    half = rng.uniform(2.4, 4) if rng.random() < 0.6 else rng.uniform(4, 9)
    grass = surface(rng, bank, "grass", metres=rng.uniform(1.5, 5))
    paving = surface(rng, bank, "asphalt", "tiles", "stone", "bricks", metres=rng.uniform(0.8, 2.5))
    world.ground(grass if rural or rng.random() < 0.5 else paving)
    asphalt = Material(tint(rng, (0, 0.06), (0.5, 1), 1.5), bank.pattern(rng, "asphalt"), rng.uniform(2, 6))
    world.strip(0, 2 * half, 0, 0.01, asphalt)
    paint = Material((0.75,) * 3, bank.pattern(rng, "plaster"), 1.0)
    if rng.random() < 0.6:
        step = rng.choice([3.0, 6.0, 12.0])
        for z in np.arange(5, -90, -step):
            scene.add(BOX, place(0, 0.012, z, scale=(0.13, 0.003, step * 0.5)), paint, casts_shadow=False)
    if rng.random() < 0.4:
        for x in (-half + 0.3, half - 0.3):
            world.strip(x, 0.12, 0.012, 0.003, paint)
    lane = rng.uniform(-0.5, 0.5) * half if half > 3 else rng.uniform(-0.3, 0.3)
    crossing = -rng.uniform(14, 60) if rng.random() < 0.25 else None
    return Road(rural, half, grass, paving, lane, crossing)


def add_roadside(world: Outdoors, road: Road, side: int) -> None:
    """Pavement, houses, plants, parked cars, lamps, people and things on one side of the road."""
    rng = world.rng
    kerb = road.half + (rng.uniform(0, 2.2) if rng.random() < 0.5 else 0)
    walk, rise = rng.uniform(1.2, 4), rng.uniform(0.05, 0.16)
    pavement = road.paving if rng.random() < 0.8 else road.grass
    world.strip(side * (kerb + walk / 2), walk, 0, rise, pavement)
    here = Roadside(side, kerb, kerb + walk, rng.choice(STYLES, p=COUNTRY if road.rural else TOWN))
    add_houses(world, road, here)
    if here.style in ("garden", "wall", "trees") and rng.random() < 0.7:
        add_hedges(world, here)
    if rng.random() < 0.6:
        park_cars(world, road, here)
    for _ in range(rng.integers(0, 9)):
        world.tree(side * rng.uniform(kerb + 0.3, here.back + 8), -rng.uniform(4, 90))
    for _ in range(rng.integers(0, 5)):
        world.bush(side * rng.uniform(kerb + walk * 0.8, here.back + 5), -rng.uniform(3, 60))
    for _ in range(rng.integers(0, 6)):
        world.sign(side * (kerb + rng.uniform(0.2, 0.8)), -rng.uniform(4, 70))
    add_lamps(world, here)
    for models, most in ((world.things.standing, 4), (world.things.bikes, 3), (world.things.street, 4)):
        for _ in range(rng.integers(0, most) if rng.random() < 0.6 else 0):
            model, x = pick(rng, models), side * rng.uniform(kerb + 0.3, here.back)
            world.put(model, x, -rng.uniform(4, 45), rng.uniform(0, 6.3), y=rise)


def add_houses(world: Outdoors, road: Road, here: Roadside) -> None:
    """Houses or plants behind the pavement, one lot after another."""
    rng, side, style = world.rng, here.side, here.style
    front = here.back + (rng.uniform(0, 1.5) if style == "houses" else rng.uniform(2, 9))
    z = rng.uniform(0, 12)
    while z > -130:
        width = rng.uniform(5, 22)
        crossed = road.crossing is not None and z - width < road.crossing + 5 and z > road.crossing - 5
        if not crossed:
            if style in ("houses", "garden") or rng.random() < 0.25:
                x, depth = side * (front + abs(rng.normal(0, 0.8))), rng.uniform(6, 12)
                height = rng.uniform(3, 8) if style == "garden" else rng.uniform(5, 18)
                world.house(x, z - width / 2, -side * np.pi / 2, (width, depth, height))
            if style in ("trees", "open") and rng.random() < 0.8:
                for _ in range(rng.integers(1, 6)):
                    world.draw_plant()(side * rng.uniform(here.back, here.back + 14), z - rng.uniform(0, width))
        z -= width + (rng.uniform(0, 6) if rng.random() < 0.4 else 0)


def add_hedges(world: Outdoors, here: Roadside) -> None:
    """A broken line of hedges or of walls behind the pavement."""
    rng, bank = world.rng, world.bank
    if rng.random() < 0.5:
        material = Material(tint(rng, (0, 0.3), (0.6, 1)), bank.pattern(rng, "leaves"), 1.2)
        thick = rng.uniform(0.4, 1)
    else:
        material = surface(rng, bank, "bricks", "stone", "plaster", "planks", "metal")
        thick = rng.uniform(0.1, 0.4)
    z = rng.uniform(-2, 8)
    while z > -110:
        length, height = rng.uniform(4, 25), rng.uniform(0.7, 2.4)
        end = z - length
        piece = place(here.side * (here.back + 0.3), 0, (z + end) / 2, scale=(thick, height, z - end))
        world.scene.add(BOX, piece, material)
        z -= length + rng.uniform(1, 8)


def park_cars(world: Outdoors, road: Road, here: Roadside) -> None:
    """Cars along the kerb, on the road or in a bay beside it."""
    rng, bay = world.rng, here.kerb - road.half
    z, turn = rng.uniform(-9, 3), 0 if here.side > 0 else np.pi
    density = rng.uniform(0.2, 0.95)
    while z > -90:
        if rng.random() < density:
            x = here.side * (road.half - (0.9 if bay == 0 else -0.9 * min(1, bay)))
            world.car(x + rng.normal(0, 0.08), z, turn + rng.normal(0, 0.03))
        z -= rng.uniform(5, 7)


def add_lamps(world: Outdoors, here: Roadside) -> None:
    """Now and then a row of street lamps."""
    rng = world.rng
    step, z = rng.uniform(12, 35), -rng.uniform(2, 15)
    if rng.random() < 0.6:
        height, grey = rng.uniform(4, 9), Material((0.25, 0.26, 0.27), gloss=0.1)
        while z > -110:
            pole = place(here.side * (here.kerb + 0.4), 0, z, scale=(0.18, height, 0.18))
            arm = place(here.side * (here.kerb - 0.6), height - 0.1, z, scale=(2.2, 0.09, 0.12))
            world.scene.add(POLE, pole, grey)
            world.scene.add(BOX, arm, grey)
            z -= step


def close_view(world: Outdoors) -> None:
    """What stands at the street's end: trees or a house."""
    rng = world.rng
    z = -rng.uniform(45, 120)
    if rng.random() < 0.5:
        for x in np.arange(-40, 40, rng.uniform(3, 7)):
            world.tree(x, z + rng.normal(0, 4))
    else:
        world.house(rng.uniform(-6, 6), z, 0, (rng.uniform(12, 50), 12, rng.uniform(5, 20)))


def driver(rng: np.random.Generator, road: Road) -> Camera:
    """The view from a car."""
    eye = np.array([road.lane, rng.uniform(1.35, 2.0), 0.0])
    yaw = rng.normal(0, 0.06) if rng.random() < 0.85 else rng.uniform(-0.6, 0.6)
    target = eye + [np.sin(yaw), np.tan(rng.normal(-0.02, 0.03)), -np.cos(yaw)]
    return Camera(eye, target, rng.uniform(1.2, 1.5), rng.normal(0, 0.01))


def pedestrian(rng: np.random.Generator, road: Road) -> Camera:
    """The view from the pavement."""
    side = rng.choice([-1, 1])
    eye = np.array([side * (road.half + rng.uniform(0.3, 2.5)), rng.uniform(1.2, 1.9), rng.uniform(-12, 0)])
    yaw = rng.uniform(-1.2, 1.2)
    target = eye + [np.sin(yaw), rng.uniform(-0.25, 0.15), -np.cos(yaw)]
    return Camera(eye, target, rng.uniform(0.8, 1.3), rng.normal(0, 0.03))
