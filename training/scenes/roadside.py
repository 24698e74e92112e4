"""What stands beside a street: rows of houses, trees, woods, fields, walls; poles, signs and people on the verge."""

from . import palette as P
from . import street_objects as S
from .people import person
from .scene import Frame

REACH = 115.0  # metres along the road that are furnished
_CHARACTERS = ("blocks", "houses", "trees", "forest", "field", "wall")
_WEIGHTS = {
    "urban": (62, 10, 14, 3, 2, 9),
    "suburban": (8, 58, 18, 6, 2, 8),
    "country": (1, 17, 17, 34, 27, 4),
    "motorway": (2, 2, 10, 32, 28, 26),
    "parking": (36, 20, 18, 6, 14, 6),
}


def _buildings(scene, road, side, edge, style, detached):
    rng = scene.rng
    setback = edge + (rng.uniform(2, 10) if detached else rng.uniform(0, 4 if style == "urban" else 22))
    fill, joined = rng.uniform(0.5, 0.95), not detached and rng.random() < 0.75
    y = rng.uniform(-6, 6)
    while y < REACH:
        half = rng.uniform(5, 9) if detached else rng.uniform(4, 12)
        if rng.random() < fill + 0.2 * joined and not road.crossed(y + half, half):
            frame = road.frame(side * setback, y + half)
            if detached:
                S.house(scene, frame, side)
            else:
                storeys = rng.choice((2, 3, 3, 4, 4, 5, 6, 8))
                S.building(scene, frame, side, half * 0.995, rng.uniform(4, 7), storeys * rng.uniform(2.9, 3.6))
        y += 2 * half + (0 if joined and rng.random() < 0.85 else rng.uniform(0.5, 9))


def _tree_row(scene, road, side, edge, budget):
    """An avenue: one kind of tree at even distances."""
    rng = scene.rng
    pitch, height, offset = rng.uniform(5, 14), rng.uniform(5, 14), edge + rng.uniform(0.4, 3.5)
    bark, leaves = P.bark(scene), P.leaves(scene)
    y = rng.uniform(5, 5 + pitch)
    while y < 90 and len(scene.objects) < budget:
        if rng.random() < 0.9 and not road.crossed(y, 1):
            spot = road.frame(side * (offset + rng.gauss(0, 0.2)), y)
            S.tree(scene, spot, height * rng.uniform(0.8, 1.2), y < 40, bark, leaves)
        y += pitch * (1 + y / 90)


def _forest(scene, road, side, edge, budget):
    """Trees of several kinds and bushes, the nearest a few metres from the road."""
    rng = scene.rng
    barks, foliage = [P.bark(scene) for _ in range(2)], [P.leaves(scene) for _ in range(3)]
    offset, conifers = edge + rng.uniform(1, 8), rng.random() ** 2
    y = rng.uniform(4, 9)
    while y < REACH and len(scene.objects) < budget:
        spot = road.frame(side * (offset + rng.expovariate(0.25)), y)
        draw = rng.random()
        if draw < 0.25:
            S.bush(scene, spot, leaves=rng.choice(foliage))
        elif draw < 0.3 + 0.6 * conifers:
            S.conifer(scene, spot)
        else:
            S.tree(scene, spot, rng.uniform(4, 15), y < 25, rng.choice(barks), rng.choice(foliage))
        y += rng.uniform(0.7, 3.5) * (1 + y / 40)
    # Behind the single trees the wood closes.
    for k in range(5):
        length = 14 + 6 * k
        frame = road.frame(side * (offset + rng.uniform(9, 14)), 8 + 22 * k)
        height = rng.uniform(5, 9)
        scene.foliage(frame, 0, 0, height * 0.7, 4, length, height, rng.choice(foliage), holes=0.15, leaf=5, tint=0.7)


