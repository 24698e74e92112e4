"""Training batches of scenes, rendered by worker processes straight into the memory of the training device."""

import os
import random
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import DataLoader, Dataset
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from .collate import KIND_NAMES, build_scenes
from .render import FAR, render_scenes, to_device

_Key = tuple[list[int], int, int]
"""Seeds, height, width of one batch."""


class _Renderer(Dataset):
    """Renders the batch with the given key. Works in the worker processes: rendering is bound by the time it takes to
    launch thousands of small operations, which several processes hide behind each other and behind the training."""

    def __init__(self, kind: str | None, sky_depth: float, device: torch.device, compiled: bool):
        self.kind, self.sky_depth, self.device, self.compiled = kind, sky_depth, device, compiled

    def __getitem__(self, key: _Key) -> dict:
        seeds, height, width = key
        scenes = to_device(build_scenes(seeds, height, width, self.kind), self.device)
        rendered = render_scenes(scenes, height, width, compiled=self.compiled)
        mean, std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255
            for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        )
        return {
            "pixel_values": (rendered["image"] - mean) / std,
            "labels": torch.where(rendered["sky"], self.sky_depth, rendered["depth"]),
            "name": [f"scene {seed}" for seed in seeds],
        }


def _first(batch):
    return batch


class SceneBatches:
    """An endless supply of scenes, cut into epochs, with the interface of `training.data.loader.TrainLoader`.

    Batch k of an epoch is a function of `seed`, epoch, k and the global batch size alone: processes take contiguous
    slices of it, and a resume with `set_position` renders nothing that was seen before. No two epochs share a scene.

    Args:
        length: scenes in one epoch.
        sizes: (height, width) pairs; of several, each batch draws one. Wide ones (2:1 and more) hold mostly streets.
        batch_size: per process.
        seed: of the run.
        device: where scenes are rendered and batches lie.
        kind: one of `KIND_NAMES`, or None for the mixture.
        sky_depth: metres that label pixels without a surface within `FAR`, so that sky is learned as far; 0: none.
        num_workers: processes that render; 0: none but this one; None: up to 6, fewer on machines with few cores.
        compiled: render with `torch.compile`d kernels, which cost minutes at the start.

    Raises:
        ValueError: a bad option.
    """

    def __init__(
        self,
        length: int,
        sizes: Sequence[tuple[int, int]],
        *,
        batch_size: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        process_index: int = 0,
        num_processes: int = 1,
        kind: str | None = None,
        sky_depth: float = FAR,
        num_workers: int | None = None,
        compiled: bool = False,
    ):
        if kind is not None and kind not in KIND_NAMES:
            raise ValueError(
                f"unknown scene kind {kind!r}: choose one of {', '.join(KIND_NAMES)}, or none for a mixture"
            )
        if batch_size < 1 or not 0 <= process_index < num_processes:
            raise ValueError(
                f"bad batch options: batch_size={batch_size}, process_index={process_index}, "
                f"num_processes={num_processes}"
            )
        if length < batch_size * num_processes:
            raise ValueError(
                f"an epoch of {length} scenes is less than one batch of {batch_size * num_processes}: raise the "
                "number of scenes or lower the batch size"
            )
        self.length, self.sizes, self.batch_size, self.seed = length, list(sizes), batch_size, seed
        self.process_index, self.num_processes = process_index, num_processes
        self.device = torch.device(device)
        self.epoch, self.batch = 0, 0
        self.skipped: list[str] = []  # scenes never fail to read; TrainLoader has this attribute
        if num_workers is None:
            num_workers = min(6, (os.cpu_count() or 1) // num_processes - 1)
        num_workers = max(0, num_workers)
        # a forked process cannot use CUDA
        context = "spawn" if num_workers and self.device.type == "cuda" else None
        self._loader = DataLoader(
            _Renderer(kind, sky_depth, self.device, compiled), sampler=self._Keys(self), batch_size=None,
            collate_fn=_first, num_workers=num_workers, multiprocessing_context=context,
            prefetch_factor=2 if num_workers else None, persistent_workers=num_workers > 0,
        )  # fmt: skip

    class _Keys:
        """The sampler: keys of the batches from the position on."""

        def __init__(self, batches: "SceneBatches"):
            self.batches = batches

        def __iter__(self) -> Iterator[_Key]:
            b, epoch = self.batches, self.batches.epoch
            for batch in range(b.batch, len(b)):
                yield b.key(epoch, batch)

    def key(self, epoch: int, batch: int) -> _Key:
        """Seeds and size of this process' part of a batch."""
        start = epoch * self.length + (batch * self.num_processes + self.process_index) * self.batch_size
        first = (self.seed << 64) + start  # seeds of different runs never meet
        height, width = random.Random(f"{self.seed} {epoch} {batch}").choice(self.sizes)
        return list(range(first, first + self.batch_size)), height, width

    def __len__(self) -> int:
        """Batches of an epoch for this process; an incomplete last global batch is dropped."""
        return self.length // (self.batch_size * self.num_processes)

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """The next iteration starts at `batch` of `epoch`. Raises ValueError where there is no such batch."""
        if epoch < 0 or not 0 <= batch <= len(self):
            raise ValueError(f"No batch {batch} in epoch {epoch}: an epoch has {len(self)} batches, counted from 0.")
        self.epoch, self.batch = epoch, batch

    def __iter__(self) -> Iterator[dict]:
        """Yields dicts of `pixel_values` float32 (b, 3, h, w), ImageNet-normalised, `labels` float32 (b, h, w), planar
        depth in metres, and `name` (list of b strings), tensors on the device."""
        for batch in self._loader:
            self.batch += 1  # before the yield, so that the position is right wherever the caller stops
            yield batch
        self.epoch, self.batch = self.epoch + 1, 0
