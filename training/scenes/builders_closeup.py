"""Close-ups: one thing, animal or person that fills much of the picture, with what stands beside and behind it."""

import math

from . import crockery as C
from . import furniture as F
from . import palette as P
from .builders_indoor import indoor_light
from .camera import DEGREE, clipped_gauss, indoor_lens
from .outdoor_light import draw_weather
from .people import person
from .scene import Frame


def build_closeup(scene):
    """A still life on a table, or a flower, animal or person, in a room or outside."""
    rng = scene.rng
    subject = rng.choices((_still_life, _flower, _animal, _portrait), (52, 12, 18, 18))[0]
    outside = subject is not _still_life and rng.random() < 0.5
    if outside:
        _outdoors(scene)
    elif subject is not _still_life:  # which has its own room around the table
        _backdrop(scene, rng.uniform(*{_flower: (0.4, 4), _animal: (0.5, 4), _portrait: (0.4, 5)}[subject]))
    middle, reach, pitch = subject(scene)
    _aim(scene, middle, reach, pitch)
    if outside:
        draw_weather(scene)
    else:
        indoor_light(scene, 4, 5, middle[2] + 2.2, (rng.uniform(-1.5, 1.5), rng.uniform(-2, 1), middle[2] + 0.9))
        scene.environment["room"] = (0, 0, 0, 0, 0, 0)


def _aim(scene, middle, reach, pitch):
    """Looks at about `middle` from so far away that `reach` metres are a third to all of the half image."""
    rng = scene.rng
    focal = indoor_lens(scene)
    distance = reach * focal / (0.5 * scene.height * rng.uniform(0.35, 0.95))
    x, y, z = middle
    yaw, pitch = rng.gauss(0, 0.5), pitch * DEGREE
    position = [
        x + distance * math.cos(pitch) * math.sin(yaw),
        y - distance * math.cos(pitch) * math.cos(yaw),
        z - distance * math.sin(pitch),
    ]
    off = 0.25 * reach / distance
    roll = clipped_gauss(rng, 0, 4, -15, 15) * DEGREE
    scene.look(position, yaw + rng.gauss(0, off), pitch + rng.gauss(0, off), roll, focal)


def _backdrop(scene, behind):
    """Floor, ceiling and walls of a room around the origin, a wall `behind` metres away."""
    rng = scene.rng
    scene.floor(Frame(), 0, 0, 0, 9, 9, P.flooring(scene), shadow=0)
    scene.floor(Frame(), 0, 0, 2.8, 9, 9, P.painted(scene), shadow=0)
    scene.wall(Frame(0, behind), 0, 0, 0, 9, 1.4, P.painted(scene) if rng.random() < 0.7 else P.anything(scene),
               shadow=0)  # fmt: skip
    for side in (-1, 1):
        scene.wall(Frame(side * rng.uniform(1.5, 5)), 0, 0, 0, 9, 1.4, P.painted(scene), yaw=1.5708, shadow=0)
    scene.wall(Frame(0, -5), 0, 0, 0, 9, 1.4, P.painted(scene), shadow=0)
    if behind > 1.5:
        for _ in range(rng.randint(0, 3)):
            place = Frame(rng.uniform(-1.5, 1.5), behind - 0.3)
            rng.choice((F.chair, F.floor_lamp, F.plant, F.cartons))(scene, place)
        if rng.random() < 0.4:
            F.cabinet(scene, Frame(rng.uniform(-1, 1), behind - 0.3), rng.uniform(0.3, 0.9), 0.25, rng.uniform(0.4, 2))


def _outdoors(scene):
    """Ground and a few bushes and trees behind the subject."""
    rng = scene.rng
    scene.floor(Frame(), 0, 0, 0, 300, 300, P.ground(scene), shadow=0)
    for _ in range(rng.randint(2, 12)):
        y = 1.2 * 25 ** rng.random()
        size = y * rng.uniform(0.08, 0.3)
        place, z = Frame(rng.uniform(-0.8, 0.8) * y, y), size * rng.uniform(0.5, 1.5)
        holes, leaf = rng.uniform(0.2, 0.6), size * rng.uniform(0.7, 2)
        scene.foliage(place, 0, 0, z, size, size, size, P.leaves(scene), holes=holes, leaf=leaf)


# The subjects build themselves around the origin. They return the point to look at, the size that matters in metres,
# and the camera's pitch in degrees.


def _still_life(scene):
    rng = scene.rng
    height, hx, hy = rng.uniform(0.45, 0.95), rng.uniform(0.3, 1.0), rng.uniform(0.3, 0.6)
    _backdrop(scene, hy + rng.uniform(0.05, 4))
    top = P.anything(scene) if rng.random() < 0.25 else P.wooden(scene)
    scene.box(Frame(), 0, 0, height - 0.04, hx, hy, 0.02, top)
    F.legs(scene, Frame(), hx, hy, height - 0.04, 0.03, top)
    things = (C.cup, C.bowl, C.bottle, C.pile, lambda *at: C.plate(*at, rng.uniform(0.08, 0.15)))
    x, y = rng.uniform(-0.4, 0.4) * hx, rng.uniform(-0.5, 0.5) * hy
    tall = rng.choices(things, (35, 15, 20, 15, 15))[0](scene, Frame(x, y, height, rng.random() * 6.28))
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        angle, away = rng.random() * 6.28, rng.uniform(0.22, 0.5)
        beside = (x + away * math.cos(angle), y + away * math.sin(angle))
        if abs(beside[0]) < hx - 0.1 and abs(beside[1]) < hy - 0.1:
            rng.choice(things)(scene, Frame(*beside, height, rng.random() * 6.28))
    if rng.random() < 0.3:
        F.clutter(scene, Frame(0, hy * 0.7, height), 0, hx, hy * 0.25, rng.randint(1, 6), 0.12)
    pitch = -clipped_gauss(rng, 30, 18, 4, 80)
    return (x, y, height + 0.5 * tall), max(0.07, 0.6 * tall) * rng.uniform(0.9, 1.8), pitch


