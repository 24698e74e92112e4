"""Views of a room as people, phones, robots or ceilings have them."""

import numpy as np

from .room import Placed, Room
from .scene import Camera


def choose_camera(room: Room) -> Camera:
    """A view as people, phones, robots or ceilings have it."""
    rng, w, d, h = room.rng, room.width, room.depth, room.height
    tops = [p for p in room.placed if p.top is not None and 0.3 < p.top < 1.3 and p.sides.min() > 0.3]
    kind = rng.choice(["eye", "close", "overhead", "robot", "high"], p=[0.36, 0.31, 0.15, 0.13, 0.05])
    fov = rng.uniform(0.75, 1.25)
    roll = rng.normal(0, 0.03)
    if kind == "overhead" or (kind == "close" and rng.random() < 0.15):
        roll = rng.choice([0, 0.5, 1, 1.5]) * np.pi + rng.normal(0, 0.2)
    # from above, half of the views take in the edge of a table and the floor below it
    beside = 0.35 if kind == "overhead" and rng.random() < 0.5 else 0.0
    for _ in range(60):
        if kind in ("close", "overhead") and tops:
            eye, target = view_of_top(rng, tops[rng.integers(len(tops))], kind == "close", beside)
        else:
            eye, target = view_across(room, kind)
            if np.hypot(*(target - eye)[[0, 2]]) < 0.8:
                continue
            pitches = dict(eye=rng.uniform(-0.5, 0.08), robot=rng.uniform(-0.2, 0.12), high=rng.uniform(-0.9, -0.3))
            target[1] = eye[1] + np.tan(pitches.get(kind, -0.5)) * np.hypot(*(target - eye)[[0, 2]])
        if room.inside(eye, 0.1) and 0.08 < eye[1] < h - 0.08 and room.free(eye):
            return Camera(eye, target, fov, roll)
    return Camera(np.array([w / 2, 1.4, 0.3]), np.array([w / 2, 1.0, d]), fov, roll)


def view_of_top(rng: np.random.Generator, spot: Placed, close: bool, beside: float) -> tuple[np.ndarray, np.ndarray]:
    """Eye and target (3,) for things on a table, from arm's length or from above, up to `beside` metres off it."""
    target = rng.uniform(spot.low - beside, spot.high + beside)
    target[1] = spot.top + rng.uniform(0, 0.15)
    up = rng.uniform(0.2, 1.1) if close else rng.uniform(0.95, 1.55)
    away = rng.uniform(0.35, 1.2) if close else rng.uniform(0.5, 1.6)
    turn = rng.uniform(0, 2 * np.pi)
    return target + away * np.array([np.cos(up) * np.cos(turn), np.sin(up), np.cos(up) * np.sin(turn)]), target


def view_across(room: Room, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Eye (3,), and a target (3,) on the floor anywhere in the room."""
    rng, w, d, h = room.rng, room.width, room.depth, room.height
    low, high = {"eye": (1.0, 1.75), "robot": (0.12, 0.7), "high": (1.9, h - 0.15)}.get(kind, (0.9, 1.6))
    eye = np.array([rng.uniform(0.15, w - 0.15), rng.uniform(low, min(high, h - 0.1)), rng.uniform(0.15, d - 0.15)])
    if rng.random() < 0.6 and kind != "robot":  # from near a wall, to see more
        axis = int(rng.integers(2)) * 2
        eye[axis] = rng.choice([0.2, (w if axis == 0 else d) - 0.2])
    return eye, np.array([rng.uniform(0, w), 0, rng.uniform(0, d)])
