"""Where the evaluated predictions come from: a model behind transformers' Auto classes, or files made elsewhere."""

import json
import os
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation
from transformers.image_utils import SizeDict

import anydepth_hf  # noqa: F401  (registers the model with the Auto classes)
from anydepth_hf.image_processing_anydepth import get_resized_size
from anydepth_hf.loading import ModelError, require_complete
from anydepth_hf.metrics import image_free_prior
from anydepth_hf.model_types import PREDICTS, model_type_rule
from anydepth_hf.programs import one_line
from anydepth_hf.pull import resolve
from training.data.decoding import DataError, naming, read_npy, read_png16
from training.data.manifest import stamp

KINDS = (*PREDICTS, "log_depth")
"""What files of predictions may hold; no model of transformers predicts the logarithm."""


@dataclass(frozen=True)
class ImageInput:
    """Makes model inputs in the loader's workers, to which the model itself is not sent.

    Attributes:
        processor: the model's image processor.
        size: as `processing_size` of `ModelPredictions`.
        multiple: of which the sides are, where `size` is given.
    """

    processor: Any
    size: int | tuple[int, int] | None
    multiple: int

    def __call__(self, image: np.ndarray, name: str) -> torch.Tensor:
        """uint8 (H, W, 3) to the model's (3, h, w) input."""
        options = {}
        if self.size is not None:
            one = isinstance(self.size, int)
            edges = {"shortest_edge": self.size} if one else dict(zip(("height", "width"), self.size))
            height, width = get_resized_size(*image.shape[:2], SizeDict(**edges), self.multiple)
            options["size"] = {"height": height, "width": width}
            if hasattr(self.processor, "keep_aspect_ratio"):
                options["keep_aspect_ratio"] = False
        try:
            return self.processor(images=Image.fromarray(image), return_tensors="pt", **options)["pixel_values"][0]
        except (ValueError, RuntimeError) as error:  # a picture of one row, say
            raise DataError(f"{name}: the model's image processor fails ({one_line(error)}).") from error


