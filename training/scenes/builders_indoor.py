"""Rooms of many uses, from closets to halls, with furniture along the walls and in the middle."""

import math

from . import furniture as F
from . import palette as P
from . import room_shell as R
from .camera import clipped_gauss, hand_held
from .people import person
from .scene import Frame


class Floor:
    """Keeps furniture apart: axis-aligned footprints that are taken already."""

    def __init__(self, width, depth):
        self.width, self.depth, self.taken = width, depth, []

    def claim(self, frame, hx, hy, margin=0.03):
        """Takes the footprint of half size hx, hy around the frame, or returns False."""
        c, s = abs(frame.cosine), abs(frame.sine)
        ex, ey = c * hx + s * hy + margin, s * hx + c * hy + margin
        x, y = frame.x, frame.y
        if x - ex < -0.06 or y - ey < -0.06 or x + ex > self.width + 0.06 or y + ey > self.depth + 0.06:
            return False
        if any(abs(x - tx) < ex + hx_ and abs(y - ty) < ey + hy_ for tx, ty, hx_, hy_ in self.taken):
            return False
        self.taken.append((x, y, ex, ey))
        return True


def stand(rng, width, depth):
    """Where the camera stands, x and y: mostly towards a wall or corner, as one does to see a room."""
    places = [(rng.uniform(0.3, width - 0.3), rng.uniform(0.3, depth - 0.3)) for _ in range(rng.choice((1, 2, 3)))]
    return max(places, key=lambda place: math.hypot(place[0] - width / 2, place[1] - depth / 2))


def aim(scene, floor, x, y, height):
    """Points the camera, mostly to where more of the furniture is, and never from close by at a bare wall."""
    rng = scene.rng
    best = None
    for _ in range(rng.choice((2, 3, 4, 6))):
        tx, ty = rng.uniform(0.05, 0.95) * floor.width, rng.uniform(0.05, 0.95) * floor.depth
        yaw = math.atan2(-(tx - x), ty - y)
        east, north = -math.sin(yaw), math.cos(yaw)
        across = ((floor.width if east > 0 else 0) - x) / (east or 1e-9)
        along = ((floor.depth if north > 0 else 0) - y) / (north or 1e-9)
        value = 2 * min(across, along, 3.0)  # metres to the wall ahead
        for ox, oy, hx, hy in floor.taken[1:]:
            away = math.hypot(ox - x, oy - y)
            turn = (math.atan2(-(ox - x), oy - y) - yaw + math.pi) % (2 * math.pi) - math.pi
            if abs(turn) < 0.5 and away < 9:
                value += min(1.5, 2 * math.sqrt(hx * hy)) * (1 - abs(turn))
        if best is None or value > best[0]:
            best = (value, yaw)
    eye = min(height - 0.25, clipped_gauss(rng, 1.4, 0.25, 0.7, 1.95))
    hand_held(scene, (x, y, eye), best[1] + rng.gauss(0, 0.12))


def indoor_light(scene, width, depth, height, window):
    """Lamps, the window's light, a weak flash; ambient light bounced from the walls."""
    rng = scene.rng
    tone = P.hsv(rng.gauss(0.1, 0.03), rng.uniform(0, 0.4), 1.0)
    level = rng.uniform(0.12, 0.7)
    scene.environment.update(
        ambient_up=[level * v for v in tone], ambient_down=[level * rng.uniform(0.5, 1.0) * v for v in tone],
        zenith=P.hsv(0.6, rng.uniform(0, 0.5), 1), horizon=(1.0, 1.0, 1.0), clouds=rng.random(), cloud_color=(1, 1, 1),
        cloud_scale=0.3, cloud_offset=(rng.random(), rng.random()), occlusion=rng.uniform(0.6, 1.0),
        reflection=rng.uniform(0.2, 1.0),
        room=(0, width, 0, depth, 0, height),
    )  # fmt: skip
    bright = rng.uniform(0.8, 1.0) * max(1.0, width * depth / 14)
    if window and rng.random() < 0.75:
        x, y, z = window
        power = rng.uniform(1, 7) * bright
        scene.lamp((x, y, z), [power * v for v in P.hsv(0.6, rng.uniform(0, 0.25), 1)], rng.uniform(0.2, 0.7))
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        power = rng.uniform(1, 5) * bright
        place = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * depth, height - rng.uniform(0.12, 0.6))
        scene.lamp(place, [power * v for v in tone], rng.uniform(0.04, 0.4))
        if rng.random() < 0.7:
            lamp = Frame(place[0], place[1], place[2] + 0.05)
            glow = P.glowing(scene, tone, rng.uniform(2, 8))
            if rng.random() < 0.5:
                scene.cylinder(lamp, 0, 0, 0, rng.uniform(0.1, 0.25), 0.05, glow, top=rng.uniform(0.3, 1), shadow=0)
            else:
                scene.box(lamp, 0, 0, 0, rng.uniform(0.1, 0.6), 0.12, 0.03, glow, shadow=0)
            scene.rod(lamp, (0, 0, 0.05), (0, 0, height - lamp.z), 0.008, glow, shadow=0)
    if rng.random() < 0.2:
        scene.lamp(scene.camera["position"], [rng.uniform(0.3, 2.5)] * 3, 0.02)