def _wall(scene, road, side, edge):
    """Noise barrier, garden wall or a grass bank along the road."""
    rng = scene.rng
    if rng.random() < 0.5:
        rise = rng.uniform(0.6, 6)
        bank = road.frame(side * (edge + 1 + 3 * rise), 60)
        scene.frustum(bank, 0, 0, -0.05, 3 * rise, 90, rise / 2, P.ground(scene, "grass"), top_x=0.15, top_y=1.0)
        return
    height, material, length = rng.uniform(1, 4.5), P.masonry(scene), rng.uniform(5, 12)
    offset = edge + rng.uniform(0.3, 4)
    for k in range(10):
        if not road.crossed(length * (k + 0.5), length / 2):
            scene.box(road.frame(side * offset, length * (k + 0.5)), 0, 0, 0, 0.15, length / 2, height / 2, material)


def _verge(scene, road, side, edge, style, budget):
    """Lamps, signs, people, single trees and bushes between the road and what lies behind."""
    rng = scene.rng
    trees = rng.random() ** 2
    y = rng.uniform(1, 8)
    while y < 90 and len(scene.objects) < budget:
        spot = road.frame(side * (edge + (rng.uniform(-1.2, 0.4) if style == "urban" else rng.uniform(0.5, 5))), y)
        draw = rng.random()
        if road.crossed(y, 1):
            pass
        elif draw < 0.4 * trees:
            if y > 7:
                rng.choice((S.tree, S.tree, S.bare_tree, S.conifer))(scene, spot)
        elif draw < 0.6:
            (S.street_lamp(scene, spot, -side) if rng.random() < 0.55 else S.sign(scene, spot))
        elif draw < 0.7 and y < 50:
            person(scene, spot.child(0, 0, 0, rng.random() * 6.28))
        elif draw < 0.85 and style != "urban":
            S.bush(scene, spot)
        y += rng.uniform(2, 13) * (0.7 + y / 60)


def roadside(scene, road, side, edge, style, budget):
    """Furnishes one side (-1 left, 1 right) from `edge` (lateral metres from the middle) outwards.

    `budget`: primitives in the scene after which only large things are added.
    """
    rng = scene.rng
    character = rng.choices(_CHARACTERS, _WEIGHTS[style])[0]
    if character in ("blocks", "houses"):
        _buildings(scene, road, side, edge, style, character == "houses")
    elif character == "wall":
        _wall(scene, road, side, edge)
    if rng.random() < {"houses": 0.6, "trees": 0.5, "field": 0.4}.get(character, 0.12):
        length = rng.uniform(15, 70)
        frame = road.frame(side * (edge + rng.uniform(0.2, 1.5)), length / 2 + rng.uniform(-4, 15))
        if rng.random() < 0.6:
            S.fence(scene, frame, length)
        else:
            S.hedge(scene, frame, min(length, 25), rng.uniform(0.8, 2.2))
    _verge(scene, road, side, edge, style, len(scene.objects) + 0.4 * max(0, budget - len(scene.objects)))
    if character == "trees" or rng.random() < 0.25:
        _tree_row(scene, road, side, edge, budget)
    if character == "forest":
        _forest(scene, road, side, edge, budget)


def backdrop(scene, style):
    """Distant trees, hills or blocks that close the view."""
    rng = scene.rng
    leaves = P.leaves(scene)
    for _ in range(rng.randint(2, 9)):
        frame = Frame(rng.uniform(-110, 110), rng.uniform(110, 300))
        if style == "urban" and rng.random() < 0.6:
            scene.box(frame, 0, 0, 0, rng.uniform(6, 14), 6, rng.uniform(3, 12), P.facade(scene))
        elif rng.random() < 0.7:
            half = (rng.uniform(10, 40), 8, rng.uniform(6, 14))
            scene.foliage(frame, 0, 0, 3, *half, leaves, holes=0.2, leaf=9)
        else:
            half = (rng.uniform(80, 250), 100, rng.uniform(15, 70))
            scene.ellipsoid(frame.child(0, 200), 0, 0, -5, *half, P.ground(scene, "grass"), shadow=0)
