"""Rendered scenes as files, so that later epochs need not render them again."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from anydepth_hf.atomic_write import atomic_write
from training.data.decoding import naming


class SceneStore:
    """A folder of rendered scenes: `KIND-HxW/SEED.safetensors`, "image" uint8 (3, h, w) and "depth" float32 (h, w).

    Files are whole or absent, whatever stops a process, and processes may share the folder. They know nothing of the
    code that drew them: after a change to the scenes, take a new folder.

    Args:
        folder: is made if need be.
        kind: of the scenes, None for the mixture.
    """

    def __init__(self, folder: str | os.PathLike, kind: str | None):
        self.folder, self.kind = Path(folder), kind or "mixture"

    def fetch(
        self, seeds: list[int], height: int, width: int, render: Callable[[list[int]], dict[str, torch.Tensor]]
    ) -> dict[str, torch.Tensor]:
        """Scenes on the CPU in the order of `seeds`, those without a file rendered first.

        Args:
            render: seeds to what `render_batch` returns.

        Returns: "image" uint8 (scenes, 3, height, width), "depth" float32 (scenes, height, width), planar metres, 0
        where the sky is.

        Raises:
            DataError: a file is damaged.
        """
        folder = self.folder / f"{self.kind}-{height}x{width}"
        files = [folder / f"{seed}.safetensors" for seed in seeds]
        missing = [(seed, file) for seed, file in zip(seeds, files, strict=True) if not file.exists()]
        if missing:
            folder.mkdir(parents=True, exist_ok=True)
            rendered = {name: values.cpu() for name, values in render([seed for seed, _ in missing]).items()}
            for (_, file), image, depth in zip(missing, rendered["image"], rendered["depth"], strict=True):
                with atomic_write(file) as temporary:
                    save_file({"image": image.contiguous(), "depth": depth.contiguous()}, temporary)
        scenes = []
        for file in files:
            with naming(file):
                scenes.append(load_file(file))
        return {name: torch.stack([scene[name] for scene in scenes]) for name in ("image", "depth")}
