"""A furnished room and a way to look at it, to be drawn from wherever a moving camera is."""

from pathlib import Path

import numpy as np

from training.scenes.renderer.projection import look_at
from training.scenes.renderer.rasteriser import Rasteriser
from training.scenes.world.catalogue import Catalogue
from training.scenes.world.furnishing import furnish
from training.scenes.world.furniture import Furniture
from training.scenes.world.room import Room
from training.scenes.world.room_shell import add_shell, light_room
from training.scenes.world.scene import Camera, Scene
from training.scenes.world.textures import TextureBank
from training.scenes.world.viewpoints import choose_camera


class Rooms:
    """
    Args:
        furniture: folder with `*.sh3f` libraries.
        cache: folder for parsed meshes.

    Raises:
        FileNotFoundError: no furniture. ImportError: moderngl is missing. RuntimeError: no EGL.
    """

    def __init__(self, furniture: Path, cache: Path):
        catalogue = Catalogue(furniture, cache)
        self.bank = TextureBank(catalogue, None)
        self.furniture = Furniture(catalogue)
        self.rasteriser = Rasteriser(self.bank)

    def of_world(self, seed: int, world: int) -> tuple[Scene, Camera]:
        """The room of a seed and a number, and a view of it."""
        rng = np.random.default_rng([seed, world])
        room = Room(rng, self.furniture, self.bank)
        add_shell(room)
        furnish(room)
        light_room(room)
        return room.scene, choose_camera(room)


__all__ = ["Rooms", "look_at"]
