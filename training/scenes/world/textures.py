"""Textures by name: those of the furniture, photographs of a folder, and procedural ones."""

from pathlib import Path

import numpy as np
from PIL import Image

from anydepth_hf.image_io import ImageError, open_image

from .catalogue import Catalogue
from .patterns import KINDS

PATTERNS = 24
"""Procedural textures of each kind."""


class TextureBank:
    """Gives textures by key, sRGB and alpha: `photo/K`, `KIND/K` of `KINDS`, and `LIBRARY/PATH` from the catalogue.

    Args:
        photographs: folder of JPEG files for posters, books, screens and surfaces; None without.

    Raises:
        FileNotFoundError: no JPEG file there.
    """

    def __init__(self, catalogue: Catalogue, photographs: str | Path | None):
        self.catalogue = catalogue
        paths = Path(photographs).rglob("*") if photographs else []
        self.photographs = sorted(path for path in paths if path.suffix.lower() in (".jpg", ".jpeg"))
        if photographs and not self.photographs:
            raise FileNotFoundError(f"{photographs} holds no JPEG file (*.jpg, *.jpeg)")

    def photo(self, rng: np.random.Generator) -> str:
        """Key of a random photograph, or of a pattern where there are none."""
        if not self.photographs:
            return self.pattern(rng, *KINDS)
        return f"photo/{rng.integers(len(self.photographs))}"

    def pattern(self, rng: np.random.Generator, *kinds: str) -> str:
        """Key of a random procedural texture of one of `kinds`."""
        return f"{kinds[rng.integers(len(kinds))]}/{rng.integers(PATTERNS)}"

    def texture(self, key: str) -> np.ndarray | None:
        """uint8 (h, w, 4), bottom row first; None for one that the catalogue does not have or that cannot be read."""
        kind, _, name = key.partition("/")
        if not name.isdigit():
            data = self.catalogue.file(key)
            return None if data is None else read_texture(data)
        if kind == "photo":
            return read_texture(self.photographs[int(name)])
        rng = np.random.default_rng([list(KINDS).index(kind), int(name)])
        rgb = np.clip(KINDS[kind](rng), 0, 1)
        return np.concatenate([(rgb * 255).astype(np.uint8), np.full((*rgb.shape[:2], 1), 255, np.uint8)], 2)


def read_texture(source: Path | bytes) -> np.ndarray | None:
    """An image file as `TextureBank.texture` gives it, its longer side at most 512; None if it cannot be read."""
    try:
        image = open_image(source).convert("RGBA")
    except ImageError:
        return None
    scale = min(1.0, 512 / max(image.size))
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.BILINEAR)
    return np.asarray(image)[::-1].copy()
