"""Training batches of scenes, rendered by worker processes straight into the memory of the training device."""

import dataclasses
import math
import os
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from training.data.batches import unchanged
from training.data.readers import DepthSample
from training.data.scene_store import SceneStore
from training.data.transforms import TrainTransform
from training.scenes.collate import build_scenes, check_kind
from training.scenes.render import FAR, render_scenes, to_device

_Size = tuple[int, int]
_Key = tuple[int, list[int], _Size, _Size]
"""Epoch and seeds of one batch of this process, (height, width) of its scenes, and of what is shown of them."""
SAME_SIZE = 32  # so many scenes in a row have one size in a store


class _Renderer(Dataset):
    """Renders the batch with the given key. Works in the worker processes: rendering is bound by the time it takes to
    launch thousands of small operations, which several processes hide behind each other and behind the training."""

    def __init__(
        self,
        kind: str | None,
        sky_depth: float,
        device: torch.device,
        compiled: bool,
        store: SceneStore | None,
        transform: TrainTransform,
    ):
        self.kind, self.sky_depth, self.device, self.compiled = kind, sky_depth, device, compiled
        self.store, self.transform = store, transform

    def __getitem__(self, key: _Key) -> dict:
        epoch, seeds, (height, width), shown = key
        if self.store:
            return self._stored(epoch, seeds, height, width, shown)
        rendered = self._render(seeds, height, width)
        mean, std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255
            for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        )
        return {
            "pixel_values": (rendered["image"] - mean) / std,
            "labels": torch.where(rendered["sky"], self.sky_depth, rendered["depth"]),
            "name": [f"scene {seed}" for seed in seeds],
        }

    def _render(self, seeds: list[int], height: int, width: int) -> dict[str, torch.Tensor]:
        scenes = to_device(build_scenes(seeds, height, width, self.kind), self.device)
        return render_scenes(scenes, height, width, compiled=self.compiled)

    def _stored(self, epoch: int, seeds: list[int], height: int, width: int, shown: _Size) -> dict:
        """The batch from the store, augmented: each epoch sees its scenes in another way."""
        scenes = self.store.fetch(seeds, height, width, lambda missing: self._render(missing, height, width))
        transform = dataclasses.replace(self.transform, size=shown)
        images = scenes["image"].permute(0, 2, 3, 1).numpy()
        depths = torch.where(scenes["depth"] > 0, scenes["depth"], self.sky_depth).numpy()
        samples = []
        for seed, image, depth in zip(seeds, images, depths, strict=True):
            sample = DepthSample(image, depth, depth > 0, True, f"scene {seed}")
            samples.append(transform(sample, np.random.default_rng([seed, epoch])))
        return default_collate(samples)


