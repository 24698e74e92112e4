"""Gardens, squares and yards."""

import numpy as np

from .outdoors import Outdoors
from .scene import Camera
from .shapes import BOX, blob, place
from .surfaces import surface


def build_yard(world: Outdoors) -> Camera:
    """Fills the world; returns somebody's view of it."""
    rng, bank = world.rng, world.bank
    world.ground(
        surface(
            rng, bank, "grass", "grass", "stone", "tiles", "bricks", "planks", "asphalt", metres=rng.uniform(0.8, 3)
        )
    )
    backdrop = rng.uniform(4, 40)
    kind = rng.random()
    if kind < 0.5:
        world.house(rng.uniform(-4, 4), -backdrop, rng.normal(0, 0.3), rng.uniform(8, 30), 8, rng.uniform(3, 14))
    elif kind < 0.8:
        for x in np.arange(-backdrop, backdrop, rng.uniform(1.5, 4)):
            (world.tree if rng.random() < 0.5 else world.bush)(x, -backdrop + rng.normal(0, 2))
    if rng.random() < 0.4:
        material = surface(rng, bank, "bricks", "stone", "planks", "leaves", "metal")
        world.scene.add(
            BOX, place(0, 0, -backdrop * 0.8, rng.normal(0, 0.2), (40, rng.uniform(0.8, 2.5), 0.3)), material
        )
    for models, most in ((world.things.garden, 9), (world.things.people, 6), (world.things.bikes, 3)):
        for _ in range(rng.integers(0, most)):
            far = np.exp(rng.uniform(np.log(1.2), np.log(max(2.5, backdrop * 0.9))))
            world.put(world.pick(models), rng.uniform(-0.7, 0.7) * far, -far, rng.uniform(0, 6.3))
    for _ in range(rng.integers(0, 8)):
        far = rng.uniform(3, backdrop + 10)
        (world.tree if rng.random() < 0.5 else world.bush)(rng.uniform(-0.9, 0.9) * far, -far)
    for _ in range(rng.integers(0, 10)):
        far, size = np.exp(rng.uniform(np.log(1), np.log(12))), rng.uniform(0.1, 0.8)
        rock = surface(rng, bank, "stone", "asphalt", "rust")
        world.scene.add(
            blob(rng, 0.3),
            place(rng.uniform(-0.8, 0.8) * far, -size * 0.2, -far, rng.uniform(0, 6), rng.uniform(0.5, 1.2, 3) * size),
            rock,
        )
    for _ in range(rng.integers(0, 3)):
        world.car(rng.uniform(-8, 8), -rng.uniform(4, 25), rng.uniform(0, 6.3))
    eye = np.array([0.0, rng.uniform(0.3, 2.2), 0.6])
    return Camera(
        eye, eye + [rng.normal(0, 0.15), rng.uniform(-0.45, 0.2), -1], rng.uniform(0.6, 1.25), rng.normal(0, 0.03)
    )
