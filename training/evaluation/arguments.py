"""The command line of `training.evaluate`."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from transformers.hf_argparser import HfArg

from anydepth_hf.option_schema import AT_LEAST_0, AT_LEAST_1, POSITIVE, checked
from training.evaluation.cells import Cell, load_cell
from training.evaluation.datasets import set_names
from training.evaluation.protocol import protocol_names


@dataclass
class EvaluateArguments:
    # what is measured
    model: str | None = HfArg(default=None, help="Hub id, folder or preset of a depth-estimation model")
    predictions: str | None = HfArg(
        default=None,
        help="instead: folder of .npy or 16-bit .png files named as the images; or image-free-prior, constant",
    )
    prediction_scale: Annotated[float, POSITIVE] = HfArg(
        default=1.0, help="divisor of the integers of .png predictions"
    )
    predicts: Literal["disparity", "depth", "metric_depth", "log_depth"] | None = HfArg(
        default=None, help="what is predicted (default: known for each model type)"
    )
    revision: str | None = None
    trust_remote_code: bool = False

    # on what
    sets: list[str] = HfArg(default_factory=list, help=f"all, or some of {', '.join(set_names())}")
    data_dir: str | None = HfArg(default=None, help="folder of the sets, as Marigold packs them")
    lists_dir: str | None = HfArg(default=None, help="folder of the split lists: Marigold's data_split")
    frames: str | None = HfArg(
        default=None, help="own data: folder of NAME.rgb.jpg (or .png ...) beside NAME.depth.png, millimetres"
    )
    rgb_dir: str | None = HfArg(default=None, help="own data: folder of images")
    depth_dir: str | None = HfArg(default=None, help="own data: folder of depth files, named alike")
    depth_scale: Annotated[float | None, POSITIVE] = HfArg(
        default=None, help="own data: stored values per metre, e.g. 1000"
    )
    dataset: str | None = HfArg(
        default=None, help="own data, any other: name,option=value,... as in training, a Hub id or folder, or JSON"
    )
    title: str | None = HfArg(default=None, help="own data: its name in tables")
    min_depth: Annotated[float | None, AT_LEAST_0] = HfArg(default=None, help="own data: nearer depth is not compared")
    max_depth: Annotated[float | None, POSITIVE] = HfArg(default=None, help="own data: farther depth is not compared")
    crop: Annotated[list[int] | None, AT_LEAST_1] = HfArg(
        default=None, help="own data: HEIGHT WIDTH cut at the bottom centre"
    )
    valid_box: list[str] | None = HfArg(
        default=None, help="own data: TOP BOTTOM LEFT RIGHT compared; pixels, or fractions with a point"
    )
    intrinsics: list[float] | None = HfArg(
        default=None, help="own data: FX FY CX CY in pixels, for protocols that need the camera"
    )
    limit: Annotated[int | None, AT_LEAST_1] = HfArg(default=None, help="only this many images: a look, not a result")

    # a published result again
    reproduce: str | None = HfArg(
        default=None, help="a published cell, MODEL/SET, which fixes set and protocol; list shows them all"
    )

    # how
    protocol: list[str] = HfArg(
        default_factory=list,
        help="all, or some of " + ", ".join(protocol_names()) + "; the first is that of pictures and cards "
        "(default: lotus for disparity, marigold for depth, metric for metric depth)",
    )
    processing_size: str | None = HfArg(
        default=None, help="shorter side, or HEIGHTxWIDTH, of the input (default: the image processor's)"
    )
    flip: bool = HfArg(default=False, help="average with the mirrored image's prediction")
    batch_size: Annotated[int, AT_LEAST_1] = HfArg(default=1, help="images of one input size that run together")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    num_workers: Annotated[int, AT_LEAST_0] = HfArg(default=4, help="reading processes per evaluating process")

    # results
    output_dir: str = HfArg(default="", help="folder of results.json, results.md and worst.html")
    compare: str | None = HfArg(default=None, help="results.json of another model, to compare with image by image")
    worst: Annotated[int, AT_LEAST_0] = HfArg(default=8, help="images with error maps, for each data set")
    overwrite: bool = HfArg(default=False, help="replace the results in output_dir")

    def __post_init__(self):
        checked(self)
        if self.reproduce == "list":
            return
        if self.reproduce:
            self._follow(load_cell(self.reproduce))
        own = [name for name in ("frames", "rgb_dir", "dataset") if getattr(self, name)]
        if bool(self.model) == bool(self.predictions):
            raise ValueError("give either --model or --predictions")
        if bool(self.sets) == bool(own) or len(own) > 1:
            raise ValueError("give one of --sets, --frames, --rgb_dir with --depth_dir, and --dataset")
        if self.sets and not self.data_dir:
            raise ValueError("give --data_dir: the folder that holds the sets")
        if bool(self.rgb_dir) != bool(self.depth_dir):
            raise ValueError("--rgb_dir and --depth_dir go together")
        of_own = (self.depth_scale, self.min_depth, self.max_depth, self.crop, self.valid_box, self.intrinsics)
        if self.sets and any(of_own):
            raise ValueError(
                "--depth_scale, --min_depth, --max_depth, --crop, --valid_box and --intrinsics are for own data; an "
                "evaluation set fixes them"
            )
        if not self.output_dir:
            raise ValueError("give --output_dir: where the results go")
        if self.min_depth is not None and self.max_depth is not None and self.min_depth >= self.max_depth:
            raise ValueError("--min_depth must be less than --max_depth")
        self.size  # noqa: B018  (raises for a malformed size)
        of_models = ("revision", "trust_remote_code", "processing_size", "flip", "dtype")
        given = [name for name in of_models if getattr(self, name) != getattr(type(self), name)]
        if self.predictions and given:
            raise ValueError(f"--{given[0]} is for --model: the --predictions are made already")

    def _follow(self, cell: Cell) -> None:
        """Takes set, protocol and, if none is given, the model of a cell."""
        if self.sets or self.protocol or self.frames or self.rgb_dir or self.dataset:
            raise ValueError(
                "--reproduce fixes the set and the protocol: give neither --sets nor --protocol nor own data"
            )
        self.sets, self.protocol = [cell.set], [cell.protocol]
        if not self.predictions:
            self.model = self.model or cell.model
        if not self.model and not self.predictions:
            raise ValueError(
                f"{cell.name} needs "
                + (f"--predictions DIR --predicts {cell.predictions}" if cell.predictions else "--model, its weights")
            )

    @property
    def size(self) -> int | tuple[int, int] | None:
        """`processing_size` as the shorter side, or as (height, width)."""
        if self.processing_size is None:
            return None
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", self.processing_size.lower())
        if not match:
            raise ValueError(f"--processing_size {self.processing_size}: write a shorter side, or HEIGHTxWIDTH")
        return (int(match[1]), int(match[2])) if match[2] else int(match[1])