class _Keys(Sampler):
    """Keys of the batches of one process, from the position on.

    An object of its own: a reference back from the `DataLoader` would leave ending the worker processes, which block
    signals, to the garbage collector, and a finished run would wait for them for ever.
    """

    def __init__(
        self,
        length: int,
        sizes: list[tuple[int, int]],
        batch_size: int,
        seed: int,
        rank: int,
        num_processes: int,
        repeats: bool,
        shown_sizes: list[_Size],
    ):
        self.length, self.sizes, self.seed, self.repeats = length, sizes, seed, repeats
        self.shown_sizes = shown_sizes
        self.count = batch_size * num_processes
        self.part = slice(rank * batch_size, (rank + 1) * batch_size)
        self.epoch, self.first_batch = 0, 0

    def __len__(self) -> int:
        if self.repeats:
            return sum(len(seeds) // self.count for seeds in self._seeds_of_sizes().values())
        return self.length // self.count

    def __iter__(self) -> Iterator[_Key]:
        for seeds, size in (self._shuffled() if self.repeats else self._new())[self.first_batch :]:
            yield self.epoch, list(seeds[self.part]), size, self._shown_size(seeds[0], size)

    def _shown_size(self, seed: int, size: _Size) -> _Size:
        """Of the sizes whose shape keeps at least half of a scene of `size` one at random, for the batch of `seed`."""
        if not self.shown_sizes:
            return size
        height, width = size
        stretch = {shown: abs(math.log2(shown[1] * height / (shown[0] * width))) for shown in self.shown_sizes}
        fitting = [shown for shown in self.shown_sizes if stretch[shown] <= 1] or [min(stretch, key=stretch.get)]
        return random.Random(f"{self.epoch} {seed}").choice(fitting)

    def _new(self) -> list[tuple]:
        """Batches of scenes that no other epoch has."""
        first = (self.seed << 64) + self.epoch * self.length  # seeds of different runs never meet
        batches = []
        for batch in range(len(self)):
            size = random.Random(f"{self.seed} {self.epoch} {batch}").choice(self.sizes)
            batches.append((range(first + batch * self.count, first + (batch + 1) * self.count), size))
        return batches

    def _shuffled(self) -> list[tuple]:
        """The same scenes in every epoch, in other batches, each of one size."""
        generator = random.Random(f"{self.seed} {self.epoch}")
        batches = []
        for size, seeds in self._seeds_of_sizes().items():
            generator.shuffle(seeds)
            whole = len(seeds) // self.count * self.count
            batches += [(seeds[start : start + self.count], size) for start in range(0, whole, self.count)]
        generator.shuffle(batches)
        return batches

    def _seeds_of_sizes(self) -> dict[tuple[int, int], list[int]]:
        """Which scenes have which size: the same for every size of a batch, so that runs can share a store."""
        seeds: dict[tuple[int, int], list[int]] = {}
        for block in range(0, self.length, SAME_SIZE):
            size = random.Random(f"{self.seed} 0 {block // SAME_SIZE}").choice(self.sizes)
            first = (self.seed << 64) + block
            seeds.setdefault(size, []).extend(range(first, first + min(SAME_SIZE, self.length - block)))
        return seeds


class SceneBatches:
    """An endless supply of scenes, cut into epochs, with the interface of `training.data.loader.TrainLoader`.

    Batch k of an epoch is a function of `seed`, epoch, k and the global batch size alone: processes take contiguous
    slices of it, and a resume with `set_position` renders nothing that was seen before. No two epochs share a scene,
    unless there is a store: then all show the same, shuffled and augmented, and only the first renders.

    Args:
        length: scenes in one epoch.
        sizes: (height, width) pairs; of several, each batch draws one. Wide ones (2:1 and more) hold mostly streets.
        batch_size: per process.
        seed: of the run.
        device: where scenes are rendered and batches lie.
        kind: one of `KIND_NAMES`, or None for the mixture.
        sky_depth: metres that label pixels without a surface within `FAR`, so that sky is learned as far; 0: none.
        num_workers: processes that render; 0: none but this one.
        compiled: render with `torch.compile`d kernels, which cost minutes at the start.
        store: folder that keeps rendered scenes (`SceneStore`); batches then lie on the CPU.
        shown_sizes: what is cut from scenes of the store, for each batch one of those whose shape keeps at least half
            of the scene; none: the scene's own size.
        transform: augmentation of scenes from the store; `size` is set to the batch's.

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
        num_workers: int = 0,
        compiled: bool = False,
        store: str | os.PathLike | None = None,
        transform: TrainTransform | None = None,
        shown_sizes: Sequence[tuple[int, int]] = (),
    ):
        check_kind(kind)
        if batch_size < 1 or not 0 <= process_index < num_processes:
            raise ValueError(
                f"bad batch options: batch_size={batch_size}, process_index={process_index}, "
                f"num_processes={num_processes}"
            )
        self.epoch, self.batch = 0, 0
        self.skipped: list[str] = []  # scenes never fail to read; TrainLoader has this attribute
        device, files = torch.device(device), None if store is None else SceneStore(store, kind)
        repeats = store is not None
        self._keys = _Keys(
            length, list(sizes), batch_size, seed, process_index, num_processes, repeats, list(shown_sizes)
        )
        if not len(self._keys):
            raise ValueError(
                f"an epoch of {length} scenes is less than one batch of {batch_size * num_processes}, or has less of "
                "each size: raise the number of scenes or lower the batch size"
            )
        renderer = _Renderer(kind, sky_depth, device, compiled, files, transform or TrainTransform())
        # a forked process cannot use CUDA
        context = "spawn" if num_workers and device.type == "cuda" else None
        self._loader = DataLoader(
            renderer, sampler=self._keys, batch_size=None, collate_fn=unchanged,
            num_workers=num_workers, multiprocessing_context=context,
            prefetch_factor=2 if num_workers else None, persistent_workers=num_workers > 0,
        )  # fmt: skip

    def __len__(self) -> int:
        """Batches of an epoch for this process; an incomplete last global batch (in a store: of a size) is dropped."""
        return len(self._keys)

    def set_position(self, epoch: int, batch: int = 0) -> None:
        """The next iteration starts at `batch` of `epoch`. Raises ValueError where there is no such batch."""
        if epoch < 0 or not 0 <= batch <= len(self):
            raise ValueError(f"No batch {batch} in epoch {epoch}: an epoch has {len(self)} batches, counted from 0.")
        self.epoch, self.batch = epoch, batch

    def __iter__(self) -> Iterator[dict]:
        """Yields dicts of `pixel_values` float32 (b, 3, h, w), ImageNet-normalised, `labels` float32 (b, h, w), planar
        depth in metres, and `name` (list of b strings), tensors on the device."""
        self._keys.epoch, self._keys.first_batch = self.epoch, self.batch
        for batch in self._loader:
            self.batch += 1  # before the yield, so that the position is right wherever the caller stops
            yield batch
        self.epoch, self.batch = self.epoch + 1, 0