def _flower(scene):
    rng = scene.rng
    z, radius = rng.uniform(0.4, 1.2), rng.uniform(0.04, 0.2)
    petals, leaf = P.plain(scene) if rng.random() < 0.5 else P.leaves(scene, P.any_color(rng)), P.leaves(scene)
    scene.rod(Frame(), (0, 0, 0), (0, 0, z), 0.05 * radius + 0.003, leaf)
    for _ in range(rng.randint(0, 8)):
        away = radius * rng.uniform(0.8, 2.5)
        angle, size = rng.random() * 6.28, radius * rng.uniform(0.2, 0.7)
        place = (away * math.cos(angle), away * math.sin(angle), z - radius * rng.uniform(0.2, 2.5))
        scene.ellipsoid(Frame().child(*place[:2], 0, angle), 0, 0, place[2], size, size * 0.4, size * 0.15, leaf)
    count, rings = rng.randint(5, 12), rng.randint(1, 3)
    for ring in range(rings):
        for k in range(count):
            petal = Frame(yaw=6.28 * (k + 0.5 * ring) / count).child(0, -radius * (0.6 - 0.17 * ring))
            scene.ellipsoid(petal, 0, 0, z + 0.14 * radius * ring, radius * 0.28, radius * 0.45, radius * 0.16, petals)
    scene.ellipsoid(Frame(), 0, 0, z + 0.12 * radius * rings, 0.3 * radius, 0.3 * radius, 0.2 * radius, P.plain(scene))
    return (0, 0, z), radius * rng.uniform(0.9, 2), -clipped_gauss(rng, 40, 20, 0, 80)


def _animal(scene):
    """Body, head, ears, legs and tail of ellipsoids and rods; looks at the camera more often than not."""
    rng = scene.rng
    size = 10 ** rng.uniform(-1.2, -0.4)  # half the length of the body, metres
    coat = P.cloth(scene) if rng.random() < 0.7 else P.anything(scene)
    turned = Frame(yaw=rng.gauss(0, 0.9))
    leg, girth = size * rng.uniform(0.4, 1.0), size * rng.uniform(0.4, 0.6)
    back = leg + girth
    scene.ellipsoid(turned, 0, 0.6 * size, back, girth, size, girth, coat)
    for x in (-0.6, 0.6):
        for y in (0.0, 1.3):
            scene.rod(turned, (x * girth, y * size, back), (x * girth, y * size, 0), 0.14 * size, coat)
    head = girth * rng.uniform(0.7, 1.1)
    place = (rng.gauss(0, 0.1) * size, -0.6 * size, back + size * rng.uniform(0.1, 0.7))
    scene.ellipsoid(turned, *place, head, head * rng.uniform(0.8, 1.2), head * rng.uniform(0.8, 1), coat)
    scene.ellipsoid(turned, place[0], place[1] - 0.8 * head, place[2] - 0.2 * head, 0.45 * head, 0.5 * head,
                    0.35 * head, coat if rng.random() < 0.6 else P.cloth(scene))  # fmt: skip
    dark = P.plain(scene, P.grey(rng, 0.02, 0.2), 0.9)
    for side in (-1, 1):
        scene.ellipsoid(turned, place[0] + side * 0.65 * head, place[1], place[2] + 0.85 * head, 0.3 * head,
                        0.15 * head, head * rng.uniform(0.3, 0.6), coat)  # fmt: skip
        scene.ellipsoid(turned, place[0] + side * 0.4 * head, place[1] - 0.85 * head, place[2] + 0.2 * head,
                        *[0.12 * head] * 3, dark)  # fmt: skip
    scene.rod(turned, (0, 1.5 * size, back), (rng.gauss(0, 0.5) * size, 2.2 * size, back * rng.uniform(0.5, 1.5)),
              0.1 * size, coat)  # fmt: skip
    target = turned.world(*place) if rng.random() < 0.6 else turned.world(0, 0.5 * size, back)
    return target, rng.uniform(1.0, 2.2) * head, rng.gauss(-10, 10)


def _portrait(scene):
    rng = scene.rng
    height = rng.uniform(1.1, 1.9)
    person(scene, Frame(yaw=rng.gauss(0, 0.5)), height)
    if rng.random() < 0.3:
        person(scene, Frame(rng.choice((-1, 1)) * rng.uniform(0.5, 0.9), rng.uniform(-0.2, 1), 0, rng.gauss(0, 0.7)))
    return (0, 0, height * rng.uniform(0.75, 0.95)), rng.uniform(0.16, 0.5), rng.gauss(-3, 7)
