"""The scene under construction: builders add primitives, materials, lights, a camera; `tables()` packs them."""

import math
import random

import numpy as np

from . import layout as L
from .layout import CAMERA, ENVIRONMENT, LIGHT, LIGHTS, MATERIAL, OBJECT, SENSOR

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class Frame:
    """A place with a heading: composites put their parts in local coordinates (x right, y back, z up)."""

    __slots__ = ("x", "y", "z", "yaw", "cosine", "sine")

    def __init__(self, x=0.0, y=0.0, z=0.0, yaw=0.0):
        self.x, self.y, self.z, self.yaw = x, y, z, yaw
        self.cosine, self.sine = math.cos(yaw), math.sin(yaw)

    def world(self, x, y, z):
        return self.x + self.cosine * x - self.sine * y, self.y + self.sine * x + self.cosine * y, self.z + z

    def child(self, x=0.0, y=0.0, z=0.0, yaw=0.0):
        return Frame(*self.world(x, y, z), self.yaw + yaw)


class Scene:
    """One scene. `rng` is a `random.Random`: the scene is a function of its seed alone.

    World units are metres, z up. Objects and materials are rows of `layout.OBJECT` and `layout.MATERIAL`.
    """

    def __init__(self, seed, height, width):
        self.rng = random.Random(seed)
        self.height, self.width = height, width
        self.objects, self.materials, self.lights = [], [], []
        self.environment, self.sensor, self.camera = {}, {"seed": seed % (1 << 23)}, None
        self.heights = None

    # Materials

    def material(self, texture, scale, a, b=None, c=None, rotation=0.0, specular=0.0, gloss=20.0, mirror=0.0,
                 mirror_by_mix=0.0, bump=0.0, dirt=0.1, dirt_scale=3.0, emission=0.0, translucency=0.0,
                 road=0.0):  # fmt: skip
        """Adds a material, colours linear RGB; returns its index."""
        b, c = b or a, c or b or a
        self.materials.append((
            texture, scale, rotation, *a, *b, *c, specular, gloss, mirror, mirror_by_mix, bump, dirt, dirt_scale,
            emission, translucency, road,
        ))  # fmt: skip
        return len(self.materials) - 1

    # Primitives

    def add(self, kind, centre, half, material, yaw=0.0, extra=(0.0, 0.0, 0.0, 0.0), axes=None, shadow=1.0, tint=1.0):
        if axes is None:
            if yaw:
                c, s = math.cos(yaw), math.sin(yaw)
                axes = (c, s, 0.0, -s, c, 0.0, 0.0, 0.0, 1.0)
            else:
                axes = _IDENTITY
        random_ = self.rng.random
        self.objects.append((
            kind, *centre, *axes, *half, *extra, material, shadow, random_(), random_(),
            tint * (0.9 + 0.2 * random_()), 0.0,
        ))  # fmt: skip

    def box(self, frame, x, y, z, hx, hy, hz, material, **options):
        """Box whose bottom stands at local height z."""
        self.add(L.BOX, frame.world(x, y, z + hz), (hx, hy, hz), material, yaw=frame.yaw, **options)

    def frustum(self, frame, x, y, z, hx, hy, hz, material, top_x=0.6, top_y=0.8, shift=0.0, **options):
        extra = (top_x, top_y, shift, 0.0)
        self.add(L.FRUSTUM, frame.world(x, y, z + hz), (hx, hy, hz), material, yaw=frame.yaw, extra=extra, **options)

    def cylinder(self, frame, x, y, z, radius, hz, material, top=1.0, **options):
        """Upright cylinder or cone (top: ratio of the radii) from local height z."""
        extra = (max(top, 1e-3), 0.0, 0.0, 0.0)
        self.add(
            L.CYLINDER,
            frame.world(x, y, z + hz),
            (radius, radius, hz),
            material,
            yaw=frame.yaw,
            extra=extra,
            **options,
        )

    def rod(self, frame, start, end, radius, material, **options):
        """Cylinder between two local points."""
        a, b = frame.world(*start), frame.world(*end)
        axis = [q - p for p, q in zip(a, b, strict=True)]
        length = math.sqrt(sum(v * v for v in axis)) or 1e-6
        axes = frame_along([v / length for v in axis])
        centre = [(p + q) / 2 for p, q in zip(a, b, strict=True)]
        extra = (1.0, 0.0, 0.0, 0.0)
        self.add(L.CYLINDER, centre, (radius, radius, length / 2), material, axes=axes, extra=extra, **options)

    def ellipsoid(self, frame, x, y, z, rx, ry, rz, material, **options):
        """Ellipsoid around the local point (x, y, z)."""
        self.add(L.ELLIPSOID, frame.world(x, y, z), (rx, ry, rz), material, yaw=frame.yaw, **options)

    def foliage(self, frame, x, y, z, rx, ry, rz, material, holes=0.4, leaf=1.0, **options):
        extra = (holes, leaf, self.rng.random() * leaf, self.rng.random() * leaf)
        self.add(L.FOLIAGE, frame.world(x, y, z), (rx, ry, rz), material, yaw=frame.yaw, extra=extra, **options)

    def wall(self, frame, x, y, z, hx, hz, material, pitch=None, solid=None, yaw=0.0, **options):
        """Upright rectangle through the local point (x, y), from height z; pitch and solid give a periodic fence."""
        angle = frame.yaw + yaw
        c, s = math.cos(angle), math.sin(angle)
        axes = (c, s, 0.0, 0.0, 0.0, 1.0, s, -c, 0.0)  # local x along the wall, local y up
        extra = (*pitch, *solid) if pitch else (0.0, 0.0, 0.0, 0.0)
        self.add(L.RECTANGLE, frame.world(x, y, z + hz), (hx, hz, 1e-3), material, axes=axes, extra=extra, **options)

    def floor(self, frame, x, y, z, hx, hy, material, **options):
        """Level rectangle at local height z."""
        self.add(L.RECTANGLE, frame.world(x, y, z), (hx, hy, 1e-3), material, yaw=frame.yaw, **options)

    def terrain(self, heights, half, material):
        """Height field (size, size) over +-half metres around the origin, row y, column x."""
        self.heights = heights.astype(np.float32)
        top = float(np.abs(heights).max()) + 0.1
        self.add(L.TERRAIN, (0.0, 0.0, 0.0), (half, half, top), material, shadow=0.0)

    # Lights, camera

    def sun(self, direction, color, radius=0.01):
        """Directional light towards the unit vector `direction`; radius: tangent of the angle it fills."""
        self.lights.append((1.0, *direction, *color, radius))

    def lamp(self, place, color, radius=0.1):
        """Light at a place, its shadows as soft as those of a ball of `radius` metres."""
        self.lights.append((2.0, *place, *color, radius))

    def look(self, position, yaw, pitch, roll, focal, center=(0.5, 0.5)):
        """Places the camera: yaw 0 looks along +y, positive to the left; positive pitch looks up. Angles in radians,
        focal in pixels, center (principal point) in fractions of the image."""
        cy, sy, cp, sp, cr, sr = (f(v) for v in (yaw, pitch, roll) for f in (math.cos, math.sin))
        forward = (-sy * cp, cy * cp, sp)
        right, down = (cy, sy, 0.0), (-sy * sp, cy * sp, -cp)
        right, down = (
            [r * cr + d * sr for r, d in zip(right, down, strict=True)],
            [d * cr - r * sr for r, d in zip(right, down, strict=True)],
        )
        self.camera = {
            "position": position, "axes": (*right, *down, *forward), "focal": (focal, focal),
            "center": (center[0] * self.width, center[1] * self.height),
        }  # fmt: skip

    def tables(self):
        """float32 arrays: objects (n, OBJECT.size), materials (m, MATERIAL.size), and one row of each other table."""
        lights = np.zeros((LIGHTS, LIGHT.size), dtype=np.float32)
        if self.lights:
            lights[: len(self.lights)] = self.lights[:LIGHTS]
        return {
            "objects": np.array(self.objects, dtype=np.float32).reshape(-1, OBJECT.size),
            "materials": np.array(self.materials, dtype=np.float32).reshape(-1, MATERIAL.size),
            "cameras": CAMERA.pack(self.camera),
            "lights": lights.ravel(),
            "environments": ENVIRONMENT.pack(self.environment),
            "sensors": SENSOR.pack(self.sensor),
            "heights": self.heights,
        }


def frame_along(axis):
    """Axes (nine numbers, rows) of a right-handed frame whose z is the unit vector `axis`."""
    x, y, z = axis
    helper = (0.0, 0.0, 1.0) if abs(z) < 0.9 else (1.0, 0.0, 0.0)
    u = (helper[1] * z - helper[2] * y, helper[2] * x - helper[0] * z, helper[0] * y - helper[1] * x)
    norm = math.sqrt(sum(v * v for v in u))
    u = tuple(v / norm for v in u)
    v = (y * u[2] - z * u[1], z * u[0] - x * u[2], x * u[1] - y * u[0])
    return (*u, *v, *axis)


def random_axes(rng):
    """Axes of a uniformly random rotation (from a random unit quaternion)."""
    w, x, y, z = (rng.gauss(0, 1) for _ in range(4))
    n = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / n, x / n, y / n, z / n
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
