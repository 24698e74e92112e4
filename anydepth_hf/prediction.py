"""Predicting many pictures: they are decoded while the model runs, and run together where they have one size."""

import copy
import inspect
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .alignment import Alignment
from .calibration import Calibration
from .camera import Intrinsics
from .depth_map import DepthMap
from .image_io import as_rgb
from .image_processing_anydepth import get_resized_size
from .inputs import Source
from .loading import load_model
from .memory import check_memory
from .model_types import prediction_kind
from .pixels_anydepth import upright
from .tiles import refine

MAX_PATCHES = 16384
"""Patches of the encoder that one picture may become: 2048 x 2048 pixels for patches of 16."""
MAX_ASPECT_RATIO = 32
"""Longest side of a picture in multiples of its shortest; depth of narrower strips means nothing."""

FAILURES = (OSError, ValueError, ImportError, RuntimeError, MemoryError)
"""What a single picture may raise: it could not be read, is too large, or the model failed on it."""


@dataclass(frozen=True)
class Result:
    """One picture's `depth`, with the decoded `image`, or the `error` that it gave."""

    source: Any
    image: Image.Image | None = None
    depth: DepthMap | None = None
    error: Exception | None = None


@dataclass
class Predictor:
    """
    A model with everything that decides what its maps are.

    Args:
        model, processor: as `load_model` gives them.
        name: of the model, for files.
        batch_size: pictures that run at once, if they come to one size; none is padded, which would change its depth.
        workers: threads that decode.
        alignment: makes the maps metric.
        predicts: see `model_types.PREDICTS`; by default what the model's type says.
        tiles: tiles along the shorter side that sharpen the map (see `tiles.refine`); fewer where a tile would have
            less pixels than the model sees, and 0 for none.
        own_size: maps keep the size at which the model sees the picture; with tiles they have the picture's all the
            same.
    """

    model: Any
    processor: Any
    name: str = ""
    batch_size: int = 1
    workers: int = 2
    alignment: Alignment | None = None
    predicts: str | None = None
    tiles: int = 0
    own_size: bool = False

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"The batch size must be at least 1, got {self.batch_size}.")
        self.kind, self.unit = prediction_kind(self.model.config, self.predicts)
        if self.alignment is not None:
            if self.unit is not None:
                raise ValueError(f"{self.name} predicts {self.kind} in {self.unit} already; it takes no calibration.")
            if self.alignment.prediction_type != self.kind:
                raise ValueError(
                    f"The calibration is for models that predict {self.alignment.prediction_type}, but {self.name} "
                    f"predicts {self.kind}."
                )

    @property
    def output_kind(self) -> str:
        """`"disparity"` or `"depth"`: what the maps are."""
        return self.kind if self.alignment is None else "depth"

    @property
    def is_metric(self) -> bool:
        """Whether the maps have a unit."""
        return self.unit is not None or self.alignment is not None

    def set_size(self, size: int | None):
        """Sets the shortest side, in pixels, that the model sees; of `None` its processor's own stays."""
        if not size:
            return
        self.processor = copy.copy(self.processor)  # the caller's stays as it is
        sizes = type(self.processor.size)
        if hasattr(self.processor, "keep_aspect_ratio"):  # DPT's and Depth Anything's processors
            self.processor.size = sizes(height=size, width=size)
        else:
            self.processor.size = sizes(shortest_edge=size)

    def stream(self, sources: Iterable[Any]) -> Iterator[Result]:
        """
        Yields one result for each source, soon after its picture is read; not always in order. A source is anything
        with `name` and `open()`, which gives a PIL image.
        """
        ready: dict[tuple, list] = {}
        for source, future in self._read_ahead(iter(sources)):
            try:
                image, pixel_values = future.result()
            except FAILURES as error:
                yield Result(source, error=error)
                continue
            batch = ready.setdefault(tuple(pixel_values.shape), [])
            batch.append((source, image, pixel_values))
            if len(batch) == self.batch_size:
                yield from self.run(ready.pop(tuple(pixel_values.shape)))
            elif sum(map(len, ready.values())) > 4 * self.batch_size:
                # many sizes: the memory of those that wait for company is bounded
                yield from self.run(ready.pop(max(ready, key=lambda shape: len(ready[shape]))))
        for batch in ready.values():
            yield from self.run(batch)

    def _read_ahead(self, sources: Iterator[Source]):
        pool = ThreadPoolExecutor(self.workers, "decode")
        waiting: deque = deque()
        try:
            while True:
                while len(waiting) < self.batch_size + self.workers:
                    source = next(sources, None)
                    if source is None:
                        break
                    waiting.append((source, pool.submit(self.read, source)))
                if not waiting:
                    return
                yield waiting.popleft()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def read(self, source: Source) -> tuple[Image.Image, torch.Tensor]:
        """
        One decoded picture and its `pixel_values` for the model, `(1, 3, height, width)`; one of `FAILURES` where it
        cannot be read, or is too large or too narrow.
        """
        image = source.open()
        self._check_size(source.name, *image.size)
        try:
            return image, self.processor(image, return_tensors="pt").pixel_values
        except ValueError as error:
            raise ValueError(f"{source.name} cannot be prepared for the model ({error})") from error

    def _check_size(self, name: str, width: int, height: int):
        """Refuses pictures that would fill the memory before they are resized."""
        if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
            raise ValueError(
                f"{name} has {width}x{height} pixels; one side may be at most {MAX_ASPECT_RATIO} times the other: "
                "crop it."
            )
        multiple = getattr(self.processor, "ensure_multiple_of", None)
        if multiple and self.processor.do_resize and not hasattr(self.processor, "keep_aspect_ratio"):
            height, width = get_resized_size(height, width, self.processor.size, multiple)
            patches = (height // multiple) * (width // multiple)
            if patches > MAX_PATCHES:
                raise ValueError(
                    f"{name} would be {width}x{height} pixels for the model, {patches} patches; at most "
                    f"{MAX_PATCHES} are run: use a smaller size, or tiles."
                )

    def run(self, batch: list[tuple[Any, Image.Image, torch.Tensor]]) -> Iterator[Result]:
        """Runs pictures of one size, as `read` gave them, through the model at once, or one by one where that fails;
        yields a result for each.
        """
        sources, images, pixel_values = zip(*batch)
        try:
            pixels = torch.cat(pixel_values)
            own = [tuple(pixels.shape[-2:])] * len(images) if self.own_size and not self.tiles else None
            layers = self.forward(pixels, [image.size[::-1] for image in images], own)
        except FAILURES as error:
            if len(batch) == 1:
                yield Result(sources[0], images[0], error=error)
                return
            for item in batch:  # what is too much at once may fit one by one
                yield from self.run([item])
            return
        for source, image, maps in zip(sources, images, layers):
            try:
                maps["values"] = self._sharpen(maps["values"], image, *pixel_values[0].shape[-2:])
                yield Result(source, image, self.describe(maps, image, source.name))
            except FAILURES as error:
                yield Result(source, image, error=error)

    def _sharpen(self, values: np.ndarray, image: Image.Image, height: int, width: int) -> np.ndarray:
        """The map of a picture that the model saw at `height` and `width`, with the detail of its tiles."""
        count = min(self.tiles, min(image.size) // min(height, width))
        if count < 2:
            return values

        def predict(tiles):
            pixel_values = [self.processor(tile, return_tensors="pt").pixel_values for tile in tiles]
            maps = self.forward(torch.cat(pixel_values), [tile.size[::-1] for tile in tiles])
            return [layers["values"] for layers in maps]

        # once for all tiles, since what 16-bit numbers mean is seen from the whole picture
        detail = max(image.height / height, image.width / width)
        return refine(values, as_rgb(image), predict, count, detail, self.batch_size)

    @torch.inference_mode()
    def forward(
        self, pixel_values: torch.Tensor, sizes: list[tuple[int, int]], map_sizes: list[tuple[int, int]] | None = None
    ) -> list[dict[str, np.ndarray]]:
        """
        Runs the model once.

        Args:
            pixel_values: `(batch_size, 3, height, width)`.
            sizes: `(height, width)` of each picture.
            map_sizes: those of the maps; by default the pictures'.

        Returns:
            For each picture its `values`, and where the model has them its `confidence` and `sky`.
        """
        if self.model.device.type == "cpu":
            check_memory(self.model, pixel_values)
        outputs = self.model(pixel_values=pixel_values.to(self.model.device, self.model.dtype, non_blocking=True))
        process = self.processor.post_process_depth_estimation
        options = {"source_sizes": sizes} if "source_sizes" in inspect.signature(process).parameters else {}
        map_sizes = map_sizes or sizes
        results = process(outputs, target_sizes=map_sizes, **options)
        layers = [{"values": result["predicted_depth"].float().cpu().numpy()} for result in results]
        for name in ("confidence", "sky"):
            if (maps := outputs.get(name)) is not None:
                for layer, values, size in zip(layers, maps, map_sizes):
                    values = F.interpolate(values[None, None].float(), size=size, mode="bilinear")[0, 0].cpu().numpy()
                    layer[name] = values > 0.5 if name == "sky" else values
        return layers

    def describe(self, layers: dict[str, np.ndarray], image: Image.Image | None, name: str) -> DepthMap:
        """The map of one picture (where it is at hand, its EXIF data give the camera) with its meaning; refuses one
        that is not finite.
        """
        broken = 1 - np.isfinite(layers["values"]).mean()
        if broken:
            raise ValueError(
                f"the model's prediction for {name} is NaN or infinite on {broken:.0%} of the pixels; use float32, or "
                "another checkpoint"
            )
        depth = DepthMap(
            layers["values"],
            self.kind,
            self.unit,
            intrinsics=image and Intrinsics.from_exif(image, PurePath(name).name),
            model=self.name or None,
            image=PurePath(name).name,
            confidence=layers.get("confidence"),
            sky=layers.get("sky"),
        )
        return depth if self.alignment is None else depth.to_depth(self.alignment)


@dataclass(frozen=True)
class _Given:
    """A picture that a script holds: anything that `predict_depth` takes, as `Predictor.stream` wants it."""

    index: int
    image: Any

    @property
    def name(self) -> str:
        return os.fspath(self.image) if isinstance(self.image, str | os.PathLike) else f"image {self.index}"

    def open(self) -> Image.Image:
        if isinstance(self.image, Image.Image):
            return upright(self.image)
        if isinstance(self.image, np.ndarray):
            if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
                raise ValueError("An image array must be uint8 RGB of shape (height, width, 3).")
            return Image.fromarray(self.image)
        if isinstance(self.image, bytes):
            return Source(self.name, "", data=self.image).open()
        if isinstance(self.image, str | os.PathLike):
            return Source(self.name, "", path=self.name).open()
        raise ValueError(
            "An image is a path, an address, bytes, a PIL image or a uint8 RGB array, not of type "
            f"{type(self.image).__name__}."
        )


def predict_depth(
    images: Any,
    model: Any = None,
    *,
    device: str | None = None,
    dtype: str = "float32",
    size: int | None = None,
    batch_size: int = 1,
    tiles: int = 0,
    calibration: Alignment | Calibration | str | os.PathLike | None = None,
    intrinsics: Intrinsics | None = None,
    trust_remote_code: bool = False,
) -> DepthMap | list[DepthMap]:
    """
    Predicts the depth or disparity of pictures.

    Args:
        images: a path, an address, bytes of a file, a PIL image or a uint8 RGB array `(height, width, 3)`; or a list
            of such.
        model: directory or Hub id; the pair that `anydepth_hf.loading.load_model` returns, to load it once; or by
            default the small model that comes with the package.
        device, dtype, trust_remote_code: as `load_model` takes them.
        size: shortest side in pixels that the model sees; by default its processor's, or that of the calibration.
        batch_size: pictures that run at once, if they come to one size.
        tiles: tiles along the shorter side that sharpen the maps of large pictures; 0 for none.
        calibration: turns the predictions of a relative model into metres: an alignment, a calibration or its file.
        intrinsics: the camera, for all pictures; by default from their EXIF data, or else the calibration's where
            the pictures have the shape of its own.

    Returns:
        A [`DepthMap`] with the picture's size, or a list of them for a list.

    Raises:
        ValueError: a picture or model that cannot be used, or a calibration or camera that does not fit it.
        OSError: a file that cannot be opened.
    """
    network, processor = model if isinstance(model, tuple) else load_model(model, device, dtype, trust_remote_code)
    name = network.config.name_or_path if isinstance(model, tuple) or model is None else os.fspath(model)
    if isinstance(calibration, str | os.PathLike):
        calibration = Calibration.load(calibration)
    elif isinstance(calibration, Alignment):
        calibration = Calibration(calibration)
    alignment = calibration and calibration.alignment
    label = model_label(name)
    predictor = Predictor(network, processor, label, batch_size=batch_size, alignment=alignment, tiles=tiles)
    predictor.set_size(size or (calibration and calibration.size))
    several = isinstance(images, list | tuple)
    given = [_Given(index, image) for index, image in enumerate(images if several else [images])]
    maps: list[DepthMap | None] = [None] * len(given)
    for result in predictor.stream(given):
        if result.error is not None:
            raise result.error
        depth, size = result.depth, result.image.size
        assert depth is not None
        camera = intrinsics.for_size(*size) if intrinsics else depth.intrinsics
        camera = camera or (calibration and calibration.camera_of(*size))
        maps[result.source.index] = replace(depth, intrinsics=camera)
    return maps if several else maps[0]


def model_label(name: str) -> str:
    """What files call a model: its Hub id, or the last part of its path, which says enough on another machine."""
    return PurePath(name).name if os.path.isdir(name) else name
