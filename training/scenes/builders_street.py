"""Streets: urban, suburban, country roads, motorways, parking lots; the road may bend and meet a crossing."""

import math

from . import palette as P
from . import vehicles
from .camera import DEGREE, driving
from .outdoor_light import draw_weather
from .roadside import backdrop, roadside
from .scene import Frame

BUDGET = 420  # primitives after which only distant things are added


class Road:
    """The middle line x = curvature y^2 / 2 and frames beside it."""

    def __init__(self, rng):
        self.curvature = rng.gauss(0, 1 / 500) if rng.random() < 0.6 else 0.0
        self.cross = (rng.uniform(12, 60), rng.uniform(3, 6)) if rng.random() < 0.25 else (0.0, 0.0)

    def frame(self, offset, y):
        return Frame(self.curvature * y * y / 2 + offset, y, 0, -math.atan(self.curvature * y))

    def crossed(self, y, half):
        return self.cross[1] > 0 and abs(y - self.cross[0]) < self.cross[1] + half + 1.5


def paint_road(scene, road, style, half_width, pavement, lanes):
    """Ground plane with the road layout that `road.road_color` draws."""
    rng = scene.rng
    side = {"urban": "paving", "motorway": "grass", "parking": "asphalt"}.get(style)
    ground = P.ground(scene, side if rng.random() < 0.8 else None, road=1.0)
    scene.floor(Frame(0, 200), 0, 0, 0, 600, 600, ground, shadow=0)
    width = 2 * half_width / lanes
    lines = [-half_width + width * k for k in range(1, lanes)][:2]
    dashed = [rng.random() < 0.75 for _ in lines]
    if rng.random() < (0.9 if style == "motorway" else 0.45):
        lines += [-half_width + 0.25, half_width - 0.25]
        dashed += [rng.random() < 0.15] * 2
    lines, dashed = (lines + [-999.0] * 4)[:4], (dashed + [False] * 4)[:4]
    tone, worn = P.grey(rng, 0.22, 0.62), rng.random() < 0.15
    scene.environment.update(
        road_curvature=road.curvature, road_half_width=half_width, road_pavement=pavement, road_lanes=lines,
        road_dashed=dashed, road_line_width=0.0 if worn else rng.uniform(0.1, 0.18), road_dash=rng.uniform(4, 12),
        road_cross=road.cross, road_asphalt=tone, road_paving=P.grey(rng, 0.35, 0.75),
        road_line=P.hsv(0.13, 0.7 if rng.random() < 0.1 else 0.03, rng.uniform(0.7, 1)),
    )  # fmt: skip


def parked_cars(scene, road, offset, side, density):
    """A row of cars along the kerb, facing along the road, or nose in."""
    rng = scene.rng
    nose_in = rng.random() < 0.15
    pitch = rng.uniform(2.5, 3.0) if nose_in else rng.uniform(5.2, 7)
    y = rng.uniform(1.5, 8)
    while y < 75 and len(scene.objects) < BUDGET:
        if rng.random() < density and not road.crossed(y, 3):
            frame = road.frame(offset, y).child(
                0, 0, 0, (0 if nose_in else math.pi / 2) * rng.choice((-1, 1)) + rng.gauss(0, 0.03)
            )
            (vehicles.car if rng.random() < 0.9 else vehicles.truck)(scene, frame, near=y < 35)
        y += pitch * rng.uniform(1, 1.25)


def traffic(scene, road, half_width, lanes, camera_lane):
    rng = scene.rng
    for _ in range(rng.choice((0, 0, 1, 1, 2, 2, 3, 4))):
        lane = rng.randrange(lanes)
        offset = -half_width + (lane + 0.5) * 2 * half_width / lanes
        y = 6 + 75 * rng.random() ** 1.5
        if lane == camera_lane:
            y = max(y, 9)
        frame = road.frame(offset, y).child(0, 0, 0, math.pi / 2 if offset > 0 else -math.pi / 2)
        (vehicles.car if rng.random() < 0.8 else vehicles.truck)(scene, frame, near=y < 40)


def build_street(scene):
    """A street scene seen from a car or by a pedestrian."""
    rng = scene.rng
    style = rng.choices(("urban", "suburban", "country", "motorway", "parking"), (36, 28, 18, 8, 10))[0]
    road = Road(rng)
    lanes = {"motorway": rng.choice((2, 3, 3, 4)), "urban": rng.choice((1, 2, 2, 2, 3, 4))}.get(
        style, rng.choice((1, 2, 2))
    )
    half_width = lanes * rng.uniform(2.7, 3.7) / 2 + (
        rng.uniform(2, 4.5) if style == "urban" and rng.random() < 0.6 else 0.3
    )
    pavement = rng.uniform(1.2, 4) if style in ("urban", "suburban") and rng.random() < 0.85 else 0.0
    draw_weather(scene)
    paint_road(scene, road, style, half_width, pavement, lanes)
    lane = rng.randrange(lanes) if rng.random() < 0.2 else lanes - 1
    x = -half_width + (lane + 0.5) * 2 * half_width / lanes + rng.gauss(0, 0.3)
    wide = scene.width >= 1.9 * scene.height
    if wide or rng.random() < 0.6:
        yaw = rng.gauss(0, 3 if rng.random() < 0.8 else 14) * DEGREE
    else:
        yaw = rng.uniform(-95, 95) * DEGREE
        x = rng.uniform(-half_width - pavement, half_width + pavement) * 0.9
    rails = rng.random() < 0.07
    edge = half_width + pavement
    for side in (-1, 1):
        beside = edge + (4.5 if rails and side > 0 else 0)
        if rails and side > 0:
            scene.environment["road_rails"] = edge + 2.4
        free = side * x < half_width - 2.6 - 0.9  # room for a row between the lane and the kerb
        density = rng.uniform(0.2, 0.95) if style in ("urban", "suburban") and rng.random() < 0.65 else 0.0
        if density and free:
            parked_cars(scene, road, side * (half_width - 1.05), side, density)
        roadside(scene, road, side, beside, style, BUDGET * (0.62 if side < 0 else 1))
    if style == "parking":
        for row in range(rng.randint(1, 3)):
            side = rng.choice((-1, 1))
            parked_cars(scene, road, side * (half_width + 3 + 5.5 * row), side, rng.uniform(0.4, 0.9))
    traffic(scene, road, half_width, lanes, lane)
    backdrop(scene, style)
    driving(scene, x, 0.0, 0.0, yaw)
