"""Prediction from an exported ONNX file with NumPy, Pillow and ONNX Runtime, without PyTorch or transformers."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from anydepth_cli.sentences import one_line

from .depth_map import DepthMap
from .export_metadata import METADATA_KEY, decode
from .extras import require
from .image_io import ImageSource, open_image
from .pixels_anydepth import get_resized_size, pil_to_rgb, resize_rgb

FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}
DEFAULT_FILE = "onnx/model.onnx"


class OnnxPredictor:
    """
    A model exported by `anydepth export --format onnx`, run by ONNX Runtime.

    The file tells what is done to a picture before and after the network, so the file is all that is needed. The
    network sees the very pixels that [`AnyDepthImageProcessor`] would give it.

    Args:
        path: an `.onnx` file, or a folder that holds `onnx/model.onnx`.
        providers: ONNX Runtime's execution providers in order, such as `["CUDAExecutionProvider"]`; the CPU's when
            not given.
        threads: of the CPU; ONNX Runtime's own choice when not given.

    Raises:
        ValueError: no file that `anydepth export` wrote.
        ImportError: ONNX Runtime is missing.

    Example:

    ```python
    >>> from anydepth_hf.onnx_predictor import OnnxPredictor

    >>> depth_map = OnnxPredictor("exported")("photo.jpg")
    >>> depth_map.values.shape, depth_map.kind
    ```
    """

    def __init__(self, path: str | os.PathLike, providers: Sequence[Any] | None = None, threads: int | None = None):
        require("onnxruntime", "onnx", "Running an ONNX file")
        self.path = Path(path, DEFAULT_FILE) if os.path.isdir(path) else Path(path)
        if not self.path.is_file():
            raise ValueError(f"{self.path} does not exist; `anydepth export --format onnx` writes it.")
        try:
            self.session = open_session(self.path, threads, providers)
        except Exception as error:  # ONNX Runtime's own classes, made at run time
            raise ValueError(f"{self.path} is no ONNX file that can be run: {one_line(error)}") from error
        folder = self.path.parent.parent if os.path.isdir(path) else self.path
        self.name = folder.resolve().name
        self.description = decode(
            self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY), os.fspath(self.path)
        )

    def preprocess(self, image: ImageSource | Image.Image | np.ndarray, size: int | None = None) -> np.ndarray:
        """
        float32 `pixel_values` `(1, 3, height, width)` of a picture.

        Args:
            image: path, bytes, file object, PIL image, or uint8 RGB array `(H, W, 3)`.
            size: shortest side that the network sees, instead of the model's own size.
        """
        settings = self.description["input"]
        rgb = self._rgb(image)
        if settings["do_resize"]:
            names = ("shortest_edge", "longest_edge", "height", "width")
            wanted = SimpleNamespace(**dict.fromkeys(names) | ({"shortest_edge": size} if size else settings["size"]))
            resized = get_resized_size(rgb.shape[0], rgb.shape[1], wanted, settings["ensure_multiple_of"])
            rgb = resize_rgb(rgb, resized, FILTERS[settings["resample"]])
        values = rgb.transpose(2, 0, 1).astype(np.float32)
        if settings["do_rescale"]:
            values *= np.float32(settings["rescale_factor"])
        if settings["do_normalize"]:
            mean, std = (np.float32(settings[name])[:, None, None] for name in ("image_mean", "image_std"))
            values = (values - mean) / std
        return np.ascontiguousarray(values[None])

    @staticmethod
    def _rgb(image: ImageSource | Image.Image | np.ndarray) -> np.ndarray:
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f"An array must be uint8 RGB (H, W, 3), got {image.dtype} {image.shape}.")
            return image
        return pil_to_rgb(image if isinstance(image, Image.Image) else open_image(image))

    def __call__(
        self, image: ImageSource | Image.Image | np.ndarray, size: int | None = None, name: str | None = None
    ) -> DepthMap:
        """
        Predicts one picture.

        Args:
            image: path, bytes, file object, PIL image, or uint8 RGB array `(H, W, 3)`.
            size: shortest side that the network sees, instead of the model's own size.
            name: what the map says that it was predicted from.

        Returns:
            A map of the picture's size that says what its numbers are.
        """
        rgb = self._rgb(image)
        output = self.description["output"]
        prediction = self.session.run([output["name"]], {"pixel_values": self.preprocess(rgb, size)})[0][0]
        values = resize_map(prediction, rgb.shape[:2])
        return DepthMap(values, output["prediction_type"], output["unit"], model=self.name, image=name)


def open_session(path: str | os.PathLike, threads: int | None = None, providers: Sequence[Any] | None = None) -> Any:
    """ONNX Runtime's session of a file; arguments as in [`OnnxPredictor`]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors: it warns of each constant that it does not need
    return onnxruntime.InferenceSession(path, options, providers=list(providers or ["CPUExecutionProvider"]))


def resize_map(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resizing `(height, width)` to `size` as `interpolate(..., align_corners=False)` does, float32."""
    for axis in (0, 1):
        length = values.shape[axis]
        if length == size[axis]:
            continue
        position = (np.arange(size[axis], dtype=np.float32) + 0.5) * np.float32(length / size[axis]) - np.float32(0.5)
        position = position.clip(0)
        before = np.minimum(position.astype(np.int64), length - 1)
        after = np.minimum(before + 1, length - 1)
        share = (position - before).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        values = np.take(values, before, axis) * (1 - share) + np.take(values, after, axis) * share
    return values.astype(np.float32)
