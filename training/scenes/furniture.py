"""Furniture and household things made of primitives. Frames stand on the floor; local +y is the wall's side."""

import math

from . import palette as P


def legs(scene, frame, hx, hy, height, radius, material):
    """Four legs, square or round."""
    round_ = scene.rng.random() < 0.4
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (hx - radius), sy * (hy - radius)
            if round_:
                scene.cylinder(frame, x, y, 0, radius, height / 2, material)
            else:
                scene.box(frame, x, y, 0, radius, radius, height / 2, material)


def clutter(scene, frame, z, hx, hy, count, big=0.16):
    """Small things on a surface of half size hx, hy at local height z."""
    rng = scene.rng
    for _ in range(count):
        x, y = rng.uniform(-hx, hx) * 0.85, rng.uniform(-hy, hy) * 0.85
        size = big * 10 ** rng.uniform(-0.7, 0)
        shape = rng.random()
        material = P.picture(scene) if rng.random() < 0.3 else P.plain(scene)
        turned = frame.child(x, y, 0, rng.random() * 6.28)
        if shape < 0.4:
            flat = rng.random()
            scene.box(
                turned,
                0,
                0,
                z,
                size * rng.uniform(0.4, 1),
                size * rng.uniform(0.3, 1),
                size * (0.1 + 0.8 * flat),
                material,
            )
        elif shape < 0.75:
            scene.cylinder(
                turned,
                0,
                0,
                z,
                size * rng.uniform(0.25, 0.5),
                size * rng.uniform(0.3, 1.1),
                material,
                top=rng.uniform(0.4, 1),
            )
        else:
            scene.ellipsoid(
                turned, 0, 0, z + 0.4 * size, size * 0.5, size * rng.uniform(0.3, 0.6), size * 0.4, material
            )


def table(scene, frame, hx, hy):
    rng = scene.rng
    height, material = rng.uniform(0.42, 0.55) if rng.random() < 0.25 else rng.uniform(0.68, 0.8), P.wooden(scene)
    thick = rng.uniform(0.012, 0.03)
    if rng.random() < 0.15:
        scene.cylinder(frame, 0, 0, 0, 0.04, height / 2, material)
        scene.cylinder(frame, 0, 0, 0, 0.25, 0.02, material)
        scene.cylinder(frame, 0, 0, height, min(hx, hy), thick, material)
    else:
        scene.box(frame, 0, 0, height, hx, hy, thick, material)
        legs(scene, frame, hx, hy, height, rng.uniform(0.015, 0.04), material)
    clutter(scene, frame, height + 2 * thick, hx, hy, rng.randint(0, 7))


def chair(scene, frame):
    rng = scene.rng
    seat, half = rng.uniform(0.4, 0.48), rng.uniform(0.19, 0.25)
    frame_material = P.wooden(scene) if rng.random() < 0.6 else P.plain(scene)
    soft = P.cloth(scene) if rng.random() < 0.5 else frame_material
    scene.box(frame, 0, 0, seat - 0.03, half, half, rng.uniform(0.012, 0.04), soft)
    if rng.random() < 0.2:  # swivel chair
        scene.cylinder(frame, 0, 0, 0.05, 0.03, seat / 2 - 0.03, frame_material)
        for k in range(5):
            scene.rod(
                frame,
                (0, 0, 0.07),
                (0.28 * math.cos(k * 1.257), 0.28 * math.sin(k * 1.257), 0.05),
                0.02,
                frame_material,
            )
        scene.box(frame, 0, half, seat + 0.15, half, 0.03, 0.25, soft)
        return
    legs(scene, frame, half, half, seat - 0.03, rng.uniform(0.012, 0.022), frame_material)
    top = seat + rng.uniform(0.35, 0.55)
    if rng.random() < 0.5:
        scene.box(frame, 0, half - 0.015, seat, half, 0.015, (top - seat) / 2, soft)
    else:
        for k in range(rng.randint(2, 6)):
            x = -half + 2 * half * (k + 0.5) / 6
            scene.box(frame, x if k % 2 else -x, half - 0.015, seat, 0.012, 0.012, (top - seat) / 2, frame_material)
        scene.box(frame, 0, half - 0.015, top - 0.04, half, 0.014, 0.03, frame_material)


