"""Validation during training: errors after alignment beside those of an image-free prior, and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from PIL import Image
from torch import nn

from anydepth_hf import AnyDepthImageProcessor
from anydepth_hf.alignment_marigold import align
from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.metrics import evaluate_depth, image_free_prior, mean_metrics
from anydepth_hf.visualization import colorize
from training.data.decoding import DataError
from training.data.readers import DepthSample
from training.trainer.accelerator import is_sharded

REPORTED = ("abs_rel", "delta1", "rmse")


@dataclass
class Validator:
    """
    Predicts held-out samples one by one at the size users will predict at, and measures them at full size.

    Relative disparity is aligned by least squares in disparity space, relative depth in depth space, metric
    predictions not at all; the prior always in disparity space.

    Attributes:
        samples: `samples[i] -> DepthSample`; each process takes every n-th.
        pictures: how many are drawn into `picture_dir`.
    """

    samples: Sequence[DepthSample]
    processor: AnyDepthImageProcessor
    accelerator: Accelerator
    picture_dir: Path
    pictures: int
    _prior: dict[str, float] | None = None

    @torch.no_grad()
    def __call__(self, model: nn.Module, step: int) -> dict[str, float]:
        """Mean metrics of `model` (not wrapped by DDP), the same on every process, and a picture sheet on the main."""
        was_training = model.training
        model.eval()
        _share_running_statistics(model, self.accelerator)
        config, far = model.config, model.config.max_depth
        alignment = None if config.depth_estimation_type == "metric" else config.prediction_type
        rows, prior_rows, sheet = [], [], []
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        # every process makes the same number of forward passes, which sharded parameters need
        for start in range(0, len(self.samples), processes):
            index = min(start + rank, len(self.samples) - 1)
            sample = self.samples[index]
            depth, valid = torch.from_numpy(np.array(sample.depth)), torch.from_numpy(np.array(sample.valid))
            if not sample.is_metric:  # scaled to end at the far plane, as in training
                if alignment is None:
                    raise DataError(
                        f"{sample.name}: its depth has no unit, but the model predicts metres; leave it out."
                    )
                depth = (depth * (far / torch.where(valid, depth, 0).max())).clamp(max=far)
            valid &= depth <= far
            inputs = self.processor(images=sample.image, return_tensors="pt").to(self.accelerator.device)
            prediction = model(**inputs).predicted_depth[0].float().cpu()
            if alignment is None and config.prediction_type == "disparity":
                prediction = 1 / prediction
            if start + rank < len(self.samples):
                limits = {"min_depth": 1e-3, "max_depth": far}
                rows.append(evaluate_depth(prediction, depth, valid, alignment, **limits))
                if self._prior is None:
                    prior_rows.append(
                        evaluate_depth(image_free_prior(*depth.shape), depth, valid, "disparity", **limits)
                    )
                if rank == 0 and len(sheet) < self.pictures and valid.any():
                    aligned = align(prediction, depth, valid, alignment, **limits)
                    sheet.append(_strip(sample.image, aligned, depth, valid))
        model.train(was_training)
        if self._prior is None:
            self._prior = mean_metrics(gather_object(prior_rows))
        measured = mean_metrics(gather_object(rows))
        if measured is None:
            raise DataError("--validation_dataset: no image has a valid depth within the far plane")
        if sheet:
            self._save_sheet(sheet, step)
        results = {f"val/{name}": measured[name] for name in REPORTED}
        return results | {"val/abs_rel_of_prior": self._prior["abs_rel"]}

    def _save_sheet(self, strips: list[np.ndarray], step: int) -> None:
        width = max(strip.shape[1] for strip in strips)
        padded = [np.pad(strip, ((0, 4), (0, width - strip.shape[1]), (0, 0))) for strip in strips]
        sheet = np.concatenate(padded)
        self.picture_dir.mkdir(parents=True, exist_ok=True)
        path = self.picture_dir / f"step-{step:08d}.png"
        with atomic_write(path) as temporary:
            Image.fromarray(sheet).save(temporary)
        for tracker in self.accelerator.trackers:
            if hasattr(tracker, "log_images"):
                # TensorBoard takes one NHWC array, Weights & Biases a list of images: a batch of one is both
                options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                tracker.log_images({"image | disparity, aligned | true disparity": sheet[None]}, step=step, **options)


def _share_running_statistics(model: nn.Module, accelerator: Accelerator) -> None:
    """Batch norm's statistics differ between processes on CPUs; those of the first are the ones that get saved."""
    if accelerator.num_processes > 1 and not is_sharded(accelerator):
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _strip(image: np.ndarray, predicted: torch.Tensor, depth: torch.Tensor, valid: torch.Tensor) -> np.ndarray:
    """Image, predicted and true disparity side by side, in one colour scale; uint8 (h, 3 w, 3). No label: black."""
    truth = torch.where(valid, 1 / depth, 0)
    low, high = np.quantile(truth[valid], (0.02, 0.98))
    disparity = torch.cat((1 / predicted, truth), dim=1).clamp(low, high)
    shown = torch.cat((torch.ones_like(valid), valid), dim=1)
    return np.concatenate((image, np.asarray(colorize(disparity.numpy(), "disparity", shown.numpy()))), axis=1)
