"""Scenes for variety: random solids on a floor or in the air, and close-ups of things on a table."""

import math

from . import furniture as F
from . import layout as L
from . import palette as P
from .builders_indoor import indoor_light
from .camera import clipped_gauss, hand_held
from .outdoor_light import draw_weather
from .room_shell import wall_frames
from .scene import Frame, random_axes


def _solid(scene, centre, size, tilted):
    rng = scene.rng
    kind = rng.choices((L.BOX, L.FRUSTUM, L.ELLIPSOID, L.CYLINDER, L.FOLIAGE), (34, 14, 22, 24, 6))[0]
    half = [size * 10 ** rng.uniform(-0.7, 0.1) for _ in range(3)]
    extra = (0.0, 0.0, 0.0, 0.0)
    if kind == L.CYLINDER:
        half[1], extra = half[0], (max(1e-3, rng.choice((1.0, rng.random(), 0.0))), 0.0, 0.0, 0.0)
    elif kind == L.FRUSTUM:
        extra = (rng.uniform(0.05, 1), rng.uniform(0.05, 1), rng.uniform(-0.1, 0.1), 0.0)
        extra = (min(extra[0], 0.85), extra[1], extra[2], 0.0)
    elif kind == L.FOLIAGE:
        extra = (rng.uniform(0.2, 0.7), size * rng.uniform(0.5, 3), rng.random(), 0.0)
    axes = random_axes(rng) if tilted else None
    x, y, z = centre
    if not tilted:
        z += half[2]
    scene.add(kind, (x, y, z), half, P.anything(scene), yaw=rng.random() * 6.28, axes=axes, extra=extra)


def build_solids(scene):
    """Random solids with random materials in a box room or under the sky, near and far."""
    rng = scene.rng
    inside = rng.random() < 0.5
    eye = clipped_gauss(rng, 1.4, 0.5, 0.4, 3.5)
    hand_held(scene, (0, 0, eye), 0.0, pitch_mean=-8)
    reach = 10 ** rng.uniform(0.5, 1.1) if inside else 10 ** rng.uniform(0.7, 1.8)
    if inside:
        width, height = reach * rng.uniform(0.6, 1.4), max(eye + 0.4, rng.uniform(2, 5))
        shift = rng.uniform(0.3, 0.7) * width
        for frame, half in wall_frames(width, reach + 1):
            scene.wall(
                frame.__class__(frame.x - shift, frame.y - 1, 0, frame.yaw),
                0,
                0,
                0,
                half,
                height / 2,
                P.anything(scene),
                shadow=0,
            )
        scene.floor(Frame(), 0, 0, height, 3 * reach, 3 * reach, P.anything(scene), shadow=0)
        indoor_light(scene, width, reach, height, (width / 2 - shift, reach / 2, height - 0.4))
        scene.environment["room"] = (-shift, width - shift, -1, reach, 0, height)
    else:
        draw_weather(scene)
    scene.floor(Frame(0, reach), 0, 0, 0, 500, 500, P.anything(scene), shadow=0)
    floating = rng.random() < 0.3
    for _ in range(rng.randint(8, 60)):
        y = 0.8 * (reach / 0.8) ** rng.random()
        x = rng.uniform(-0.75, 0.75) * y
        size = min(0.3 * y, reach * 0.12) * 10 ** rng.uniform(-0.6, 0.2)
        z = rng.uniform(0, 2 * eye) if floating else 0.0
        if math.hypot(x, y) > 1.8 * size + 0.3:
            _solid(scene, (x, y, z), size, floating or rng.random() < 0.2)


def build_tabletop(scene):
    """A cluttered table or counter seen from close by, a wall behind it."""
    rng = scene.rng
    height, hx, hy = rng.uniform(0.6, 0.95), rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.6)
    behind = rng.uniform(0.7, 4)
    room = Frame(0, behind + hy)
    scene.floor(Frame(), 0, 0, 0, 9, 9, P.flooring(scene), shadow=0)
    scene.floor(Frame(), 0, 0, 2.6, 9, 9, P.painted(scene), shadow=0)
    scene.wall(room, 0, 0, 0, 5, 1.3, P.painted(scene), shadow=0)
    for side in (-1, 1):
        scene.wall(Frame(side * rng.uniform(1.2, 4)), 0, 0, 0, 9, 1.3, P.painted(scene), yaw=1.5708, shadow=0)
    scene.wall(Frame(0, -3.5), 0, 0, 0, 5, 1.3, P.painted(scene), shadow=0)
    if behind > 1.2:
        F.cabinet(scene, room.child(rng.uniform(-1, 1), -0.3), rng.uniform(0.3, 0.9), 0.25, rng.uniform(0.4, 2))
        F.chair(scene, room.child(rng.uniform(-1, 1), -behind + 0.4))
    top = P.wooden(scene) if rng.random() < 0.7 else P.anything(scene)
    scene.box(Frame(), 0, 0, height - 0.04, hx, hy, 0.02, top)
    F.legs(scene, Frame(), hx, hy, height - 0.04, 0.03, top)
    F.clutter(scene, Frame(), height, hx, hy, rng.randint(5, 22), rng.uniform(0.1, 0.3))
    if rng.random() < 0.4:
        F.plant(scene, Frame(rng.uniform(-0.6, 0.6) * hx, hy * 0.5, height), rng.uniform(0.2, 0.5))
    distance = rng.uniform(0.35, 1.1)
    x, y = rng.uniform(-0.3, 0.3) * hx, -hy - distance
    eye = height + distance * rng.uniform(0.2, 1.1)
    pitch = -math.degrees(math.atan2(eye - height - 0.1, distance + hy)) * rng.uniform(0.6, 1.1)
    hand_held(scene, (x, y, eye), rng.gauss(0, 0.2), pitch_mean=pitch, pitch_deviation=5, low=-60)
    indoor_light(scene, 4, 5, 2.6, (rng.uniform(-1.5, 1.5), rng.uniform(-2, behind), 1.6))
    scene.environment["room"] = (0, 0, 0, 0, 0, 0)