def sofa(scene, frame, hx):
    """Sofa or, when narrow, armchair; 0.85 m deep."""
    rng = scene.rng
    material = P.cloth(scene)
    seat, depth, arm = rng.uniform(0.36, 0.46), 0.43, rng.uniform(0.07, 0.13)
    scene.box(frame, 0, 0, 0.06, hx, depth, seat / 2 - 0.05, material)
    scene.frustum(
        frame, 0, depth - 0.12, seat * 0.6, hx, 0.12, rng.uniform(0.22, 0.32), material, top_x=0.97, top_y=0.7
    )
    for side in (-1, 1):
        scene.box(frame, side * (hx - arm), 0, 0.06, arm, depth, rng.uniform(0.24, 0.3), material)
    cushions = max(1, round(hx / 0.4))
    width = (hx - 2 * arm) / cushions
    for k in range(cushions):
        x = -hx + 2 * arm + width * (2 * k + 1)
        scene.box(frame, x, -0.08, seat - 0.06, width * 0.97, depth - 0.1, 0.07, material)
        if rng.random() < 0.4:
            scene.ellipsoid(frame, x, depth - 0.3, seat + 0.24, 0.2, 0.1, 0.19, P.cloth(scene))


def bed(scene, frame, hx, hy):
    rng = scene.rng
    wood, sheet = P.wooden(scene), P.cloth(scene)
    height = rng.uniform(0.4, 0.6)
    scene.box(frame, 0, 0, 0.08, hx, hy, height / 2 - 0.1, wood)
    scene.box(frame, 0, 0, height - 0.14, hx * 0.98, hy * 0.98, 0.1, sheet)
    scene.box(frame, 0, -hy * 0.25, height + 0.04, hx * 1.02, hy * 0.75, rng.uniform(0.02, 0.05), P.cloth(scene))
    scene.box(frame, 0, hy, 0, hx, 0.03, rng.uniform(0.4, 0.65), wood)
    pillow = P.cloth(scene, P.grey(rng, 0.6, 0.95)) if rng.random() < 0.6 else P.cloth(scene)
    for x in (-0.5, 0.5) if hx > 0.55 else (0,):
        scene.ellipsoid(frame, x * hx, hy * 0.78, height + 0.1, min(0.34, hx * 0.5), 0.2, 0.1, pillow)


def cabinet(scene, frame, hx, hy, height):
    """Cabinet, wardrobe, chest of drawers, fridge, kitchen counter: a box with a worked front, things on top."""
    rng = scene.rng
    material = P.cabinetry(scene) if rng.random() < 0.8 else P.plain(scene)
    plinth = rng.uniform(0.02, 0.1)
    scene.box(frame, 0, 0.02, 0, hx * 0.97, hy - 0.03, plinth / 2, material, tint=0.4)
    scene.box(frame, 0, 0, plinth, hx, hy, (height - plinth) / 2, material)
    if rng.random() < 0.5:
        scene.box(frame, 0, -0.01, height, hx + 0.02, hy + 0.02, 0.015, P.wooden(scene))
    if height < 1.5:
        clutter(scene, frame, height + 0.03, hx, hy, rng.randint(0, 8), 0.22)
        if rng.random() < 0.2:
            screen(scene, frame, height + 0.03, rng.uniform(0.25, 0.5))
    elif rng.random() < 0.4:
        clutter(scene, frame, height, hx, hy, rng.randint(1, 3), 0.35)


def shelf(scene, frame, hx, height, hy=0.16):
    """Open shelves with books and things."""
    rng = scene.rng
    material = P.wooden(scene)
    for side in (-1, 1):
        scene.box(frame, side * hx, 0, 0, 0.012, hy, height / 2, material)
    if rng.random() < 0.7:
        scene.box(frame, 0, hy, 0, hx, 0.006, height / 2, material)
    count = max(2, round(height / rng.uniform(0.3, 0.45)))
    books = P.books(scene)
    for k in range(count + 1):
        z = height * k / count
        scene.box(frame, 0, 0, max(0, z - 0.02), hx, hy, 0.01, material)
        if k == count:
            break
        filled = rng.random()
        if filled < 0.6:
            width = hx * rng.uniform(0.4, 0.98)
            scene.box(
                frame,
                (hx - width) * rng.choice((-1, 1)) * 0.97,
                0.03,
                z,
                width,
                hy * rng.uniform(0.5, 0.85),
                height / count * rng.uniform(0.3, 0.42),
                books,
            )
        elif filled < 0.9:
            clutter(scene, frame, z, hx, hy * 0.7, rng.randint(1, 3), 0.13)


