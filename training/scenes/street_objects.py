"""Things along streets: trees, hedges, poles, signs, fences, buildings. Frames: local y runs along the road."""

import math

from . import palette as P


def tree(scene, frame, height=None, near=True, bark=None, leaves=None):
    """Broad-leaved tree: trunk, branches, a crown of leaf shells around a denser core."""
    rng = scene.rng
    height = height or rng.uniform(4, 14)
    bark = P.bark(scene) if bark is None else bark
    leaves = P.leaves(scene) if leaves is None else leaves
    radius, fork = height * rng.uniform(0.012, 0.03), height * rng.uniform(0.15, 0.4)
    lean = (rng.gauss(0, 0.03) * height, rng.gauss(0, 0.03) * height)
    scene.cylinder(frame, 0, 0, -0.3, radius * 1.25, (fork + 0.3) / 2 + 0.2, bark, top=0.75)
    scene.rod(frame, (0, 0, fork), (*lean, height * 0.8), radius * 0.6, bark)
    spread = height * rng.uniform(0.16, 0.32)
    holes, leaf = rng.uniform(0.3, 0.55), rng.uniform(1.5, 3.2)
    middle, core = (fork + height) / 2, (spread * 0.65, spread * 0.65, (height - fork) * 0.36)
    scene.foliage(frame, *lean, middle, *core, leaves, holes=holes * 0.5, leaf=leaf, tint=0.6)
    blobs = rng.randint(8, 13) if near else 5
    for k in range(blobs):
        angle = k * 2.4 + rng.random()
        share = (k + rng.random()) / blobs
        z = fork + (height - fork) * (0.08 + 0.84 * share)
        away = spread * math.sqrt(max(0.05, 1 - (2 * share - 0.9) ** 2)) * rng.uniform(0.5, 1.0)
        x, y = lean[0] + away * math.cos(angle), lean[1] + away * math.sin(angle)
        size = spread * rng.uniform(0.28, 0.55)
        half = (size * rng.uniform(0.7, 1.3), size * rng.uniform(0.7, 1.3), size * rng.uniform(0.5, 0.9))
        shade = rng.uniform(0.7, 1.0) + 0.3 * share
        scene.foliage(frame.child(x, y, 0, angle), 0, 0, z, *half, leaves, holes=holes, leaf=leaf, tint=shade)
        if near and k < 4:
            scene.rod(frame, (0, 0, fork * 0.9), (x, y, z), radius * 0.3, bark)


def bare_tree(scene, frame, height=None):
    rng = scene.rng
    height, bark = height or rng.uniform(3, 9), P.bark(scene)
    scene.cylinder(frame, 0, 0, -0.3, height * 0.025, height * 0.45, bark, top=0.4)
    for k in range(9):
        z = height * rng.uniform(0.25, 0.75)
        angle, reach = k * 2.4, height * rng.uniform(0.12, 0.3)
        tip = (reach * math.cos(angle), reach * math.sin(angle), z + reach * rng.uniform(0.5, 1.4))
        scene.rod(frame, (0, 0, z), tip, height * 0.007, bark)


def conifer(scene, frame, height=None):
    rng = scene.rng
    height = height or rng.uniform(4, 15)
    leaves = P.leaves(scene, P.hsv(rng.gauss(0.33, 0.03), rng.uniform(0.25, 0.6), rng.uniform(0.12, 0.4)))
    scene.cylinder(frame, 0, 0, -0.3, height * 0.02, height * 0.2, P.bark(scene))
    for k in range(4):
        r = height * (0.19 - 0.035 * k)
        scene.foliage(frame, 0, 0, height * (0.22 + 0.21 * k), r, r, height * 0.17, leaves, holes=0.35, leaf=1.6)


