"""Image processor of AnyDepth: one torch implementation, with or without torchvision."""

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    ImageInput,
    PILImageResampling,
    SizeDict,
    infer_channel_dimension_format,
)
from transformers.modeling_outputs import DepthEstimatorOutput
from transformers.processing_utils import ImagesKwargs

from .hub_anydepth import loadable
from .pixels_anydepth import get_resized_size, pil_to_rgb

IMPORTED_BY = os.getpid()
INTERPOLATION_MODES = {
    PILImageResampling.NEAREST: "nearest-exact",
    PILImageResampling.BILINEAR: "bilinear",
    PILImageResampling.BICUBIC: "bicubic",
}


def resize_image(
    image: torch.Tensor, size: tuple[int, int], resample: int = PILImageResampling.BICUBIC
) -> torch.Tensor:
    """Resizes images with antialiasing, as Pillow does; training and inference share this function.

    Args:
        image: `(..., channels, height, width)`, uint8 or floating point.
        size: `(height, width)` of the result.
        resample: `PIL.Image.Resampling` value, one of nearest, bilinear and bicubic.

    Returns:
        A tensor of shape `(..., channels, *size)` with the dtype of `image`; uint8 values are rounded and clamped.

    Raises:
        ValueError: `resample` is another filter.
    """
    if resample not in INTERPOLATION_MODES:
        names = ", ".join(f"{int(mode)} ({mode.name.lower()})" for mode in INTERPOLATION_MODES)
        raise ValueError(f"`resample` must be one of {names}, got {resample}.")
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    mode = INTERPOLATION_MODES[resample]
    antialias = mode != "nearest-exact"
    batch = image.reshape(-1, *image.shape[-3:])
    # torch has antialiased uint8 kernels on CPU only
    if image.dtype == torch.uint8 and antialias and image.device.type != "cpu":
        resized = F.interpolate(batch.float(), size=size, mode=mode, antialias=True).round_().clamp_(0, 255)
    else:
        resized = F.interpolate(batch, size=size, mode=mode, antialias=antialias)
    return resized.to(image.dtype).reshape(*image.shape[:-2], *size)


class AnyDepthImageProcessorKwargs(ImagesKwargs, total=False):
    r"""
    ensure_multiple_of (`int`, *optional*, defaults to 16):
        Both sides of the resized image are multiples of this: the patch size of the encoder.
    prediction_type (`str`, *optional*, defaults to `"disparity"`):
        What the model's `predicted_depth` holds, `"disparity"` or `"depth"`; used by post-processing.
    """

    ensure_multiple_of: int
    prediction_type: str


