"""Gardens, squares and yards."""

import numpy as np

from .outdoors import Outdoors
from .scene import Camera
from .shapes import BOX, blob, place
from .stock import pick
from .surfaces import surface

GROUNDS = ("grass", "grass", "stone", "tiles", "bricks", "planks", "asphalt")
"""Patterns, one twice to make it more frequent."""


def build_yard(world: Outdoors) -> Camera:
    """Fills the world; returns somebody's view of it."""
    rng, bank = world.rng, world.bank
    world.ground(surface(rng, bank, *GROUNDS, metres=rng.uniform(0.8, 3)))
    backdrop = rng.uniform(4, 40)
    add_backdrop(world, backdrop)
    for models, most in ((world.things.garden, 9), (world.things.people, 6), (world.things.bikes, 3)):
        for _ in range(rng.integers(0, most)):
            far = np.exp(rng.uniform(np.log(1.2), np.log(max(2.5, backdrop * 0.9))))
            world.put(pick(rng, models), rng.uniform(-0.7, 0.7) * far, -far, rng.uniform(0, 6.3))
    for _ in range(rng.integers(0, 8)):
        far = rng.uniform(3, backdrop + 10)
        world.draw_plant()(rng.uniform(-0.9, 0.9) * far, -far)
    for _ in range(rng.integers(0, 10)):
        far, size = np.exp(rng.uniform(np.log(1), np.log(12))), rng.uniform(0.1, 0.8)
        material, rock = surface(rng, bank, "stone", "asphalt", "rust"), blob(rng, 0.3)
        at = (rng.uniform(-0.8, 0.8) * far, -size * 0.2, -far)
        world.scene.add(rock, place(*at, rng.uniform(0, 6), rng.uniform(0.5, 1.2, 3) * size), material)
    for _ in range(rng.integers(0, 3)):
        world.car(rng.uniform(-8, 8), -rng.uniform(4, 25), rng.uniform(0, 6.3))
    eye = np.array([0.0, rng.uniform(0.3, 2.2), 0.6])
    target = eye + [rng.normal(0, 0.15), rng.uniform(-0.45, 0.2), -1]
    return Camera(eye, target, rng.uniform(0.6, 1.25), rng.normal(0, 0.03))


def add_backdrop(world: Outdoors, distance: float) -> None:
    """A house or a row of plants at a distance in metres, or nothing, and at times a wall before it."""
    rng = world.rng
    kind = rng.random()
    if kind < 0.5:
        at, turn = (rng.uniform(-4, 4), -distance), rng.normal(0, 0.3)
        world.house(*at, turn, (rng.uniform(8, 30), 8, rng.uniform(3, 14)))
    elif kind < 0.8:
        for x in np.arange(-distance, distance, rng.uniform(1.5, 4)):
            world.draw_plant()(x, -distance + rng.normal(0, 2))
    if rng.random() < 0.4:
        material = surface(rng, world.bank, "bricks", "stone", "planks", "leaves", "metal")
        wall = place(0, 0, -distance * 0.8, rng.normal(0, 0.2), (40, rng.uniform(0.8, 2.5), 0.3))
        world.scene.add(BOX, wall, material)
