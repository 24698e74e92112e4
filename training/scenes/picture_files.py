"""Pictures as files: `HEIGHTxWIDTH/NAME.safetensors`, "image" uint8 (3, h, w) and "depth" float16 (h, w)."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from anydepth_hf.atomic_write import atomic_write


def write_picture(folder: Path, name: str, image: np.ndarray, depth: np.ndarray) -> None:
    """One file, whole or absent; `image` uint8 (h, w, 3), `depth` float (h, w), planar metres, 0 in the sky."""
    height, width = depth.shape
    folder = folder / f"{height}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"{name}.safetensors") as temporary:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))
        save_file({"image": pixels, "depth": depth.astype(np.float16)}, temporary)


def read_picture(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """`image` uint8 (h, w, 3) and `depth` float32 (h, w) of a file."""
    tensors = load_file(path)
    return np.ascontiguousarray(tensors["image"].transpose(1, 2, 0)), tensors["depth"].astype(np.float32)


def list_pictures(root: str | Path) -> dict[tuple[int, int], list[Path]]:
    """The files in a folder by (height, width), sorted; empty where there are none."""
    files: dict[tuple[int, int], list[Path]] = {}
    for folder in sorted(Path(root).glob("*x*")):
        height, _, width = folder.name.partition("x")
        paths = sorted(folder.glob("[!.]*.safetensors"))
        if height.isdigit() and width.isdigit() and paths:
            files[int(height), int(width)] = paths
    return files
