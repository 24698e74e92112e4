"""The data of a run: `--dataset` and `--validation_dataset` as a loader and as held-out samples."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import Subset

from anydepth_hf import AnyDepthConfig
from training.data.decoding import DataError
from training.data.loader import build_train_loader
from training.data.picture_batches import build_picture_loader
from training.data.readers import DepthSample
from training.data.sources import open_dataset, parse_dataset
from training.data.transforms import ColorAugmentation, TrainTransform
from training.trainer.arguments import TrainArguments


@dataclass(frozen=True)
class WithinFarPlane:
    """
    A training transform for a model that ignores depth beyond `far` metres: unitless depth is scaled to end there.

    Metric data sets have their own far plane; of unitless depth the relative losses do not see the scale, but `far`
    would cut it. A metric model cannot learn from it.
    """

    transform: Callable
    far: float
    metric: bool

    def __call__(self, sample: DepthSample, rng: np.random.Generator) -> dict:
        values = self.transform(sample, rng)
        if sample.is_metric:
            return values
        if self.metric:
            raise DataError(f"{sample.name}: its depth has no unit, but the model predicts metres; leave it out.")
        labels = values["labels"]
        return {**values, "labels": labels * (self.far / labels.max().clamp(min=torch.finfo(labels.dtype).tiny))}


def build_loader(arguments: TrainArguments, config: AnyDepthConfig, accelerator: Accelerator):
    """
    The batches of this process: rendered pictures in several sizes, or data sets.

    Raises:
        ValueError: images of less than two by two patches of the encoder, or a data set that cannot be used.
    """
    for height, width in arguments.sizes:
        if min(height, width) < 2 * config.patch_size:  # on one patch, batch norm cannot train
            raise ValueError(
                f"--image_size {height}x{width}: both sides need at least two patches of the encoder, "
                f"{2 * config.patch_size} pixels; the paper trains with 768x768"
            )
    num_workers = arguments.num_workers
    if num_workers is None:
        processes_here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        num_workers = max(0, min(8, (os.cpu_count() or 1) // processes_here - 1))
    transform = TrainTransform(
        size=arguments.sizes[0],
        squash=arguments.squash,
        min_crop=arguments.min_crop,
        flip_probability=arguments.flip_probability,
        rotation_probability=arguments.rotation_probability,
        max_rotation=arguments.max_rotation,
        color=ColorAugmentation() if arguments.color_augmentation else None,
    )
    options = {
        "batch_size": arguments.batch_size,
        "seed": arguments.seed,
        "num_workers": num_workers,
        "process_index": accelerator.process_index,
        "num_processes": accelerator.num_processes,
    }
    if arguments.dataset == ["pictures"]:
        place = arguments.pictures_dir, arguments.pictures_per_epoch, arguments.sizes
        device = accelerator.device if arguments.pictures_on_device else None
        return build_picture_loader(*place, transform, device=device, **options)
    return build_train_loader(
        open_dataset([parse_dataset(text) for text in arguments.dataset]),
        WithinFarPlane(transform, config.max_depth, config.depth_estimation_type == "metric"),
        on_error=arguments.on_error,
        **options,
    )


def build_validation_samples(arguments: TrainArguments) -> Sequence[DepthSample] | None:
    """Held-out samples, spread evenly over the data set, or None without `--validation_dataset` or validations."""
    if not arguments.validation_dataset or not arguments.validations:
        return None
    try:
        dataset = open_dataset([parse_dataset(text) for text in arguments.validation_dataset])
    except DataError as error:  # a config may have named it
        raise DataError(f"--validation_dataset (--validations 0 does without): {error}") from None
    if not hasattr(dataset, "__getitem__"):
        raise DataError("--validation_dataset cannot be streamed: set streaming to false.")
    count = min(arguments.validation_samples, len(dataset))
    return Subset(dataset, np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist())
