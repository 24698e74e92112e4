"""Cups, bowls, plates, bottles and fruit, of the primitives. Frames stand on the table."""

import math

from . import layout as L
from . import palette as P


def vessel(scene, frame, z, bottom, top, height, material, sides=14, thickness=0.004):
    """Open round vessel of `sides` boxes: radius `bottom` at local height z, `top` above it; no lid."""
    flare, middle = top - bottom, (top + bottom) / 2
    slant = math.hypot(flare, height)
    across, up = height / slant, flare / slant
    half = (max(bottom, top) * math.tan(math.pi / sides) + 0.3 * thickness, thickness / 2, slant / 2)
    scene.cylinder(frame, 0, 0, z, bottom, thickness / 2, material)
    for k in range(sides):
        angle = frame.yaw + 2 * math.pi * k / sides
        c, s = math.cos(angle), math.sin(angle)
        axes = (s, -c, 0.0, c * across, s * across, -up, c * up, s * up, across)
        centre = (frame.x + middle * c, frame.y + middle * s, frame.z + z + height / 2)
        scene.add(L.BOX, centre, half, material, axes=axes)


def filling(scene, frame, z, radius):
    """What a cup holds: a level surface at local height z."""
    drink = P.hsv(scene.rng.gauss(0.08, 0.04), scene.rng.uniform(0.2, 0.9), scene.rng.uniform(0.05, 0.9))
    scene.cylinder(frame, 0, 0, z - 0.002, radius, 0.001, P.plain(scene, drink, 0.6))


def cup(scene, frame):
    """Cup or mug, most with a handle, a filling and a saucer. Returns its height in metres."""
    rng = scene.rng
    glaze = P.plain(scene)
    height, top = rng.uniform(0.05, 0.11), rng.uniform(0.035, 0.055)
    bottom, z = top * rng.uniform(0.55, 1.0), 0.0
    if rng.random() < 0.6:
        plate(scene, frame, top * rng.uniform(1.5, 2.1), glaze)
        z = 0.008
    vessel(scene, frame, z, bottom, top, height, glaze if rng.random() < 0.7 else P.plain(scene))
    if rng.random() < 0.75:
        filling(scene, frame, z + height * rng.uniform(0.6, 0.9), (bottom + top) / 2)
    if rng.random() < 0.8:
        side = frame.child(0, 0, 0, rng.random() * 6.28)
        out, thick = top + rng.uniform(0.018, 0.03), rng.uniform(0.004, 0.007)
        low, high = z + 0.25 * height, z + 0.8 * height
        scene.rod(side, (bottom, 0, low), (out, 0, low + 0.1 * height), thick, glaze)
        scene.rod(side, (out, 0, low + 0.1 * height), (out, 0, high - 0.05 * height), thick, glaze)
        scene.rod(side, (out, 0, high - 0.05 * height), (top * 0.95, 0, high), thick, glaze)
    return height + z


def plate(scene, frame, radius, material=None):
    """Plate or saucer with a raised rim; a plate of its own holds food. Returns its height in metres."""
    rng = scene.rng
    own, rise = material is None, radius * rng.uniform(0.1, 0.25)
    material = P.plain(scene) if own else material
    vessel(scene, frame, 0, radius * rng.uniform(0.55, 0.75), radius, rise, material, sides=18)
    if own:
        heap(scene, frame, 0.004, radius * 0.5, rng.randint(1, 7))
    return rise


def bowl(scene, frame):
    """Bowl, filled or with fruit. Returns its height in metres."""
    rng = scene.rng
    top = rng.uniform(0.06, 0.16)
    height = top * rng.uniform(0.4, 0.9)
    vessel(scene, frame, 0, top * rng.uniform(0.4, 0.7), top, height, P.plain(scene), sides=18)
    if rng.random() < 0.6:
        heap(scene, frame, 0.5 * height, 0.55 * top, rng.randint(3, 9))
    else:
        filling(scene, frame, 0.6 * height, 0.8 * top)
    return height


def heap(scene, frame, z, reach, count):
    """Fruit, bread, pebbles: round things of one or two materials within `reach` of the middle."""
    rng = scene.rng
    materials = [P.anything(scene) if rng.random() < 0.3 else P.plain(scene) for _ in range(2)]
    for _ in range(count):
        radius = reach * rng.uniform(0.25, 0.55)
        x, y, flat = rng.gauss(0, 0.5) * reach, rng.gauss(0, 0.5) * reach, rng.uniform(0.6, 1.0)
        turned = frame.child(x, y, 0, rng.random() * 6.28)
        scene.ellipsoid(
            turned, 0, 0, z + flat * radius, radius, radius * rng.uniform(0.6, 1), flat * radius, rng.choice(materials)
        )


def bottle(scene, frame):
    """Bottle, jar, tin or vase. Returns its height in metres."""
    rng = scene.rng
    radius, height = rng.uniform(0.025, 0.06), rng.uniform(0.08, 0.3)
    glass = P.plain(scene)
    neck = radius * rng.uniform(0.25, 0.6)
    body = height * rng.uniform(0.5, 0.75)
    scene.cylinder(frame, 0, 0, 0, radius, body / 2, glass)
    if rng.random() < 0.6:
        scene.cylinder(frame, 0, 0, 0.15 * body, radius * 1.01, 0.3 * body, P.picture(scene))
    shoulder = 0.35 * (height - body)
    scene.cylinder(frame, 0, 0, body, radius, shoulder / 2, glass, top=neck / radius)
    scene.cylinder(frame, 0, 0, body + shoulder, neck, (height - body - shoulder) / 2, glass)
    return height


def pile(scene, frame):
    """Books or boxes on each other. Returns its height in metres."""
    rng = scene.rng
    z = 0.0
    for _ in range(rng.randint(1, 5)):
        hx, hy, hz = rng.uniform(0.06, 0.14), rng.uniform(0.05, 0.11), rng.uniform(0.006, 0.03)
        material = P.picture(scene) if rng.random() < 0.5 else P.plain(scene)
        scene.box(frame.child(rng.gauss(0, 0.01), 0, 0, rng.gauss(0, 0.2)), 0, 0, z, hx, hy, hz, material)
        z += 2 * hz
    return z