def furnish_wall(scene, floor, frame, half, height, taken, fullness):
    """Furniture along one wall, as much as fits."""
    rng = scene.rng
    for _ in range(round(fullness * rng.uniform(0.5, 1.5) * (3 + 1.6 * half))):
        kind = rng.choices(("cabinet", "tall", "shelf", "sofa", "desk", "bed", "counter", "table", "cartons",
                         "plant", "lamp", "chair"),
                           (16, 10, 14, 12, 11, 9, 5, 6, 8, 4, 4, 6))[0]  # fmt: skip
        hx, hy, h = {
            "cabinet": lambda: (rng.uniform(0.25, 0.8), rng.uniform(0.17, 0.3), rng.uniform(0.45, 1.2)),
            "tall": lambda: (rng.uniform(0.3, 0.9), rng.uniform(0.25, 0.35), rng.uniform(1.6, min(2.3, height - 0.1))),
            "shelf": lambda: (rng.uniform(0.3, 1.0), 0.17, rng.uniform(0.8, min(2.3, height - 0.1))),
            "sofa": lambda: (rng.uniform(0.42, 1.15), 0.45, 0.8),
            "desk": lambda: (rng.uniform(0.5, 0.9), 0.4, 1.2),
            "bed": lambda: (rng.uniform(0.45, 0.9), 1.02, 0.8),
            "counter": lambda: (rng.uniform(0.9, 2.0), 0.3, rng.uniform(0.84, 0.94)),
            "table": lambda: (rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.4), 0.8),
        }.get(kind, lambda: (0.3, 0.3, 1.0))()
        if half < hx + 0.05:
            continue
        x = rng.uniform(-half + hx, half - hx)
        if h > 0.75 and any(abs(x - t) < hx + w for t, w in taken):
            continue
        spot = frame.child(x, -hy - rng.uniform(0.0, 0.12), 0, rng.gauss(0, 0.03))
        if not floor.claim(spot, hx, hy):
            continue
        if h > 1.1:
            taken.append((x, hx))
        if kind in ("cabinet", "tall", "counter"):
            F.cabinet(scene, spot, hx, hy, h)
            if kind == "counter" and rng.random() < 0.7:
                F.cabinet(scene, Frame(spot.x, spot.y, 1.45, spot.yaw).child(0, 0.12), hx, 0.17, rng.uniform(0.5, 0.8))
        elif kind == "shelf":
            F.shelf(scene, spot, hx, h)
        elif kind == "sofa":
            F.sofa(scene, spot, hx)
        elif kind == "desk":
            F.desk(scene, spot, hx)
        elif kind == "bed":
            F.bed(scene, spot, hx, 1.0)
        elif kind == "table":
            F.table(scene, spot, hx, hy)
        else:
            {"cartons": F.cartons, "plant": F.plant, "lamp": F.floor_lamp, "chair": F.chair}[kind](scene, spot)


def furnish_middle(scene, floor, fullness):
    """Tables with chairs, armchairs, boxes, people, things on the floor."""
    rng = scene.rng
    width, depth = floor.width, floor.depth
    if rng.random() < 0.3:
        rug = P.cloth(scene)
        scene.box(
            Frame(rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * depth, 0, rng.gauss(0, 0.2)),
            0,
            0,
            0,
            rng.uniform(0.5, 1.3),
            rng.uniform(0.4, 0.9),
            0.006,
            rug,
        )
    for _ in range(1 + round(fullness * rng.uniform(0.5, 1.5) * (4 + min(12, width * depth / 3.5)))):
        spot = Frame(
            rng.uniform(0.3, width - 0.3),
            rng.uniform(0.3, depth - 0.3),
            0,
            rng.choice((0, 1.5708, 3.1416, -1.5708)) + rng.gauss(0, 0.2),
        )
        kind = rng.choices(
            ("table", "armchair", "chair", "cartons", "bin", "plant", "person", "lamp", "cabinet", "litter"),
            (20, 10, 22, 14, 7, 5, 4, 5, 7, 6),
        )[0]
        if kind == "table":
            hx, hy = rng.uniform(0.35, 0.9), rng.uniform(0.3, 0.5)
            if floor.claim(spot, hx, hy, 0.1):
                F.table(scene, spot, hx, hy)
                for _ in range(rng.randint(0, 4)):
                    side = rng.choice((-1, 1))
                    seat = spot.child(
                        rng.uniform(-0.7, 0.7) * hx,
                        side * (hy + rng.uniform(0.1, 0.35)),
                        0,
                        (0 if side > 0 else math.pi) + rng.gauss(0, 0.3),
                    )
                    if floor.claim(seat, 0.2, 0.2, -0.15):
                        F.chair(scene, seat)
        elif kind == "armchair" and floor.claim(spot, 0.45, 0.45):
            F.sofa(scene, spot, 0.43)
        elif kind == "cabinet" and floor.claim(spot, 0.4, 0.3):
            F.cabinet(scene, spot, 0.38, 0.28, rng.uniform(0.4, 1.0))
        elif kind == "litter" and floor.claim(spot, 0.3, 0.3):
            F.clutter(scene, spot, 0, 0.3, 0.3, rng.randint(2, 6), 0.25)
        elif kind in ("chair", "cartons", "bin", "plant", "person", "lamp") and floor.claim(spot, 0.28, 0.28):
            {
                "chair": F.chair,
                "cartons": F.cartons,
                "bin": F.bin_,
                "plant": F.plant,
                "person": person,
                "lamp": F.floor_lamp,
            }[kind](scene, spot)