class ModelPredictions:
    """A depth-estimation model of the Hub or a local folder, with its own image processor.

    Args:
        model: Hub id, folder, or a preset with published weights.
        predicts: one of `PREDICTS`, where the table of model types does not know or errs.
        processing_size: `None` leaves resizing to the model's image processor; an integer is the shorter side (aspect
            ratio kept), a (height, width) pair is the size; both rounded to the model's patches.
        flip: average with the prediction for the mirrored image.
        device, dtype: where and in what the model runs; predictions are float32.
        revision, trust_remote_code: as in `from_pretrained`.

    Raises:
        DataError: the model cannot be loaded, is not for depth estimation, needs more than an image, or takes no size.
    """

    def __init__(
        self,
        model: str,
        *,
        predicts: str | None = None,
        processing_size: int | tuple[int, int] | None = None,
        flip: bool = False,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ):
        options = {"revision": revision, "trust_remote_code": trust_remote_code}
        try:
            source = resolve(model)
            config = AutoConfig.from_pretrained(source, **options)
            rule = model_type_rule(config)
            if "refused" in rule:
                raise DataError(f"{model}: {config.model_type} cannot be evaluated here, {rule['refused']}.")
            self.predicts = predicts or rule.get("predicts")
            if self.predicts is None:
                raise DataError(f"{model}: what does model type {config.model_type!r} predict? Pass --predicts "
                                f"{', '.join(PREDICTS[:-1])} or {PREDICTS[-1]}.")  # fmt: skip
            self.processor = AutoImageProcessor.from_pretrained(source, **options)
            self.model, info = AutoModelForDepthEstimation.from_pretrained(
                source, dtype=dtype, output_loading_info=True, **options
            )
            require_complete(info, model)
        except (DataError, ModelError) as error:
            raise DataError(str(error)) from error
        except Exception as error:  # OSError, SafetensorError, UnpicklingError, StrictDataclassError, KeyError ...
            raise DataError(f"{model}: cannot be loaded for depth estimation ({one_line(error)})") from error
        if processing_size is not None and getattr(self.processor, "size", None) is None:
            raise DataError(f"{model}: its image processor has no size, so --processing_size cannot set one.")
        self.model.to(device).eval()
        self.padded = rule.get("padded", False) and self.processor.do_pad
        backbone = getattr(config, "backbone_config", None)
        patch_size = getattr(config, "patch_size", None) or getattr(backbone, "patch_size", None) or 32
        multiple = max(patch_size, getattr(self.processor, "ensure_multiple_of", None) or 1)
        self.prepare = ImageInput(self.processor, processing_size, multiple)
        self.flip = flip
        self.device, self.dtype = torch.device(device), dtype
        self._name, self._source = model, source

    def describe(self) -> dict:
        """What produced the predictions, for the results and as the key of the cache."""
        size = self.prepare.size
        if os.path.isdir(self._source):
            files = sorted(Path(self._source).iterdir())
            weights = stamp(path for path in files if path.suffix in (".safetensors", ".bin", ".json"))
        else:
            weights = getattr(self.model.config, "_commit_hash", None) or "unknown"
        return {
            "model": self._name,
            "model_type": self.model.config.model_type,
            "weights": weights,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "predicts": self.predicts,
            "processing_size": "the image processor's" if size is None else size,
            "image_processor": json.loads(json.dumps(self.processor.to_dict(), default=str, sort_keys=True)),
            "flip": self.flip,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @torch.inference_mode()
    def predict(self, inputs: list[torch.Tensor], sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
        """Float32 (h, w) maps on the model's device, for prepared images of the given original sizes.

        Neighbours of one input size run as one batch.
        """
        maps = []
        pairs = list(zip(inputs, sizes))
        for _, group in groupby(pairs, key=lambda pair: (pair[0].shape, pair[1] if self.padded else None)):
            batch, source_sizes = zip(*group)
            pixel_values = torch.stack(batch).to(self.device, self.dtype)
            prediction = self._forward(pixel_values, list(source_sizes))
            if self.flip:
                prediction = (prediction + self._forward(pixel_values.flip(-1), list(source_sizes)).flip(-1)) / 2
            maps.extend(prediction)
        return maps

    def _forward(self, pixel_values: torch.Tensor, sizes: list[tuple[int, int]]) -> torch.Tensor:
        try:
            prediction = self.model(pixel_values=pixel_values).predicted_depth.float()
        except RuntimeError as error:  # a size that the architecture does not take, or too little memory
            size = "{}x{}".format(*pixel_values.shape[-2:])
            raise DataError(
                f"{self._name}: the model fails on inputs of {size} pixels ({one_line(error)})."
            ) from error
        return remove_zoe_padding(prediction, sizes[0]) if self.padded else prediction


def remove_zoe_padding(prediction: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(B, h, w) predictions for images that ZoeDepth's image processor padded, cut to the (height, width) of `size`.

    The padding on each side is `int(3 * sqrt(side / 2))` (isl-org/ZoeDepth, `depth_model.py`). The processor's own
    post-processing needs torchvision.
    """
    height, width = size
    top, left = int(3 * (height / 2) ** 0.5), int(3 * (width / 2) ** 0.5)
    padded = (height + 2 * top, width + 2 * left)
    prediction = F.interpolate(prediction[:, None], size=padded, mode="bilinear", antialias=True)[:, 0]
    return prediction[:, top : top + height, left : left + width]


class FilePredictions:
    """Predictions made elsewhere: for the image `a/b.png`, the file `a/b.npy` or `a/b.png` below `folder`.

    Args:
        folder: where they lie. `.npy` holds values of any float type, (H, W) or (H, W, 1); `.png` 16-bit integers.
        predicts: one of `KINDS`.
        scale: divisor of a PNG's integers, as for ground truth (65535 or 1000, say); `.npy` is taken as it is.

    Raises:
        DataError: no such folder, or `predicts` is missing.
    """

    def __init__(self, folder: str | os.PathLike, predicts: str | None, scale: float = 1.0):
        self.folder, self.predicts, self.scale = Path(folder), predicts, scale
        if not self.folder.is_dir():
            raise DataError(f"{folder}: no such folder of predictions.")
        if predicts is None:
            raise DataError(f"{folder}: say what the files hold, --predicts {', '.join(KINDS[:-1])} or {KINDS[-1]}.")

    def describe(self) -> dict:
        return {
            "predictions": str(self.folder.resolve()),
            "files": stamp(sorted(path for path in self.folder.rglob("*") if path.is_file())),
            "predicts": self.predicts,
            "scale": self.scale,
        }

    def prepare(self, image: np.ndarray, name: str) -> torch.Tensor:
        """The prediction made for the image called `name`."""
        image = Path(name).with_suffix("")
        # a list may name images by absolute paths; what lies beside them is not a prediction
        stem = self.folder.joinpath(*(part for part in image.parts if part not in (image.anchor, "..")))
        for path in (stem.with_name(stem.name + ".npy"), stem.with_name(stem.name + ".png")):
            if path.is_file():
                with naming(path):
                    values = read_npy(path) if path.suffix == ".npy" else read_png16(path) / np.float32(self.scale)
                    if values.ndim != 2 or not values.size:
                        raise DataError(f"expected a map of shape (height, width), got {values.shape}.")
                    return torch.from_numpy(values.astype(np.float32))
        raise DataError(f"{stem}.npy: no prediction for {name} (nor as .png).")

    def predict(self, inputs: list[torch.Tensor], sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
        return inputs


class Guess:
    """One of `GUESSES`, made by no model: what the fit alone makes of it is what a model has to beat."""

    predicts = "disparity"

    def __init__(self, name: str):
        self.description, self.disparity = GUESSES[name]

    def describe(self) -> dict:
        return {"predictions": self.description, "predicts": self.predicts}

    def prepare(self, image: np.ndarray, name: str) -> torch.Tensor:
        return self.disparity(*image.shape[:2])

    def predict(self, inputs: list[torch.Tensor], sizes: list[tuple[int, int]]) -> list[torch.Tensor]:
        return inputs


GUESSES = {
    "image-free-prior": ("image-free prior (lower in the image is nearer)", image_free_prior),
    "constant": ("constant", torch.ones),
}
"""What stands where files of predictions could be named: its description, and its disparity by height and width."""
