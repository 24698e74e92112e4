"""Pictures of rooms, streets and yards: builds a world for each seed and looks at it from several places."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .renderer.rasteriser import Rasteriser
from .renderer.sensor import develop
from .world.catalogue import Catalogue
from .world.furnishing import furnished_room
from .world.outdoors import Outdoors
from .world.scene import Camera, Scene
from .world.stock import Furniture, OutdoorThings, lacking
from .world.street import build_street
from .world.textures import TextureBank
from .world.viewpoints import choose_camera
from .world.yard import build_yard

KINDS = ("room", "street", "yard")
SHARES = (0.6, 0.28, 0.12)
"""How many of the worlds are of each kind."""
ROOM_VIEWS, STREET_VIEWS = 6, 4
WIDE, USUAL, UPRIGHT = (160, 512), (240, 320), (320, 240)
"""(height, width) of streets from a car, of most pictures and of upright ones."""
View = tuple[Camera, tuple[int, int]]
"""Where from, and (height, width) of the picture."""


@dataclass(frozen=True)
class Picture:
    """`image` uint8 (h, w, 3); `depth` float32 (h, w), planar metres, 0 in the sky; `name` is SEED-WORLD-VIEW."""

    image: np.ndarray
    depth: np.ndarray
    name: str


class Pictures:
    """
    Args:
        furniture: folder with `*.sh3f` libraries.
        photographs: folder with JPEG files for posters, books and surfaces; None draws patterns instead.
        cache: folder for parsed meshes.
        shares: of rooms, streets and yards among the worlds.
        scale: of the pictures' sides; 1.2 makes 288x384 of 240x320.

    Raises:
        FileNotFoundError: no furniture. ValueError: none for one of the kinds, or a file that is no library.
        ImportError: moderngl is missing. RuntimeError: no EGL.
    """

    def __init__(
        self,
        furniture: Path,
        photographs: Path | None,
        cache: Path,
        shares: tuple[float, ...] = SHARES,
        scale: float = 1.0,
    ):
        catalogue = Catalogue(furniture, cache)
        self.bank = TextureBank(catalogue, photographs)
        self.furniture, self.outdoors = Furniture(catalogue), OutdoorThings(catalogue)
        for kind, share, stock in zip(KINDS, shares, (self.furniture, self.outdoors, self.outdoors), strict=True):
            if share and (missing := ", ".join(lacking(stock))):
                raise ValueError(
                    f"{furniture} has no models for {missing}, which {kind}s need: add libraries to it, "
                    f"or leave {kind}s out with --shares."
                )
        self.rasteriser = Rasteriser(self.bank)
        self.shares = np.asarray(shares, float) / np.sum(shares)
        self.scale = scale

    def of_world(self, seed: int, world: int) -> Iterator[Picture]:
        """The pictures of one world; those that show hardly anything are left out."""
        rng = np.random.default_rng([seed, world])
        kind = rng.choice(KINDS, p=self.shares)
        scene, views = {"room": self._room, "street": self._street, "yard": self._yard}[kind](rng)
        for index, (camera, (height, width)) in enumerate(views):
            if height > width:
                camera.fov *= 0.72
            scene.camera = camera
            sides = round(self.scale * height), round(self.scale * width)
            light, depth = self.rasteriser.draw(scene, *sides, rng.uniform(0.5, 1))
            if shows_something(depth, near=2.0 if (height, width) == WIDE else 0.0 if kind == "room" else 0.25):
                yield Picture(develop(rng, light, depth), depth, f"{seed}-{world}-{index}")

    def _room(self, rng: np.random.Generator) -> tuple[Scene, list[View]]:
        room = furnished_room(rng, self.furniture, self.bank)
        views = [(choose_camera(room), UPRIGHT if rng.random() < 0.25 else USUAL) for _ in range(ROOM_VIEWS)]
        return room.scene, views

    def _street(self, rng: np.random.Generator) -> tuple[Scene, list[View]]:
        world = Outdoors(rng, self.outdoors, self.bank, street=True)
        car, walker = build_street(world)
        views = [(car, WIDE), (walker, USUAL)]
        for _ in range(STREET_VIEWS - 1):  # further down the road
            step = np.array([0.0, 0.0, -rng.uniform(0, 40)])
            views.append((replace(car, eye=car.eye + step, target=car.target + step), WIDE))
        if rng.random() < 0.5:
            views.append((car, USUAL))
        return world.scene, views

    def _yard(self, rng: np.random.Generator) -> tuple[Scene, list[View]]:
        world = Outdoors(rng, self.outdoors, self.bank, street=False)
        return world.scene, [(build_yard(world), UPRIGHT if rng.random() < 0.3 else USUAL)]


def shows_something(depth: np.ndarray, near: float) -> bool:
    """Whether a quarter of the picture is no sky, its depths differ, and less than 4 % of it is nearer than `near`."""
    seen = depth[depth > 0]
    if len(seen) < 0.25 * depth.size:
        return False
    low, few, middle, high = np.quantile(seen, [0.05, 0.04, 0.5, 0.95])
    return middle >= 0.2 and few >= near and high / low >= 1.12
