"""Pictures as files: `HEIGHTxWIDTH/SEED-WORLD-VIEW.safetensors`, "image" uint8 (3, h, w), "depth" float16 (h, w)."""

from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from anydepth_hf.atomic_write import atomic_write


def write_picture(folder: Path, name: str, image: np.ndarray, depth: np.ndarray) -> None:
    """One file, whole or absent; `image` uint8 (h, w, 3), `depth` float (h, w), planar metres, 0 in the sky."""
    height, width = depth.shape
    folder = folder / f"{height}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{name}.safetensors") as temporary:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))
        save_file({"image": pixels, "depth": depth.astype(np.float16)}, temporary)


def read_image(path: str | Path) -> np.ndarray:
    """`image` uint8 (h, w, 3) of a file."""
    with safe_open(path, "np") as file:
        return np.ascontiguousarray(file.get_tensor("image").transpose(1, 2, 0))


def read_depth(path: str | Path) -> np.ndarray:
    """`depth` float32 (h, w) of a file."""
    with safe_open(path, "np") as file:
        return file.get_tensor("depth").astype(np.float32)


def read_picture(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """`image` uint8 (h, w, 3) and `depth` float32 (h, w) of a file."""
    return read_image(path), read_depth(path)


def list_pictures(root: str | Path) -> dict[tuple[int, int], list[Path]]:
    """The files in a folder by (height, width), sorted; empty where there are none."""
    files: dict[tuple[int, int], list[Path]] = {}
    for folder in sorted(Path(root).glob("*x*")):
        height, _, width = folder.name.partition("x")
        paths = sorted(folder.glob("[!.]*.safetensors"))
        if height.isdigit() and width.isdigit() and paths:
            files[int(height), int(width)] = paths
    return files
