"""Weather: sun, sky, clouds, haze."""

import math

from . import palette as P


def draw_weather(scene):
    """Sets sun, ambient light, sky and fog of an outdoor scene."""
    rng = scene.rng
    kind = rng.choices(("clear", "cloudy", "overcast", "low", "foggy"), (42, 24, 18, 12, 4))[0]
    elevation = {"low": rng.uniform(4, 18)}.get(kind, rng.uniform(18, 72)) * math.pi / 180
    azimuth = rng.random() * 2 * math.pi
    sun = (math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation))
    blue = P.hsv(rng.gauss(0.59, 0.02), rng.uniform(0.25, 0.8), rng.uniform(0.6, 1.0))
    pale = P.hsv(rng.gauss(0.58, 0.06), rng.uniform(0.0, 0.25), 1.0)
    strength = {"clear": rng.uniform(2.5, 4.5), "cloudy": rng.uniform(1.5, 3.5), "low": rng.uniform(1.5, 3)}.get(
        kind, 0.0
    )
    warm = P.hsv(0.09, rng.uniform(0.4, 0.75) if kind == "low" else rng.uniform(0.05, 0.25), 1.0)
    if strength:
        scene.sun(sun, [strength * v for v in warm], rng.uniform(0.006, 0.05 if kind == "cloudy" else 0.02))
    level = rng.uniform(0.35, 0.9) if strength else rng.uniform(1.2, 1.8)
    sky = rng.uniform(1.2, 3.2)
    if kind in ("overcast", "foggy"):
        blue = pale = P.hsv(0.6, rng.uniform(0, 0.12), 1.0)
    if kind == "low":
        pale = P.hsv(rng.uniform(0.03, 0.12), rng.uniform(0.1, 0.6), 1.0)
    density = 10 ** rng.uniform(-2.1, -1.4) if kind == "foggy" else 10 ** rng.uniform(-4, -2.6)
    bounce = rng.uniform(0.25, 0.55)
    scene.environment.update(
        zenith=[sky * 0.6 * v for v in blue], horizon=[sky * v for v in pale],
        clouds={"clear": rng.uniform(0, 0.5), "cloudy": rng.uniform(0.4, 0.9)}.get(kind, rng.uniform(0, 1.0)),
        cloud_color=[sky * rng.uniform(0.8, 1.3)] * 3, cloud_scale=rng.uniform(0.08, 0.35),
        cloud_offset=(rng.random(), rng.random()), glow=1.0 if strength and rng.random() < 0.6 else 0.0,
        ambient_up=[level * (0.5 * a + 0.5 * b) for a, b in zip(blue, pale, strict=True)],
        ambient_down=[level * bounce * v for v in P.hsv(0.1, 0.2, 1)],
        fog_density=density, fog_color=[sky * 0.8 * v for v in pale], occlusion=rng.uniform(0.6, 1.0),
    )  # fmt: skip