def screen(scene, frame, z, hx):
    """Monitor or television standing at height z."""
    material = P.plain(scene, P.grey(scene.rng, 0.02, 0.2), 0.8) if scene.rng.random() < 0.6 else P.picture(scene)
    scene.box(frame, 0, 0, z, hx * 0.4, 0.09, 0.01, material)
    scene.box(frame, 0, 0.03, z, 0.03, 0.02, 0.08, material)
    scene.box(frame, 0, 0, z + 0.1, hx, 0.02, hx * 0.58, material)


def desk(scene, frame, hx):
    rng = scene.rng
    material, height = P.wooden(scene), rng.uniform(0.7, 0.78)
    scene.box(frame, 0, 0, height - 0.03, hx, 0.36, 0.015, material)
    if rng.random() < 0.6:
        scene.box(frame, hx - 0.22, 0, 0, 0.21, 0.33, height / 2 - 0.02, P.cabinetry(scene))
    legs(scene, frame, hx, 0.36, height - 0.03, 0.025, material)
    if rng.random() < 0.7:
        screen(
            scene,
            frame.child(rng.uniform(-0.3, 0.3) * hx, 0.12, 0, rng.gauss(0, 0.2)),
            height,
            rng.uniform(0.18, 0.34),
        )
        scene.box(frame, 0, -0.16, height, 0.2, 0.07, 0.01, P.plain(scene))
    clutter(scene, frame, height, hx, 0.33, rng.randint(1, 8))
    if rng.random() < 0.8:
        chair(scene, frame.child(rng.uniform(-0.3, 0.3), -rng.uniform(0.35, 0.6), 0, math.pi + rng.gauss(0, 0.5)))


def plant(scene, frame, height=None):
    rng = scene.rng
    height = height or rng.uniform(0.3, 1.6)
    scene.cylinder(frame, 0, 0, 0, height * 0.13, height * 0.14, P.plain(scene), top=1.0)
    leaves = P.leaves(scene)
    scene.rod(frame, (0, 0, height * 0.2), (0, 0, height * 0.6), 0.012, P.bark(scene))
    for _ in range(rng.randint(2, 5)):
        r = height * rng.uniform(0.12, 0.26)
        scene.foliage(
            frame,
            rng.gauss(0, 0.12) * height,
            rng.gauss(0, 0.12) * height,
            height * rng.uniform(0.5, 0.85),
            r,
            r,
            r * rng.uniform(0.7, 1.4),
            leaves,
            holes=rng.uniform(0.4, 0.7),
            leaf=rng.uniform(0.5, 1.2),
        )


def floor_lamp(scene, frame):
    rng = scene.rng
    metal, height = P.plain(scene), rng.uniform(1.2, 1.8)
    scene.cylinder(frame, 0, 0, 0, 0.14, 0.012, metal)
    scene.rod(frame, (0, 0, 0), (0, 0, height), 0.012, metal)
    scene.cylinder(
        frame,
        0,
        0,
        height - 0.1,
        rng.uniform(0.12, 0.22),
        0.13,
        P.glowing(scene, P.hsv(0.1, 0.15, 0.9), rng.uniform(0.3, 2.5)),
        top=rng.uniform(0.4, 0.9),
    )


def cartons(scene, frame):
    """A stack of boxes, baskets or suitcases."""
    rng = scene.rng
    z = 0.0
    for _ in range(rng.randint(1, 4)):
        hx, hy, hz = rng.uniform(0.15, 0.32), rng.uniform(0.12, 0.28), rng.uniform(0.08, 0.22)
        material = (
            P.picture(scene) if rng.random() < 0.25 else P.plain(scene, P.brown(rng) if rng.random() < 0.4 else None)
        )
        turned = frame.child(rng.gauss(0, 0.03), rng.gauss(0, 0.03), 0, rng.gauss(0, 0.15))
        if rng.random() < 0.3:
            scene.frustum(turned, 0, 0, z, hx, hy, hz, material, top_x=rng.uniform(0.8, 1), top_y=rng.uniform(0.8, 1))
        else:
            scene.box(turned, 0, 0, z, hx, hy, hz, material)
        z += 2 * hz


def bin_(scene, frame):
    scene.cylinder(
        frame,
        0,
        0,
        0,
        scene.rng.uniform(0.1, 0.22),
        scene.rng.uniform(0.13, 0.35),
        P.plain(scene),
        top=scene.rng.uniform(0.85, 1.0),
    )
