"""Corridors and aisles: long, narrow, with doors or shelves on both sides."""

import math

from . import furniture as F
from . import palette as P
from . import room_shell as R
from .builders_indoor import Floor, indoor_light
from .camera import clipped_gauss, hand_held
from .people import person
from .scene import Frame


def build_corridor(scene):
    """A corridor along +y, or an aisle between shelves, seen lengthwise."""
    rng = scene.rng
    width, depth = rng.uniform(1.1, 3.2), 10 ** rng.uniform(0.8, 1.65)
    height = rng.uniform(2.2, 3.4)
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.25 * depth)
    hand_held(scene, (x, y, clipped_gauss(rng, 1.45, 0.2, 0.8, 1.9)), rng.gauss(0, 0.25), pitch_mean=-4)
    floor = Floor(width, depth)
    floor.taken.append((x, y, 0.4, 0.9))
    middle = Frame(width / 2, depth / 2)
    scene.floor(middle, 0, 0, 0, width / 2 + 8, depth / 2 + 8, P.flooring(scene), shadow=0)
    scene.floor(middle, 0, 0, height, width / 2 + 8, depth / 2 + 8, P.painted(scene, P.grey(rng, 0.6, 0.97)), shadow=0)
    paint, trim = P.painted(scene), P.wooden(scene)
    aisle = rng.random() < 0.25
    for index, (frame, half) in enumerate(R.wall_frames(width, depth)):
        R.pierced_wall(scene, frame, half, height, paint if rng.random() < 0.8 else P.painted(scene))
        R.skirting(scene, frame, half, trim)
        taken = []
        if index in (1, 3):
            pitch = rng.uniform(1.6, 4)
            place = -half + rng.uniform(0.6, pitch)
            while place < half - 0.5 and len(scene.objects) < 120:
                if aisle:
                    spot = frame.child(place, -0.2)
                    if floor.claim(spot, min(0.9, pitch / 2 - 0.05), 0.17):
                        F.shelf(scene, spot, min(0.9, pitch / 2 - 0.05), rng.uniform(1.5, height - 0.1))
                elif rng.random() < 0.8:
                    R.door(scene, frame, place)
                    taken.append((place, 0.5))
                place += pitch
            R.hang_pictures(scene, frame, half, height, taken)
            R.hang_pictures(scene, frame, half, height, taken)
        elif rng.random() < 0.6:
            R.door(scene, frame, 0)
    for _ in range(rng.randint(0, 5)):
        side = rng.choice((-1, 1))
        spot = Frame(width / 2 + side * (width / 2 - 0.25), rng.uniform(0.5, depth - 0.3), 0, -side * math.pi / 2)
        if floor.claim(spot, 0.2, 0.2):
            rng.choice((F.bin_, F.plant, F.cartons, F.chair, person))(scene, spot)
    panel = P.glowing(scene, P.hsv(0.12, rng.random() * 0.2, 1), rng.uniform(2, 7))
    pitch = rng.uniform(2, 5)
    for k in range(min(10, int(depth / pitch))):
        lamp = Frame(width / 2, (k + 0.5) * pitch, height - 0.04)
        scene.box(lamp, 0, 0, 0, rng.uniform(0.1, 0.3), 0.3, 0.02, panel, shadow=0)
    indoor_light(scene, width, depth, height, None)
    for k in range(2):
        scene.lamp((width / 2, depth * (0.3 + 0.5 * k), height - 0.3), [rng.uniform(2, 8)] * 3, 0.2)
