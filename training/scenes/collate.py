"""Builds scenes from seeds and joins their tables into one batch."""

import random

import numpy as np
import torch

from .builders_closeup import build_closeup
from .builders_corridor import build_corridor
from .builders_indoor import build_room
from .builders_nature import build_terrain
from .builders_solids import build_solids, build_tabletop
from .builders_street import build_street
from .layout import MATERIAL, OBJECT, TERRAIN
from .scene import Scene
from .scene_sensor import draw_sensor

BUILDERS = {
    "indoor": build_room,
    "corridor": build_corridor,
    "street": build_street,
    "terrain": build_terrain,
    "solids": build_solids,
    "tabletop": build_tabletop,
    "closeup": build_closeup,
}
# "plain": the mixture, and no surface has a pattern.
KIND_NAMES = (*BUILDERS, "plain")
# Share of each builder (per cent) in wide images, which are mostly driving scenes, and in others.
WIDE_ASPECT = 2.0
WEIGHTS_WIDE = (10, 4, 66, 14, 3, 2, 1)
WEIGHTS = (36, 5, 17, 6, 4, 8, 24)
# Share of the other kinds' scenes in which each surface has nearly one colour, as most have in photographs, and what
# is left there of the contrast of patterns, of bumps, dirt and gloss. A model finds objects there long before it does
# among patterns.
PLAIN_SHARE = 0.5
PLAIN_CONTRAST = 0.1
PLAIN_RELIEF = 0.2


def check_kind(kind):
    """Raises ValueError for an unknown kind; None stands for the mixture."""
    if kind is not None and kind not in KIND_NAMES:
        raise ValueError(f"unknown scene kind {kind!r}: choose one of {', '.join(KIND_NAMES)}, or none for a mixture")


def build_scene(seed, height, width, kind=None):
    """Tables of one scene (see `Scene.tables`). Raises ValueError for an unknown kind."""
    check_kind(kind)
    scene = Scene(seed, height, width)
    build = BUILDERS.get(kind)
    if build is None:
        weights = WEIGHTS_WIDE if width >= WIDE_ASPECT * height else WEIGHTS
        (build,) = scene.rng.choices(tuple(BUILDERS.values()), weights)
    build(scene)
    draw_sensor(scene)
    tables = scene.tables()
    if kind == "plain" or random.Random(f"{seed} plain").random() < PLAIN_SHARE:
        make_plain(tables["materials"])
    return tables


def make_plain(materials):
    """Takes patterns and relief from materials (rows of `MATERIAL`), in place; their mean colours stay."""
    colors = [materials[:, MATERIAL.slices[name]] for name in ("color_a", "color_b", "color_c")]
    mean = np.mean(colors, axis=0)
    for color in colors:
        color[:] = mean + PLAIN_CONTRAST * (color - mean)
    for name in ("bump", "dirt", "mirror", "specular"):
        materials[:, MATERIAL.slices[name]] *= PLAIN_RELIEF


def collate(tables):
    """Joins tables of scenes: all objects and all materials in a row, each knowing its scene; heights stacked.

    Returns: dict of float32 tensors "objects", "materials", "cameras", "lights", "environments", "sensors", "heights",
    and lists of int "object_ends", "material_ends" (first row of each scene, and the end).
    """
    object_ends = np.cumsum([0] + [len(table["objects"]) for table in tables])
    material_ends = np.cumsum([0] + [len(table["materials"]) for table in tables])
    objects = np.concatenate([table["objects"] for table in tables])
    scene = np.repeat(np.arange(len(tables)), np.diff(object_ends))
    objects[:, OBJECT.slices["scene"].start] = scene
    objects[:, OBJECT.slices["material"].start] += material_ends[scene]
    heights = []
    for index, table in enumerate(tables):
        if table["heights"] is not None:
            rows = objects[object_ends[index] : object_ends[index + 1]]
            rows[rows[:, 0] == TERRAIN, OBJECT.slices["extra"].start] = len(heights)
            heights.append(table["heights"])
    batch = {
        name: np.stack([table[name] for table in tables]) for name in ("cameras", "lights", "environments", "sensors")
    }
    batch["objects"], batch["materials"] = objects, np.concatenate([table["materials"] for table in tables])
    batch["heights"] = np.stack(heights) if heights else np.zeros((0, 2, 2), dtype=np.float32)
    batch = {name: torch.from_numpy(value) for name, value in batch.items()}
    return batch | {"object_ends": object_ends.tolist(), "material_ends": material_ends.tolist()}


def build_scenes(seeds, height, width, kind=None):
    """Builds and joins one scene a seed."""
    return collate([build_scene(seed, height, width, kind) for seed in seeds])