def neighbour_room(scene, frame, opening, material):
    """What one sees through a doorway: another room's back wall, sides and something in it."""
    rng = scene.rng
    x = opening[0]
    far, reach = rng.uniform(1.2, 6), rng.uniform(1.2, 3)
    other = P.painted(scene)
    scene.wall(frame, x, far, 0, reach, 1.6, other, shadow=0)
    for side in (-1, 1):
        scene.wall(
            frame,
            x + side * reach,
            far / 2,
            0,
            far / 2,
            1.6,
            other if rng.random() < 0.5 else material,
            yaw=1.5708,
            shadow=0,
        )
    if rng.random() < 0.7:
        F.cabinet(scene, frame.child(x + rng.uniform(-0.6, 0.6), far - 0.3), 0.5, 0.25, rng.uniform(0.5, 2.0))
    if rng.random() < 0.5:
        F.chair(scene, frame.child(x + rng.uniform(-0.5, 0.5), far * 0.5, 0, rng.random() * 6))


def build_room(scene):
    """A furnished room seen by a hand-held camera."""
    rng = scene.rng
    large = rng.random() < 0.15
    width = rng.uniform(5, 14) if large else rng.uniform(2.4, 6)
    depth = rng.uniform(6, 18) if large else rng.uniform(2.8, 7.5)
    height = rng.uniform(2.6, 4.5) if large else clipped_gauss(rng, 2.55, 0.2, 2.15, 3.4)
    camera_x, camera_y = stand(rng, width, depth)
    free = rng.uniform(0.4, 0.8)  # around the lens
    floor = Floor(width, depth)
    floor.taken.append((camera_x, camera_y, free, free))
    middle = Frame(width / 2, depth / 2)
    scene.floor(middle, 0, 0, 0, width / 2 + 8, depth / 2 + 8, P.flooring(scene), shadow=0)
    ceiling = P.painted(scene, P.grey(rng, 0.6, 0.97)) if rng.random() < 0.8 else P.wooden(scene)
    scene.floor(middle, 0, 0, height, width / 2 + 8, depth / 2 + 8, ceiling, shadow=0)
    paint = P.painted(scene)
    trim = P.wooden(scene)
    light_at, fullness = None, rng.betavariate(2.5, 1.5)
    for frame, half in R.wall_frames(width, depth):
        material = paint if rng.random() < 0.75 else P.painted(scene)
        opening, taken = None, []
        feature = rng.random()
        if feature < 0.22 and half > 0.7:
            opening = (
                rng.uniform(-half + 0.6, half - 0.6),
                rng.uniform(0.38, 0.55),
                0.0,
                min(height, rng.uniform(1.95, 2.2)),
            )
            neighbour_room(scene, frame, opening, material)
            R.casing(scene, frame, opening, trim)
            if rng.random() < 0.5 and floor.claim(frame.child(opening[0], -0.5), opening[1] + 0.4, 0.5):
                R.open_door(scene, frame, opening)
        elif feature < 0.55 and half > 0.8:
            hw = rng.uniform(0.35, min(1.2, half - 0.2))
            through = rng.random() < 0.4
            window = (
                rng.uniform(-half + hw + 0.1, half - hw - 0.1),
                hw,
                rng.uniform(0.4, 1.1),
                min(height - 0.1, rng.uniform(1.9, 2.3)),
            )
            R.window(scene, frame, window, through)
            opening = window
            light_at = frame.world(window[0], -0.25, (window[2] + window[3]) / 2)
            taken.append(window[:2])
        if opening and opening[2] == 0:
            taken.append(opening[:2])
            floor.claim(frame.child(opening[0], -0.4), opening[1], 0.4)
        R.pierced_wall(scene, frame, half, height, material, opening)
        if opening is None and half > 0.7 and rng.random() < 0.3:
            x = rng.uniform(-half + 0.5, half - 0.5)
            R.door(scene, frame, x)
            taken.append((x, 0.45))
            floor.claim(frame.child(x, -0.3), 0.45, 0.3)
        if rng.random() < 0.5:
            R.skirting(scene, frame, half, trim)
        furnish_wall(scene, floor, frame, half, height, taken, fullness)
        R.hang_pictures(scene, frame, half, height, taken)
    furnish_middle(scene, floor, fullness)
    aim(scene, floor, camera_x, camera_y, height)
    indoor_light(scene, width, depth, height, light_at)