def bush(scene, frame, size=None, leaves=None):
    rng = scene.rng
    size, leaves = size or rng.uniform(0.3, 1.3), P.leaves(scene) if leaves is None else leaves
    scene.foliage(frame, 0, 0, size * 0.4, size * 0.7, size * 0.7, size * 0.55, leaves, holes=0.1, leaf=1.5, tint=0.6)
    holes = rng.uniform(0.25, 0.5)
    for k in range(rng.randint(3, 6)):
        r, turned = size * rng.uniform(0.35, 0.7), frame.child(yaw=k * 2.4 + rng.random())
        half = (r, r * rng.uniform(0.7, 1), r * rng.uniform(0.6, 1))
        scene.foliage(
            turned, size * rng.uniform(0.2, 0.7), 0, r * 0.7, *half, leaves, holes=holes, leaf=rng.uniform(1, 2)
        )


def hedge(scene, frame, length, height):
    """Hedge along local y, its bottom at z = 0."""
    leaves = P.leaves(scene)
    scene.box(frame, 0, 0, 0, 0.3, length / 2, height / 2, leaves)
    for _ in range(min(8, int(length / 1.5))):
        y = scene.rng.uniform(-0.5, 0.5) * length
        scene.foliage(
            frame, 0, y, height * 0.6, 0.42, scene.rng.uniform(0.6, 1.6), height * 0.55, leaves, holes=0.35, leaf=1.0
        )


def street_lamp(scene, frame, side):
    """Mast whose arm reaches to local x = side * 1.5; or a traffic light, or a telegraph pole."""
    rng = scene.rng
    height = rng.uniform(4.5, 9)
    metal = P.plain(scene, P.grey(rng, 0.1, 0.6), 0.3) if rng.random() < 0.7 else P.bark(scene)
    scene.cylinder(frame, 0, 0, 0, rng.uniform(0.05, 0.14), height / 2, metal, top=0.65)
    if rng.random() < 0.7:
        reach = side * rng.uniform(0.6, 3)
        scene.rod(frame, (0, 0, height - 0.1), (reach, 0, height + 0.1), 0.04, metal)
        scene.box(frame, reach, 0, height, 0.3, 0.12, 0.07, metal)
    else:
        scene.box(frame, side * 0.15, 0, height * 0.45, 0.14, 0.14, 0.42, metal)
        scene.rod(frame, (-0.8, 0, height - 0.5), (0.8, 0, height - 0.5), 0.05, metal)


def sign(scene, frame):
    """Traffic sign or board facing along local y."""
    rng = scene.rng
    height, metal = rng.uniform(1.8, 3), P.plain(scene, P.grey(rng, 0.3, 0.7), 0.4)
    scene.cylinder(frame, 0, 0, 0, 0.04, height / 2, metal)
    face = (
        P.plain(scene, rng.choice(((0.6, 0.02, 0.03), (0.02, 0.1, 0.5), (0.7, 0.5, 0.03), (0.7, 0.7, 0.7))))
        if rng.random() < 0.6
        else P.picture(scene)
    )
    size = rng.uniform(0.25, 0.5)
    if rng.random() < 0.5:
        scene.rod(frame, (0, -0.03, height), (0, -0.06, height), size, face)
    else:
        scene.box(frame, 0, -0.05, height - size, size * rng.uniform(0.7, 2), 0.02, size, face)


def fence(scene, frame, length):
    """Fence along local y: pickets, bars, mesh, a low wall or a guardrail."""
    rng = scene.rng
    kind, height = rng.random(), rng.uniform(0.8, 2.0)
    if kind < 0.4:
        pitch = rng.uniform(0.12, 0.3)
        bars = P.wooden(scene) if rng.random() < 0.5 else P.plain(scene)
        scene.wall(
            frame,
            0,
            0,
            0,
            length / 2,
            height / 2,
            bars,
            pitch=(pitch, height * 0.44),
            solid=(rng.uniform(0.15, 0.6), 0.12),
            yaw=math.pi / 2,
        )
    elif kind < 0.75:
        scene.box(frame, 0, 0, 0, rng.uniform(0.1, 0.2), length / 2, height / 2, P.masonry(scene))
    else:
        metal = P.plain(scene, P.grey(rng, 0.4, 0.8), 0.5)
        scene.box(frame, 0, 0, 0.5, 0.04, length / 2, 0.15, metal)
        for k in range(min(14, int(length / 3))):
            scene.box(frame, 0, -length / 2 + 3 * k, 0, 0.05, 0.05, 0.35, metal)


