"""What streets and yards share: light, ground, plants, houses, cars, signs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .catalogue import Model
from .patterns import Span, tint
from .scene import Light, Material, Mesh, Scene
from .shapes import BOX, blob, lathe, place, shifted
from .stock import OutdoorThings, pick
from .surfaces import dressed, surface
from .textures import TextureBank

POLE = lathe([(0.5, 0), (0.5, 1), (0, 1)], 8, key="pole")


class Outdoors:
    """An outdoor scene to be filled; y = 0 is the ground, a road, if any, runs along -z, x to the right."""

    def __init__(self, rng: np.random.Generator, things: OutdoorThings, bank: TextureBank, street: bool):
        self.rng, self.things, self.bank = rng, things, bank
        self.scene = Scene(sky=bank.pattern(rng, "sky"))
        self.light(span=32.0 if street else 14.0)

    def light(self, span: float) -> None:
        """Sun or an overcast sky, and haze; `span` is the light's."""
        rng, scene = self.rng, self.scene
        overcast = rng.random() < 0.35
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.3)
        direction = np.array([np.cos(height) * np.cos(angle), np.sin(height), np.cos(height) * np.sin(angle)])
        focus = np.array([0.0, 0.0, -18.0])
        tone = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.6, 1.0)])
        sun = tone * (rng.uniform(0, 0.25) if overcast else rng.uniform(0.7, 1.6))
        scene.light = Light(focus + direction * 80, focus, tuple(sun), span=span, softness=rng.uniform(0.8, 2.5))
        level = rng.uniform(0.3, 0.7)
        scene.sky_light = tuple(np.array([rng.uniform(0.8, 1), 0.95, rng.uniform(1, 1.2)]) * level)
        scene.ground_light = tuple(np.array([1, 0.95, 0.85]) * level * rng.uniform(0.3, 0.7))
        scene.haze = rng.uniform(0, 0.006) if rng.random() < 0.6 else 0.0
        scene.haze_color = tint(rng, (0, 0.12), (0.6, 0.95), 2)

    def ground(self, material: Material) -> None:
        """What everything stands on."""
        self.strip(0, 300, -0.1, 0.1, material)

    def strip(self, x: float, width: float, y: float, height: float, material: Material) -> None:
        """A flat band along the whole road: its middle, its width, its lower side and its height."""
        self.scene.add(BOX, place(x, y, -100, scale=(width, height, 300)), material, casts_shadow=False)

    def put(self, model: Model, x: float, z: float, turn: float, scale: float = 1.0, y: float = 0.0) -> None:
        """A model of the catalogue, if it has a mesh."""
        mesh = self.things.catalogue.mesh(model)
        if mesh is not None:
            self.scene.add(mesh, place(x, y, z, turn, scale), dressed(self.rng, self.bank, mesh, 0.1))

    def car(self, x: float, z: float, turn: float) -> None:
        """A vehicle in a random colour."""
        rng, things = self.rng, self.things
        model = pick(rng, things.trucks if rng.random() < 0.08 else things.cars)
        mesh = things.catalogue.mesh(model)
        if mesh is None:
            return
        materials = list(dressed(rng, self.bank, mesh, 0.05))
        paint = tint(rng, (0, 0.15) if rng.random() < 0.7 else (0.4, 0.9), (0.03, 1.0), 2)
        body = int(np.argmax([count for _, count, _ in mesh.parts]))
        materials[body] = replace(materials[body], color=paint, texture=None, gloss=0.5, shininess=60, alpha=1.0)
        along = 0 if model.depth > model.width else np.pi / 2
        # glass of cars is seen as a surface
        materials = tuple(replace(m, alpha=max(m.alpha, 0.75)) if m.alpha < 0.98 else m for m in materials)
        self.scene.add(mesh, place(x, 0, z, turn + along), materials)

    def draw_plant(self) -> Callable[[float, float], None]:
        """What adds a tree, or what adds a bush."""
        return self.tree if self.rng.random() < 0.5 else self.bush

    def tree(self, x: float, z: float) -> None:
        """A tree of the catalogue, or a trunk under leafy lumps."""
        rng = self.rng
        if rng.random() < 0.45:
            return self.put(pick(rng, self.things.trees), x, z, rng.uniform(0, 6.3), rng.uniform(0.6, 1.3))
        trunk, height, girth = rng.uniform(0.8, 3.5), rng.uniform(2.5, 9), rng.uniform(0.12, 0.5)
        brown = tint(rng, (0.1, 0.5), (0.2, 0.5), 2, (0.05, 0.12))
        bark = Material(brown, self.bank.pattern(rng, "stone", "rust"), 0.8)
        self.scene.add(POLE, place(x, 0, z, scale=(girth, trunk + height * 0.3, girth)), bark)
        leaves = self.leaves((0.8, 2.5))
        for _ in range(rng.integers(1, 7)):
            size = height * rng.uniform(0.4, 0.9)
            right, up, back = rng.normal(0, height * 0.18, 3)
            at = (x + right, max(trunk * 0.7, trunk + up), z + back)
            self.lump(blob(rng, 0.35), at, size, (0.7, 1.2), leaves)

    def bush(self, x: float, z: float) -> None:
        """A plant of the catalogue, or leafy lumps."""
        rng = self.rng
        if rng.random() < 0.3:
            return self.put(pick(rng, self.things.bushes), x, z, rng.uniform(0, 6.3), rng.uniform(0.6, 1.4))
        leaves = self.leaves((0.5, 1.6))
        for _ in range(rng.integers(1, 4)):
            size, mesh = rng.uniform(0.5, 2.2), blob(rng, 0.3)
            self.lump(mesh, (x + rng.normal(0, 0.5), -0.1, z + rng.normal(0, 0.5)), size, (0.6, 1.1), leaves)

    def leaves(self, metres: Span) -> Material:
        tone = tint(self.rng, (0, 0.3), (0.6, 1.0))
        return Material(tone, self.bank.pattern(self.rng, "leaves"), self.rng.uniform(*metres))

    def lump(self, mesh: Mesh, at: tuple, size: float, flatness: Span, material: Material) -> None:
        """A ball of leaves, `size` metres wide and a share of that high."""
        turn, height = self.rng.uniform(0, 6), size * self.rng.uniform(*flatness)
        self.scene.add(mesh, place(*at, turn, (size, height, size)), material)

    def house(self, x: float, z: float, turn: float, size: tuple[float, float, float]) -> None:
        """A house whose front, at its +z side, is centred on (x, z); `size`: width, depth, height."""
        rng, bank, (width, depth, height) = self.rng, self.bank, size

        def box(across: float, up: float, out: float, scale: tuple, material: Material, lean: float = 0.0) -> None:
            self.scene.add(BOX, place(*shifted((x, 0, z), turn, across, up, out), turn, scale, lean), material)

        walls = self.facade()
        box(0, 0, -depth / 2, (width, height, depth), walls)
        tone = tint(rng, (0, 0.5), (0.2, 0.7), 2, (0, 0.1))
        tiles = Material(tone, bank.pattern(rng, "tiles", "bricks", "planks"), 2.0)
        if rng.random() < 0.6:
            rise = depth / 2 * rng.uniform(0.5, 1.1)
            length = np.hypot(rise, depth / 2)
            slope = np.arctan2(rise, depth / 2)
            for face in (1, -1):
                out = -depth / 2 + face * depth / 4
                box(0, height + rise / 2 - 0.05, out, (width + 0.5, 0.15, length + 0.6), tiles, face * slope)
            box(0, height, -depth / 2, (width * 0.98, rise * 0.5, depth * 0.5), walls)
        else:
            box(0, height, -depth / 2, (width + 0.3, 0.35, depth + 0.3), tiles)
        for _ in range(rng.integers(0, 4)):  # bays, porches, balconies, signs
            w, h, d = rng.uniform(0.8, 3), rng.uniform(0.4, min(3, height)), rng.uniform(0.2, 1.3)
            up = 0 if rng.random() < 0.5 else rng.uniform(2.2, max(2.3, height - h))
            own = walls if rng.random() < 0.4 else surface(rng, bank, "plaster", "wood", "metal", "planks", "stone")
            box(rng.uniform(-1, 1) * max(0.1, (width - w) / 2), up, d / 2, (w, h, d), own)
        if rng.random() < 0.5:
            texture = bank.photo(rng) if rng.random() < 0.4 else bank.pattern(rng, "wood", "planks", "metal")
            across, door = rng.uniform(-0.35, 0.35) * width, (rng.uniform(0.9, 3), rng.uniform(2, 2.8), 0.06)
            box(across, 0, 0.03, door, Material((0.8,) * 3, texture))

    def facade(self) -> Material:
        """The walls of a house: windows, a photograph or plain."""
        rng, bank = self.rng, self.bank
        tone = tint(rng, (0, 0.2), (0.6, 1.0), 1.3)
        if rng.random() < 0.75:
            texture = bank.pattern(rng, "facade")
        elif rng.random() < 0.4:
            texture = bank.photo(rng)
        else:
            texture = bank.pattern(rng, "bricks", "plaster", "stone")
        return Material(tone, texture, rng.uniform(2.4, 5), gloss=0.02)

    def sign(self, x: float, z: float) -> None:
        """A sign on a pole."""
        rng = self.rng
        height = rng.uniform(2, 3.5)
        self.scene.add(POLE, place(x, 0, z, scale=(0.07, height, 0.07)), Material((0.3, 0.3, 0.32), gloss=0.2))
        face = Material(tint(rng, (0.2, 1), (0.4, 1)), self.bank.photo(rng) if rng.random() < 0.4 else None)
        size = rng.uniform(0.4, 0.9)
        board = place(x, height - size, z, rng.normal(0, 0.4), (size, size * rng.uniform(0.6, 1.5), 0.03))
        self.scene.add(BOX, board, face)