class AnyDepthImageProcessor(BaseImageProcessor):
    r"""
    Turns images into `pixel_values` for [`AnyDepthForDepthEstimation`] and predictions back into full-size maps.

    Images are converted to RGB (any PIL mode; EXIF rotation applied; transparency laid on white), resized keeping the
    aspect ratio to `size` with sides that are multiples of `ensure_multiple_of`, and normalised with ImageNet's mean
    and standard deviation. Arrays and tensors may be `(H, W)`, `(H, W, C)` or `(C, H, W)`, integers of the full range
    of uint8 or uint16, or floating point in [0, 1]. When images of a call end up with different sizes and a tensor is
    asked for, all are resized to their mean size, because padding would be read as a near object.

    Args:
        size (`dict`, defaults to `{"shortest_edge": 768}`, the paper's resolution):
            `{"shortest_edge": n}`, `{"longest_edge": n}`, both (the second as a limit) or `{"height": h, "width": w}`.
        ensure_multiple_of (`int`, defaults to 16): the encoder's patch size.
        resample (`int`, defaults to bicubic): `PIL.Image.Resampling` filter: nearest, bilinear or bicubic.
        prediction_type (`str`, defaults to `"disparity"`): what the model predicts, `"disparity"` or `"depth"`.
        do_resize, do_rescale, do_normalize, image_mean, image_std: as in every image processor of transformers.
    """

    valid_kwargs = AnyDepthImageProcessorKwargs
    model_input_names = ["pixel_values"]
    do_resize = True
    size = {"shortest_edge": 768}
    default_to_square = False
    ensure_multiple_of = 16
    resample = PILImageResampling.BICUBIC
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    do_convert_rgb = True
    prediction_type = "disparity"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._set_attributes(**kwargs)
        if self.prediction_type not in ("disparity", "depth"):
            raise ValueError(f"`prediction_type` must be 'disparity' or 'depth', got {self.prediction_type!r}.")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """Load the image processor of a folder or a repository, as in transformers."""
        return super().from_pretrained(loadable(pretrained_model_name_or_path, kwargs), *args, **kwargs)

    def _prepare_images_structure(self, images: ImageInput, expected_ndims: int = 3) -> list:
        images = images if isinstance(images, list | tuple) else [images]
        if not images:
            raise ValueError("The list of images is empty.")
        # the base class knows no gray arrays of two dimensions
        images = [image[None] if getattr(image, "ndim", None) == 2 else image for image in images]
        return super()._prepare_images_structure(images if len(images) > 1 else images[0], expected_ndims)

    def _preprocess_image_like_inputs(self, *args, **kwargs) -> BatchFeature:
        # A forked process, as of `datasets.map(..., num_proc=2)`, has none of the threads that torch counts on, and
        # would wait for them for ever.
        is_forked, threads = os.getpid() != IMPORTED_BY, torch.get_num_threads()
        if is_forked:
            torch.set_num_threads(1)
        try:
            return super()._preprocess_image_like_inputs(*args, **kwargs)
        finally:
            if is_forked:
                torch.set_num_threads(threads)

    def process_image(
        self,
        image: Any,
        input_data_format: str | ChannelDimension | None = None,
        device: str | torch.device | None = None,
        do_convert_rgb: bool | None = True,
        **kwargs,
    ) -> torch.Tensor:
        """One image of any accepted kind as a `(3, H, W)` tensor: uint8, or floating point in [0, 1].

        With `do_convert_rgb=False` it keeps its own number of channels.
        """
        if isinstance(image, Image.Image):
            if do_convert_rgb:
                return torch.from_numpy(pil_to_rgb(image)).permute(2, 0, 1).to(device or "cpu")
            image = np.array(image).reshape(image.height, image.width, -1)
        tensor = image if isinstance(image, torch.Tensor) else torch.from_numpy(np.array(image))
        layout = input_data_format or infer_channel_dimension_format(tensor.numpy(force=True), (1, 3, 4))
        if layout == ChannelDimension.LAST:
            tensor = tensor.permute(2, 0, 1)
        if tensor.dtype == torch.uint16:
            tensor = (tensor.to(torch.int32) / 257).round().to(torch.uint8)
        elif tensor.dtype == torch.bool:
            tensor = tensor.to(torch.uint8) * 255
        elif not tensor.is_floating_point() and tensor.dtype != torch.uint8:
            if tensor.min() < 0 or tensor.max() > 255:
                raise ValueError("Integer images need values in 0..255 (or dtype uint16 for 16-bit images).")
            tensor = tensor.to(torch.uint8)
        elif tensor.is_floating_point():
            if not torch.isfinite(tensor).all() or tensor.min() < 0 or tensor.max() > 1:
                raise ValueError(
                    "Floating-point images need finite values in [0, 1]; divide by 255, or pass uint8 values."
                )
            tensor = tensor.float()
        if tensor.shape[0] not in (1, 3, 4):
            raise ValueError(f"An image needs 1, 3 or 4 channels, got {tensor.shape[0]}.")
        if tensor.shape[0] == 1 and do_convert_rgb:
            tensor = tensor.expand(3, -1, -1)
        elif tensor.shape[0] == 4 and do_convert_rgb:
            opaque = 255 if tensor.dtype == torch.uint8 else 1
            alpha = tensor[3:].float() / opaque
            blended = tensor[:3] * alpha + opaque * (1 - alpha)
            tensor = (blended.round() if opaque == 255 else blended).to(tensor.dtype)
        return tensor.to(device or tensor.device)

    def _preprocess(
        self,
        images: list[torch.Tensor],
        do_resize: bool,
        size: SizeDict,
        resample: int,
        ensure_multiple_of: int,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: float | Sequence[float],
        image_std: float | Sequence[float],
        return_tensors: str | None,
        **kwargs,
    ) -> BatchFeature:
        if do_resize:
            sizes = [get_resized_size(image.shape[-2], image.shape[-1], size, ensure_multiple_of) for image in images]
            if return_tensors is not None and len(set(sizes)) > 1:
                height, width = (sum(sides) / len(sizes) for sides in zip(*sizes))
                mean_size = SizeDict(height=height, width=width)
                sizes = [get_resized_size(1, 1, mean_size, ensure_multiple_of)] * len(images)
            images = [resize_image(image, size, resample) for image, size in zip(images, sizes)]
        elif return_tensors is not None and len({image.shape for image in images}) > 1:
            raise ValueError(
                "Images of one call have different sizes: use `do_resize=True`, or pass them one at a time."
            )
        # floating-point images are in [0, 1] already
        if do_rescale:
            images = [image if image.is_floating_point() else image * rescale_factor for image in images]
        if do_normalize:
            statistics = {"image_mean": image_mean, "image_std": image_std}
            for name, values in statistics.items():
                if not isinstance(values, float | int) and any(len(image) != len(values) for image in images):
                    raise ValueError(
                        f"`{name}` has {len(values)} values but an image has another number of channels; use "
                        "`do_convert_rgb=True`, or a mean and standard deviation for each channel."
                    )
            mean, std = (torch.tensor(v, device=images[0].device)[..., None, None] for v in statistics.values())
            images = [(image - mean) / std for image in images]
        if return_tensors is not None:
            images = torch.stack(images)
        return BatchFeature({"pixel_values": images}, tensor_type=return_tensors)

    def post_process_depth_estimation(
        self,
        outputs: DepthEstimatorOutput,
        target_sizes: Sequence[tuple[int, int] | None] | torch.Tensor | None = None,
        output_type: Literal["disparity", "depth"] | None = None,
        scale: float | Sequence[float] | None = None,
        shift: float | Sequence[float] | None = None,
        normalize: bool = False,
        calibration: Any = None,
    ) -> list[dict[str, torch.Tensor | str]]:
        """
        Resizes predictions to the images' sizes (bilinear) and, on request, converts or normalises them.

        Args:
            outputs: the model's output; `predicted_depth` is `(batch_size, height, width)`.
            target_sizes: `(height, width)` of each image; predictions keep their size when not given, or `None`.
            output_type: `"disparity"` or `"depth"`; as predicted (`self.prediction_type`) when not given.
            scale, shift: the alignment (one number, or one an image) of the prediction: `scale * prediction + shift`
                is disparity in 1/metre, or depth in metres. A relative disparity cannot become depth without it.
            normalize: map each result to [0, 1] for display; a constant map becomes 0.
            calibration: instead of scale and shift, what `anydepth_hf.alignment.fit` or `Calibration.load` returned
                (or one an image): anything with `prediction_type` and `apply(prediction)`, which gives depth in
                metres. Results are depth then unless `output_type` says otherwise.

        Returns:
            For each image a dict with `predicted_depth`, a float32 tensor `(height, width)`, and `prediction_type`,
            which says whether that is `"disparity"` or `"depth"`.

        Raises:
            ValueError: wrong number of target sizes, scales or shifts, unknown `output_type`, disparity to depth
                without alignment, or a calibration of another type of prediction or beside `scale` and `shift`.
        """
        predictions = outputs.predicted_depth.float()
        if target_sizes is not None and len(target_sizes) != len(predictions):
            raise ValueError(
                f"Got {len(target_sizes)} target sizes for {len(predictions)} predictions; `target_sizes` is a list "
                "with the `(height, width)` of each image."
            )
        sizes = [None] * len(predictions) if target_sizes is None else target_sizes
        if any(size is not None and torch.as_tensor(size).shape != (2,) for size in sizes):
            raise ValueError(f"`target_sizes` is a list with the `(height, width)` of each image, got {target_sizes}.")
        calibrations = calibration if isinstance(calibration, list | tuple) else [calibration] * len(predictions)
        if calibration is not None:
            if scale is not None or shift is not None:
                raise ValueError("Pass either `calibration` or `scale` and `shift`.")
            if len(calibrations) != len(predictions):
                raise ValueError(f"Got {len(calibrations)} calibrations for {len(predictions)} predictions.")
            for item in calibrations:
                if item.prediction_type != self.prediction_type:
                    kinds = f"{item.prediction_type}, but the model predicts {self.prediction_type}"
                    raise ValueError(f"The calibration is for {kinds}.")
        output_type = output_type or (self.prediction_type if calibration is None else "depth")
        if output_type not in ("disparity", "depth"):
            raise ValueError(f"`output_type` must be 'disparity' or 'depth', got {output_type!r}.")
        aligned = calibration is not None or (scale is not None and shift is not None)
        if self.prediction_type == "disparity" and output_type == "depth" and not aligned:
            raise ValueError(
                "The model predicts disparity up to an unknown scale and shift, so 1 / prediction is not depth. "
                "Pass `calibration`, or `scale` and `shift`, fitted on known depths (`anydepth_hf.alignment.fit`), "
                "or ask for output_type='disparity'."
            )
        alignments = [
            torch.as_tensor(default if value is None else value, dtype=torch.float32).flatten()
            for value, default in ((scale, 1.0), (shift, 0.0))
        ]
        if any(values.numel() not in (1, len(predictions)) for values in alignments):
            raise ValueError(f"`scale` and `shift` must be one number, or one for each of {len(predictions)} images.")
        scales, shifts = (values.expand(len(predictions)).tolist() for values in alignments)
        results = []
        for index, (prediction, size) in enumerate(zip(predictions, sizes)):
            if size is not None:
                size = tuple(int(side) for side in size)
                prediction = F.interpolate(prediction[None, None], size=size, mode="bilinear")[0, 0]
            if scale is not None or shift is not None:
                prediction = prediction * scales[index] + shifts[index]
            kind = self.prediction_type
            if calibration is not None:
                prediction, kind = calibrations[index].apply(prediction).float(), "depth"
            if output_type != kind:
                # the floor of 1e-3 that Marigold's and Lotus's evaluation use
                prediction = 1 / prediction.clamp(min=1e-3)
            if normalize:
                low, high = prediction.min(), prediction.max()
                prediction = (prediction - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)
            results.append({"predicted_depth": prediction, "prediction_type": output_type})
        return results

    def to_dict(self) -> dict[str, Any]:
        """Settings as `save_pretrained` writes them."""
        output = super().to_dict()
        # as a list, so that `pipeline` does not derive a video processor from a plain string and ask to run its code
        if isinstance(output.get("auto_map", {}).get("AutoImageProcessor"), str):
            output["auto_map"] = {"AutoImageProcessor": [output["auto_map"]["AutoImageProcessor"], None]}
        return output


__all__ = ["AnyDepthImageProcessor", "pil_to_rgb", "resize_image"]
