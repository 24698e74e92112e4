"""A street as a car sees it, and as people on its pavement do."""

import numpy as np

from .outdoors import POLE, Outdoors
from .patterns import color
from .scene import Camera, Material
from .shapes import BOX, place
from .surfaces import surface


def build_street(world: Outdoors) -> tuple[Camera, Camera]:
    """Fills the world; returns what a driver sees and what somebody on the pavement sees."""
    rng, bank, scene = world.rng, world.bank, world.scene
    rural = rng.random() < 0.3
    half = rng.uniform(2.4, 4) if rng.random() < 0.6 else rng.uniform(4, 9)
    grass = surface(rng, bank, "grass", metres=rng.uniform(1.5, 5))
    paving = surface(rng, bank, "asphalt", "tiles", "stone", "bricks", metres=rng.uniform(0.8, 2.5))
    world.ground(grass if rural or rng.random() < 0.5 else paving)
    road = Material(tuple(color(rng, (0, 0.06), (0.5, 1)) ** 1.5), bank.pattern(rng, "asphalt"), rng.uniform(2, 6))
    scene.add(BOX, place(0, 0, -100, scale=(2 * half, 0.01, 300)), road, casts_shadow=False)
    paint = Material((0.75,) * 3, bank.pattern(rng, "plaster"), 1.0)
    if rng.random() < 0.6:
        step = rng.choice([3.0, 6.0, 12.0])
        for z in np.arange(5, -90, -step):
            scene.add(BOX, place(0, 0.012, z, scale=(0.13, 0.003, step * 0.5)), paint, casts_shadow=False)
    if rng.random() < 0.4:
        for x in (-half + 0.3, half - 0.3):
            scene.add(BOX, place(x, 0.012, -100, scale=(0.12, 0.003, 300)), paint, casts_shadow=False)
    lane = rng.uniform(-0.5, 0.5) * half if half > 3 else rng.uniform(-0.3, 0.3)
    cross = -rng.uniform(14, 60) if rng.random() < 0.25 else None  # a crossing street: a gap in the houses
    for side in (-1, 1):
        kerb = half + (rng.uniform(0, 2.2) if rng.random() < 0.5 else 0)
        walk = rng.uniform(1.2, 4)
        rise = rng.uniform(0.05, 0.16)
        scene.add(
            BOX,
            place(side * (kerb + walk / 2), 0, -100, scale=(walk, rise, 300)),
            paving if rng.random() < 0.8 else grass,
            casts_shadow=False,
        )
        style = rng.choice(
            ["houses", "garden", "trees", "wall", "open"],
            p=[0.4, 0.25, 0.18, 0.07, 0.1] if not rural else [0.05, 0.15, 0.5, 0.1, 0.2],
        )
        front = kerb + walk + (rng.uniform(0, 1.5) if style == "houses" else rng.uniform(2, 9))
        z = rng.uniform(0, 12)
        while z > -130:
            width = rng.uniform(5, 22)
            gap = cross is not None and z - width < cross + 5 and z > cross - 5
            if not gap:
                far_enough = style in ("houses", "garden") or rng.random() < 0.25
                if far_enough:
                    back = front + abs(rng.normal(0, 0.8))
                    world.house(
                        side * back,
                        z - width / 2,
                        -side * np.pi / 2,
                        width,
                        rng.uniform(6, 12),
                        rng.uniform(3, 8) if style == "garden" else rng.uniform(5, 18),
                    )
                if style in ("trees", "open") and rng.random() < 0.8:
                    for _ in range(rng.integers(1, 6)):
                        (world.tree if rng.random() < 0.5 else world.bush)(
                            side * rng.uniform(kerb + walk, kerb + walk + 14), z - rng.uniform(0, width)
                        )
            z -= width + (rng.uniform(0, 6) if rng.random() < 0.4 else 0)
        border = kerb + walk + 0.3
        if style in ("garden", "wall", "trees") and rng.random() < 0.7:
            if rng.random() < 0.5:
                material, thick = (
                    Material(tuple(color(rng, (0, 0.3), (0.6, 1))), bank.pattern(rng, "leaves"), 1.2),
                    rng.uniform(0.4, 1),
                )
            else:
                material, thick = (
                    surface(rng, bank, "bricks", "stone", "plaster", "planks", "metal"),
                    rng.uniform(0.1, 0.4),
                )
            z = rng.uniform(-2, 8)
            while z > -110:
                length = rng.uniform(4, 25)
                world.hedge(side * border, z, z - length, rng.uniform(0.7, 2.4), thick, material)
                z -= length + rng.uniform(1, 8)
        if rng.random() < 0.6:  # parked cars
            z, turn = rng.uniform(-9, 3), 0 if side > 0 else np.pi
            density = rng.uniform(0.2, 0.95)
            while z > -90:
                if rng.random() < density:
                    world.car(
                        side * (half - (0.9 if kerb == half else -0.9 * min(1, kerb - half))) + rng.normal(0, 0.08),
                        z,
                        turn + rng.normal(0, 0.03),
                    )
                z -= rng.uniform(5, 7)
        for _ in range(rng.integers(0, 9)):
            world.tree(side * rng.uniform(kerb + 0.3, kerb + walk + 8), -rng.uniform(4, 90))
        for _ in range(rng.integers(0, 5)):
            world.bush(side * rng.uniform(kerb + walk * 0.8, kerb + walk + 5), -rng.uniform(3, 60))
        for _ in range(rng.integers(0, 6)):
            world.sign(side * (kerb + rng.uniform(0.2, 0.8)), -rng.uniform(4, 70))
        step, z = rng.uniform(12, 35), -rng.uniform(2, 15)
        if rng.random() < 0.6:
            height, grey = rng.uniform(4, 9), Material((0.25, 0.26, 0.27), gloss=0.1)
            while z > -110:
                scene.add(POLE, place(side * (kerb + 0.4), 0, z, scale=(0.18, height, 0.18)), grey)
                scene.add(BOX, place(side * (kerb - 0.6), height - 0.1, z, scale=(2.2, 0.09, 0.12)), grey)
                z -= step
        for models, count in ((world.things.standing, 4), (world.things.bikes, 3), (world.things.street, 4)):
            for _ in range(rng.integers(0, count) if rng.random() < 0.6 else 0):
                world.put(
                    world.pick(models),
                    side * rng.uniform(kerb + 0.3, kerb + walk),
                    -rng.uniform(4, 45),
                    rng.uniform(0, 6.3),
                    y=rise,
                )
    for _ in range(rng.integers(0, 5) if rng.random() < 0.75 else 0):
        z = -np.exp(rng.uniform(np.log(6), np.log(80)))
        own = rng.random() < 0.5
        x = lane + rng.normal(0, 0.3) if own else -np.sign(lane or 1) * half * 0.5
        world.car(x, z if not own else min(z, -8), np.pi if own else 0)
    if rng.random() < 0.4:  # what closes the view
        z = -rng.uniform(45, 120)
        if rng.random() < 0.5:
            for x in np.arange(-40, 40, rng.uniform(3, 7)):
                world.tree(x, z + rng.normal(0, 4))
        else:
            world.house(rng.uniform(-6, 6), z, 0, rng.uniform(12, 50), 12, rng.uniform(5, 20))
    eye = np.array([lane, rng.uniform(1.35, 2.0), 0.0])
    yaw = rng.normal(0, 0.06) if rng.random() < 0.85 else rng.uniform(-0.6, 0.6)
    pitch = rng.normal(-0.02, 0.03)
    target = eye + [np.sin(yaw), np.tan(pitch), -np.cos(yaw)]
    driver = Camera(eye, target, rng.uniform(1.2, 1.5), rng.normal(0, 0.01))
    # the same street from the pavement
    side = rng.choice([-1, 1])
    walker = np.array([side * (half + rng.uniform(0.3, 2.5)), rng.uniform(1.2, 1.9), rng.uniform(-12, 0)])
    yaw = rng.uniform(-1.2, 1.2)
    pedestrian = Camera(
        walker,
        walker + [np.sin(yaw), rng.uniform(-0.25, 0.15), -np.cos(yaw)],
        rng.uniform(0.8, 1.3),
        rng.normal(0, 0.03),
    )
    return driver, pedestrian
