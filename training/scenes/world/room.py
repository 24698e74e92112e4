"""A room and the upright boxes that its things fill."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .catalogue import Model
from .scene import Scene
from .shapes import place
from .stock import Furniture
from .surfaces import dressed
from .textures import TextureBank


@dataclass
class Placed:
    """An upright box that a thing fills, and the height things can stand on; for cameras and collisions."""

    low: np.ndarray
    high: np.ndarray
    top: float | None = None
    what: str = ""

    @property
    def middle(self) -> np.ndarray:
        return (self.low + self.high) / 2

    @property
    def sides(self) -> np.ndarray:
        """Its extent along x and z, metres (2,)."""
        return (self.high - self.low)[[0, 2]]

    def meets(self, other: "Placed") -> bool:
        return bool((self.low < other.high - 1e-3).all() and (other.low < self.high - 1e-3).all())

    def named(self, words: tuple[str, ...]) -> bool:
        return any(word in self.what.lower() for word in words)


class Room:
    """A room to be filled. Coordinates: floor y = 0, x in [0, width], z in [0, depth]."""

    def __init__(self, rng: np.random.Generator, furniture: Furniture, bank: TextureBank):
        self.rng, self.furniture, self.bank = rng, furniture, bank
        self.scene = Scene()
        self.placed: list[Placed] = []
        self.corridor = rng.random() < 0.1
        self.width, self.depth = rng.uniform(2.6, 6.5), rng.uniform(2.6, 7.5)
        if self.corridor:
            self.width, self.depth = rng.uniform(1.3, 2.6), rng.uniform(6, 16)
        elif rng.random() < 0.15:
            self.width, self.depth = rng.uniform(6, 14), rng.uniform(6, 14)
        self.height = rng.uniform(2.3, 3.2) if max(self.width, self.depth) < 8 else rng.uniform(2.5, 4.5)

    def draw_side(self) -> tuple[int, float]:
        """One of the four walls at random, and its length."""
        side = int(self.rng.integers(4))
        return side, self.side_length(side)

    def side_length(self, side: int) -> float:
        return self.width if side < 2 else self.depth

    def on_side(self, side: int, along: float, off: float, y: float) -> tuple[tuple[float, float, float], float]:
        """Position and turn of a thing with its back to wall `side`, `off` metres from it to its centre."""
        w, d = self.width, self.depth
        return [
            ((along, y, off), 0.0),
            ((along, y, d - off), np.pi),
            ((off, y, along), np.pi / 2),
            ((w - off, y, along), -np.pi / 2),
        ][side]

    def inside(self, point: np.ndarray, margin: float) -> bool:
        """Whether a point is `margin` metres from all walls."""
        return margin < point[0] < self.width - margin and margin < point[2] < self.depth - margin

    def claim(
        self, position: ArrayLike, turn: float, size: ArrayLike, top: float | None = None, what: str = ""
    ) -> bool:
        """
        Takes the upright box around a turned footprint, if nothing else has it and it lies inside the room.

        Args:
            position: (3,) middle of its floor. size: width, depth and height before the turn.
        """
        width, depth, height = size
        cos, sin = abs(np.cos(turn)), abs(np.sin(turn))
        half = np.array([cos * width + sin * depth, 0, sin * width + cos * depth]) / 2
        low, high = np.array(position) - half, np.array(position) + half
        high[1] += height
        low[1] += 0.01
        if (low[[0, 2]] < -0.06).any() or high[0] > self.width + 0.06 or high[2] > self.depth + 0.06:
            return False
        new = Placed(low, high, None if top is None else position[1] + top, what)
        if any(new.meets(other) for other in self.placed):
            return False
        self.placed.append(new)
        return True

    def put(self, model: Model, position: ArrayLike, turn: float, claim: bool = True) -> bool:
        """Adds a model at a place; whether it could be, which without `claim` is wherever it has a mesh."""
        mesh = self.furniture.catalogue.mesh(model)
        if mesh is None:
            return False
        size = (model.width, model.depth, model.height)
        if claim and not self.claim(position, turn, size, model.top, model.name):
            return False
        self.scene.add(mesh, place(*position, turn=turn), dressed(self.rng, self.bank, mesh))
        return True

    def free(self, point: np.ndarray) -> bool:
        """Whether nothing is within 12 cm of a point."""
        return not any((p.low - 0.12 < point).all() and (point < p.high + 0.12).all() for p in self.placed)
