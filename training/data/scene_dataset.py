"""Scenes as a map-style data set on the CPU: for writing shards, for mixtures with other data, for evaluation."""

from collections.abc import Sequence

import numpy as np
import torch

from training.data.readers import DepthSample
from training.scenes.collate import check_kind
from training.scenes.render import render_batch

FIRST_HELD_OUT_SEED = 2**40  # of the scenes for validation, far from those of any training run


class SceneDataset:
    """`length` scenes of one size; item k is the scene of seed `seed` * 2**64 + k, as `SceneBatches` numbers them.

    Args:
        size: (height, width) in pixels.
        kind: one of `training.scenes.KIND_NAMES`, or None for the mixture.

    Raises:
        ValueError: unknown kind.
    """

    def __init__(self, length: int, seed: int = 0, size: tuple[int, int] = (384, 512), kind: str | None = None):
        check_kind(kind)
        self.length, self.seed, self.size, self.kind = length, seed, size, kind

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DepthSample:
        """Renders one scene on the CPU. Raises IndexError outside 0 .. length - 1."""
        if not 0 <= index < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        scene = render_batch([(self.seed << 64) + index], *self.size, "cpu", self.kind)
        image = scene["image"][0].permute(1, 2, 0).contiguous().numpy()
        depth, valid = scene["depth"][0].numpy(), ~scene["sky"][0].numpy()
        return DepthSample(image, depth, valid, True, f"scene {index} of seed {self.seed}")


class HeldOutScenes(Sequence):
    """`count` procedural scenes that no training run sees, of the sizes in turn; rendered when first asked for."""

    def __init__(self, count: int, sizes: list[tuple[int, int]], kind: str | None, device: torch.device):
        self.count, self.sizes, self.kind, self.device = count, sizes, kind, device
        self._rendered: dict[int, dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> DepthSample:
        which, place = index % len(self.sizes), index // len(self.sizes)
        if which not in self._rendered:
            seeds = [FIRST_HELD_OUT_SEED + each for each in range(which, self.count, len(self.sizes))]
            scenes = render_batch(seeds, *self.sizes[which], self.device, self.kind)
            self._rendered[which] = {name: values.cpu().numpy() for name, values in scenes.items()}
        image, depth, sky = (self._rendered[which][name][place] for name in ("image", "depth", "sky"))
        image = np.ascontiguousarray(image.transpose(1, 2, 0))
        return DepthSample(image, depth, ~sky, True, f"held-out scene {index}")
