"""What streets and yards share: light, ground, plants, houses, cars, signs."""

from dataclasses import replace

import numpy as np

from .outdoor_things import OutdoorThings
from .patterns import color
from .scene import Light, Material, Scene
from .shapes import BOX, blob, lathe, place
from .surfaces import dressed, surface
from .textures import TextureBank

POLE = lathe([(0.5, 0), (0.5, 1), (0, 1)], 8, key="pole")


class Outdoors:
    """An outdoor scene to be filled; y = 0 is the ground, a road, if any, runs along -z, x to the right."""

    def __init__(self, rng: np.random.Generator, things: OutdoorThings, bank: TextureBank, street: bool):
        self.rng, self.things, self.bank, self.street = rng, things, bank, street
        self.scene = Scene(sky=bank.pattern(rng, "sky"))
        self.light()

    def light(self):
        """Sun or an overcast sky, and haze."""
        rng, scene = self.rng, self.scene
        overcast = rng.random() < 0.35
        angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.3)
        direction = np.array([np.cos(height) * np.cos(angle), np.sin(height), np.cos(height) * np.sin(angle)])
        focus = np.array([0.0, 0.0, -18.0])
        sun = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.6, 1.0)]) * (
            rng.uniform(0, 0.25) if overcast else rng.uniform(0.7, 1.6)
        )
        span = 32.0 if self.street else 14.0
        scene.light = Light(focus + direction * 80, focus, tuple(sun), span=span, softness=rng.uniform(0.8, 2.5))
        level = rng.uniform(0.3, 0.7)
        scene.sky_light = tuple(np.array([rng.uniform(0.8, 1), 0.95, rng.uniform(1, 1.2)]) * level)
        scene.ground_light = tuple(np.array([1, 0.95, 0.85]) * level * rng.uniform(0.3, 0.7))
        scene.haze = rng.uniform(0, 0.006) if rng.random() < 0.6 else 0.0
        scene.haze_color = tuple(color(rng, (0, 0.12), (0.6, 0.95)) ** 2)

    def put(self, model, x, z, turn, scale=1.0, y=0.0):
        """A model of the catalogue; whether it has a mesh."""
        mesh = self.things.catalogue.mesh(model)
        if mesh is not None:
            scale = np.broadcast_to(scale, 3)
            self.scene.add(mesh, place(x, y, z, turn, scale), dressed(self.rng, self.bank, mesh, 0.1))
        return mesh is not None

    def pick(self, models):
        """One of `models` at random."""
        return models[self.rng.integers(len(models))]

    def car(self, x, z, turn):
        """A vehicle in a random colour."""
        rng, things = self.rng, self.things
        model = self.pick(things.trucks) if rng.random() < 0.08 else self.pick(things.cars)
        mesh = things.catalogue.mesh(model)
        if mesh is None:
            return
        materials = list(dressed(rng, self.bank, mesh, 0.05))
        paint = tuple(color(rng, (0, 0.15) if rng.random() < 0.7 else (0.4, 0.9), (0.03, 1.0)) ** 2)
        counts = [count for _, count, _ in mesh.parts]
        materials[int(np.argmax(counts))] = replace(
            materials[int(np.argmax(counts))], color=paint, texture=None, gloss=0.5, shininess=60, alpha=1.0
        )
        along = 0 if model.depth > model.width else np.pi / 2
        # glass of cars is seen as a surface
        materials = tuple(replace(m, alpha=max(m.alpha, 0.75)) if m.alpha < 0.98 else m for m in materials)
        self.scene.add(mesh, place(x, 0, z, turn + along), materials)

    def tree(self, x, z):
        """A tree of the catalogue, or a trunk under leafy lumps."""
        rng = self.rng
        if rng.random() < 0.45:
            return self.put(self.pick(self.things.trees), x, z, rng.uniform(0, 6.3), rng.uniform(0.6, 1.3))
        trunk, height, girth = rng.uniform(0.8, 3.5), rng.uniform(2.5, 9), rng.uniform(0.12, 0.5)
        bark = Material(
            tuple(color(rng, (0.1, 0.5), (0.2, 0.5), (0.05, 0.12)) ** 2), self.bank.pattern(rng, "stone", "rust"), 0.8
        )
        self.scene.add(POLE, place(x, 0, z, scale=(girth, trunk + height * 0.3, girth)), bark)
        leaves = Material(
            tuple(color(rng, (0, 0.3), (0.6, 1.0))), self.bank.pattern(rng, "leaves"), rng.uniform(0.8, 2.5)
        )
        for _ in range(rng.integers(1, 7)):
            size = height * rng.uniform(0.4, 0.9)
            offset = rng.normal(0, height * 0.18, 3)
            self.scene.add(
                blob(rng, 0.35),
                place(
                    x + offset[0],
                    max(trunk * 0.7, trunk + offset[1]),
                    z + offset[2],
                    rng.uniform(0, 6),
                    (size, size * rng.uniform(0.7, 1.2), size),
                ),
                leaves,
            )

    def bush(self, x, z):
        """A plant of the catalogue, or leafy lumps."""
        rng = self.rng
        if rng.random() < 0.3:
            return self.put(self.pick(self.things.bushes), x, z, rng.uniform(0, 6.3), rng.uniform(0.6, 1.4))
        leaves = Material(
            tuple(color(rng, (0, 0.3), (0.6, 1.0))), self.bank.pattern(rng, "leaves"), rng.uniform(0.5, 1.6)
        )
        for _ in range(rng.integers(1, 4)):
            size = rng.uniform(0.5, 2.2)
            self.scene.add(
                blob(rng, 0.3),
                place(
                    x + rng.normal(0, 0.5),
                    -0.1,
                    z + rng.normal(0, 0.5),
                    rng.uniform(0, 6),
                    (size, size * rng.uniform(0.6, 1.1), size),
                ),
                leaves,
            )

    def hedge(self, x, z0, z1, height, thick, material):
        """A straight hedge or wall along z."""
        self.scene.add(BOX, place(x, 0, (z0 + z1) / 2, scale=(thick, height, abs(z1 - z0))), material)

    def house(self, x, z, turn, width, depth, height):
        """A house whose front, at its +z side, is centred on (x, z)."""
        rng, bank, scene = self.rng, self.bank, self.scene
        tint = tuple(color(rng, (0, 0.2), (0.6, 1.0)) ** 1.3)
        texture = (
            bank.pattern(rng, "facade")
            if rng.random() < 0.75
            else bank.photo(rng)
            if rng.random() < 0.4
            else bank.pattern(rng, "bricks", "plaster", "stone")
        )
        walls = Material(tint, texture, rng.uniform(2.4, 5), gloss=0.02)
        cos, sin = np.cos(turn), np.sin(turn)

        def at(across, up, out, scale, material, lean=0.0):
            scene.add(
                BOX, place(x + across * cos + out * sin, up, z - across * sin + out * cos, turn, scale, lean), material
            )

        at(0, 0, -depth / 2, (width, height, depth), walls)
        roof = Material(
            tuple(color(rng, (0, 0.5), (0.2, 0.7), (0, 0.1)) ** 2), bank.pattern(rng, "tiles", "bricks", "planks"), 2.0
        )
        if rng.random() < 0.6:
            rise = depth / 2 * rng.uniform(0.5, 1.1)
            length = np.hypot(rise, depth / 2)
            slope = np.arctan2(rise, depth / 2)
            for face in (1, -1):
                out = -depth / 2 + face * depth / 4
                at(0, height + rise / 2 - 0.05, out, (width + 0.5, 0.15, length + 0.6), roof, face * slope)
            at(0, height, -depth / 2, (width * 0.98, rise * 0.5, depth * 0.5), walls)
        else:
            at(0, height, -depth / 2, (width + 0.3, 0.35, depth + 0.3), roof)
        for _ in range(rng.integers(0, 4)):  # bays, porches, balconies, signs
            w, h, d = rng.uniform(0.8, 3), rng.uniform(0.4, min(3, height)), rng.uniform(0.2, 1.3)
            up = 0 if rng.random() < 0.5 else rng.uniform(2.2, max(2.3, height - h))
            own = walls if rng.random() < 0.4 else surface(rng, bank, "plaster", "wood", "metal", "planks", "stone")
            at(rng.uniform(-1, 1) * max(0.1, (width - w) / 2), up, d / 2, (w, h, d), own)
        if rng.random() < 0.5:
            door = Material(
                (0.8,) * 3, bank.photo(rng) if rng.random() < 0.4 else bank.pattern(rng, "wood", "planks", "metal")
            )
            at(rng.uniform(-0.35, 0.35) * width, 0, 0.03, (rng.uniform(0.9, 3), rng.uniform(2, 2.8), 0.06), door)

    def sign(self, x, z):
        """A sign on a pole."""
        rng = self.rng
        height = rng.uniform(2, 3.5)
        grey = Material((0.3, 0.3, 0.32), gloss=0.2)
        self.scene.add(POLE, place(x, 0, z, scale=(0.07, height, 0.07)), grey)
        face = Material(tuple(color(rng, (0.2, 1), (0.4, 1))), self.bank.photo(rng) if rng.random() < 0.4 else None)
        size = rng.uniform(0.4, 0.9)
        self.scene.add(
            BOX, place(x, height - size, z, rng.normal(0, 0.4), (size, size * rng.uniform(0.6, 1.5), 0.03)), face
        )

    def ground(self, material):
        """What everything stands on."""
        self.scene.add(BOX, place(0, -0.1, -100, scale=(300, 0.1, 300)), material, casts_shadow=False)