def building(scene, frame, side, half_length, depth, height):
    """Town house or block whose front stands at local x = 0, along y; the body reaches away from the road (side)."""
    rng = scene.rng
    middle = side * depth
    windows = P.facade(scene) if rng.random() < 0.85 else P.masonry(scene)
    scene.box(frame, middle, 0, 0, depth, half_length, height / 2, windows)
    if rng.random() < 0.55:
        ground = rng.uniform(2.6, 3.8)
        front = P.picture(scene) if rng.random() < 0.25 else P.masonry(scene)
        scene.box(frame, middle - side * 0.03, 0, 0, depth, half_length * 0.995, ground / 2, front)
        glass = P.glazing(scene)
        for k in range(rng.randint(1, 4)):
            y = half_length * (-0.75 + 0.5 * k)
            scene.box(
                frame,
                -side * 0.04,
                y,
                rng.choice((0.0, 0.5)),
                0.05,
                half_length * rng.uniform(0.1, 0.2),
                rng.uniform(0.9, 1.15),
                glass,
            )
    if rng.random() < 0.35:
        balcony = P.masonry(scene)
        for k in range(1, min(4, int(height / 3))):
            scene.box(
                frame,
                -side * 0.5,
                half_length * rng.uniform(-0.6, 0.6),
                3 * k,
                0.6,
                rng.uniform(0.8, 1.8),
                0.5,
                balcony,
            )
    if height < 16 and rng.random() < 0.75:
        rise = rng.uniform(1.2, 4)
        scene.frustum(
            frame,
            middle,
            0,
            height,
            depth + 0.3,
            half_length + 0.05,
            rise / 2,
            P.roofing(scene),
            top_x=0.03,
            top_y=1.0,
        )
        if rng.random() < 0.5:
            scene.box(
                frame, middle, half_length * rng.uniform(-0.8, 0.8), height, 0.4, 0.4, rise / 2 + 0.6, P.masonry(scene)
            )
    else:
        scene.box(frame, middle, 0, height, depth + 0.15, half_length + 0.02, 0.2, P.masonry(scene))


def house(scene, frame, side):
    """Detached house with a gable roof, door and windows; front at local x = 0."""
    rng = scene.rng
    hx, hy, wall = rng.uniform(3.2, 5.5), rng.uniform(3.5, 7), rng.choice((2.8, 3.2, 5.2, 5.8))
    body, middle = P.masonry(scene), side * hx
    scene.box(frame, middle, 0, 0, hx, hy, wall / 2, body)
    along = rng.random() < 0.6
    scene.frustum(
        frame,
        middle,
        0,
        wall,
        hx + 0.4,
        hy + 0.4,
        rng.uniform(1.0, 2.2),
        P.roofing(scene),
        top_x=0.03 if along else 0.97,
        top_y=rng.choice((0.6, 1.0)) if along else 0.03,
    )
    glass, trim = P.glazing(scene), P.wooden(scene, P.grey(rng, 0.6, 1))
    for storey in range(1 if wall < 4 else 2):
        for y in (-0.65, -0.2, 0.3, 0.7):
            if rng.random() < 0.8:
                z, w, h = 0.9 + 2.6 * storey, rng.uniform(0.45, 0.9), rng.uniform(0.5, 0.7)
                scene.box(frame, -side * 0.02, y * hy, z - 0.06, 0.05, w + 0.08, h + 0.06, trim)
                scene.box(frame, -side * 0.05, y * hy, z, 0.04, w, h, glass)
    scene.box(frame, -side * 0.05, rng.uniform(-0.4, 0.4) * hy, 0, 0.06, 0.5, 1.05, P.wooden(scene))
    scene.box(frame, middle, rng.uniform(-0.6, 0.6) * hy, wall, 0.35, 0.35, 1.7, body)
