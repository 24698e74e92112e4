"""A furnished room and a way to look at it, to be drawn from wherever a moving camera is."""

from pathlib import Path

import numpy as np

from training.scenes.pictures import Pictures
from training.scenes.renderer.projection import look_at
from training.scenes.world.furnishing import furnished_room
from training.scenes.world.scene import Camera, Scene
from training.scenes.world.viewpoints import choose_camera


class Rooms:
    """Rooms with furniture from the `*.sh3f` libraries of a folder. Raises what `Pictures` does."""

    def __init__(self, furniture: Path, cache: Path):
        self._parts = Pictures(furniture, None, cache, shares=(1, 0, 0))
        self.rasteriser = self._parts.rasteriser

    def of_world(self, seed: int, world: int) -> tuple[Scene, Camera]:
        """The room of a seed and a number, and a view of it."""
        room = furnished_room(np.random.default_rng([seed, world]), self._parts.furniture, self._parts.bank)
        return room.scene, choose_camera(room)


__all__ = ["Rooms", "look_at"]
