"""Procedural scenes with exact depth, rendered in batches on the device that trains."""

from .collate import KIND_NAMES, build_scene
from .render import FAR, render_batch

__all__ = ["FAR", "KIND_NAMES", "build_scene", "render_batch"]
