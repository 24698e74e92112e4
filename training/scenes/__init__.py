"""Procedural scenes with exact depth, rendered in batches on the device that trains."""

from .batches import SceneBatches
from .collate import KIND_NAMES, build_scene
from .dataset import SceneDataset
from .render import FAR, render_batch

__all__ = ["FAR", "KIND_NAMES", "SceneBatches", "SceneDataset", "build_scene", "render_batch"]
