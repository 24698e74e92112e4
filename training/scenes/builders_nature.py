"""Open country on a height field: meadows, woods, rocks, snow, dunes, with trees, boulders, fences and a hut."""

import math

import numpy as np

from . import palette as P
from . import street_objects as S
from . import vehicles
from .camera import DEGREE, clipped_gauss, focal_of
from .outdoor_light import draw_weather
from .people import person
from .scene import Frame

SIZE = 129


def _ramp(cells):
    """(SIZE, cells + 1) smooth interpolation weights from a coarse grid to the map."""
    place = np.linspace(0, cells, SIZE)
    low = np.minimum(place.astype(int), cells - 1)
    weight = place - low
    weight = weight * weight * (3 - 2 * weight)
    matrix = np.zeros((SIZE, cells + 1))
    matrix[np.arange(SIZE), low] = 1 - weight
    matrix[np.arange(SIZE), low + 1] += weight
    return matrix


_RAMPS = {cells: _ramp(cells) for cells in (3, 6, 12, 24, 48)}


def fractal_heights(rng, amplitude, gain):
    """Height map (SIZE, SIZE) of fractal noise, zero mean."""
    total = np.zeros((SIZE, SIZE))
    for cells, ramp in _RAMPS.items():
        grid = np.array([rng.random() - 0.5 for _ in range((cells + 1) ** 2)]).reshape(cells + 1, cells + 1)
        total += amplitude * (ramp @ grid @ ramp.T)
        amplitude *= gain
    return total


class Land:
    """Height map over +-half metres with a lookup on the builder's side."""

    def __init__(self, heights, half):
        self.heights, self.half = heights, half

    def at(self, x, y):
        place = [(v / self.half + 1) / 2 * (SIZE - 1) for v in (x, y)]
        column, row = (min(SIZE - 2, max(0, int(v))) for v in place)
        fx, fy = place[0] - column, place[1] - row
        h = self.heights
        top = h[row, column] * (1 - fx) + h[row, column + 1] * fx
        return float(top * (1 - fy) + (h[row + 1, column] * (1 - fx) + h[row + 1, column + 1] * fx) * fy)


def build_terrain(scene):
    """Open country seen by a walker, now and then from a hill or a drone."""
    rng = scene.rng
    draw_weather(scene)
    half = rng.uniform(40, 110)
    land = Land(fractal_heights(rng, 10 ** rng.uniform(0.0, 1.25), rng.uniform(0.35, 0.55)), half)
    scene.terrain(land.heights, half, P.ground(scene, rng.choice(("grass", "grass", "grass", None))))
    low = float(land.heights.min())
    scene.floor(Frame(0, 0, low - 0.2), 0, 0, 0, 600, 600, P.ground(scene), shadow=0)
    x, y = rng.uniform(-0.3, 0.3) * half, -0.6 * half
    eye = clipped_gauss(rng, 1.6, 0.4, 0.7, 3) if rng.random() < 0.8 else rng.uniform(3, 15)
    eye_height = land.at(x, y) + eye
    wide = scene.width >= 1.9 * scene.height
    fov = clipped_gauss(rng, 80 if wide else 60, 12, 35, 100)
    pitch = clipped_gauss(rng, -3 - eye * 0.8, 5, -35, 12)
    yaw = rng.gauss(0, 20) * DEGREE
    scene.look((x, y, eye_height), yaw, pitch * DEGREE, rng.gauss(0, 1.5) * DEGREE, focal_of(scene, fov))

    def spot(near=2.5, far=95.0):
        """A place in view, nearer ones likelier."""
        distance = near * (far / near) ** rng.random()
        angle = yaw + rng.uniform(-0.6, 0.6) * fov * DEGREE
        px, py = x - math.sin(angle) * distance, y + math.cos(angle) * distance
        if max(abs(px), abs(py)) > half * 0.97:
            return None, distance
        return Frame(px, py, land.at(px, py), rng.random() * 6.28), distance

    leaves, bark = P.leaves(scene), P.bark(scene)
    rock = scene.material(
        rng.choice(P.TEXTURE_IDS["plaster"]),
        1.5,
        P.grey(rng, 0.2, 0.7),
        P.brown(rng),
        bump=1.5,
        dirt=0.4,
        dirt_scale=1.5,
    )
    for things, count in (
        ("tree", rng.choice((0, 2, 6, 14, 22))),
        ("bush", rng.choice((0, 3, 10))),
        ("rock", rng.choice((0, 2, 10))),
    ):
        for _ in range(count):
            frame, distance = spot(5.0 if things == "tree" else 3.0)
            if frame is None:
                continue
            if things == "tree":
                draw = rng.random()
                if draw < 0.65:
                    S.tree(scene, frame, near=distance < 40, bark=bark, leaves=leaves if rng.random() < 0.7 else None)
                else:
                    (S.conifer if draw < 0.85 else S.bare_tree)(scene, frame)
            elif things == "bush":
                S.bush(scene, frame, leaves=leaves if rng.random() < 0.5 else None)
            else:
                size = 10 ** rng.uniform(-0.8, 0.35)
                scene.ellipsoid(
                    frame, 0, 0, size * 0.2, size, size * rng.uniform(0.6, 1), size * rng.uniform(0.4, 0.9), rock
                )
    extras = ((S.house, 0.15, 18), (S.fence, 0.3, 5), (S.sign, 0.15, 4), (vehicles.car, 0.1, 7), (person, 0.3, 3))
    for make, chance, near in extras:
        while rng.random() < chance:
            frame, _ = spot(near)
            if frame is not None:
                {S.house: lambda f: S.house(scene, f, 1), S.fence: lambda f: S.fence(scene, f, 14)}.get(
                    make, lambda f, m=make: m(scene, f)
                )(frame)
    for _ in range(rng.randint(0, 5)):
        angle, distance = yaw + rng.uniform(-0.7, 0.7), rng.uniform(200, 400)
        hill = Frame(x - math.sin(angle) * distance, y + math.cos(angle) * distance, low)
        scene.ellipsoid(
            hill,
            0,
            0,
            -5,
            rng.uniform(60, 160),
            rng.uniform(60, 120),
            rng.uniform(15, 90),
            P.ground(scene, "grass"),
            shadow=0,
        )
