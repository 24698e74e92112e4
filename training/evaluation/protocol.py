"""How samples become pixels to compare: crop, range and mask; and users' own data seen that way."""

import glob
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from training.data.decoding import DataError
from training.data.readers import DepthSample
from training.data.sources import PairDataset, open_dataset
from training.evaluation.stamps import stamp


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the samples of an evaluation set become pixels to compare.

    Attributes:
        min_depth, max_depth: predictions are clipped to this range, in the depth's units; `None` is no limit.
        range_is_valid: whether ground truth outside `min_depth < depth < max_depth` is left out (DIODE: no).
        crop: (height, width) cut from image and depth, at the bottom and horizontally centred; `None` for all.
        valid_box: (top, bottom, left, right) of the pixels to compare, after the crop: integers are pixels, floats
            are fractions of the sides, rounded down.
        alignment_max_resolution: see `evaluation.evaluate_depth`.
    """

    min_depth: float | None = None
    max_depth: float | None = None
    range_is_valid: bool = True
    crop: tuple[int, int] | None = None
    valid_box: tuple[float, float, float, float] | None = None
    alignment_max_resolution: int | None = None

    def apply(self, sample: DepthSample) -> DepthSample:
        """The sample cropped, `valid` narrowed to the pixels that count.

        Raises:
            DataError: the image is smaller than the crop.
        """
        image, depth, valid = sample.image, sample.depth, sample.valid
        if self.crop is not None:
            height, width = self.crop
            top, left = depth.shape[0] - height, int((depth.shape[1] - width) / 2)
            if top < 0 or left < 0:
                raise DataError(f"{sample.name}: {depth.shape[0]}x{depth.shape[1]} pixels cannot be cropped to "
                                f"{height}x{width}.")  # fmt: skip
            window = np.s_[top : top + height, left : left + width]
            image, depth, valid = image[window], depth[window], valid[window]
        valid = valid.copy()
        if self.range_is_valid:
            if self.min_depth is not None:
                valid &= depth > self.min_depth
            if self.max_depth is not None:
                valid &= depth < self.max_depth
        if self.valid_box is not None:
            sides = (depth.shape[0],) * 2 + (depth.shape[1],) * 2
            box = (edge if isinstance(edge, int) else int(edge * side) for edge, side in zip(self.valid_box, sides))
            top, bottom, left, right = box
            inside = np.zeros_like(valid)
            inside[top:bottom, left:right] = True
            valid &= inside
        return replace(sample, image=image, depth=depth, valid=valid)


class OwnDataset:
    """Any data set that `training.data.sources.open_dataset` opens, seen through a protocol.

    Args:
        spec: the fields of a `DatasetSpec`, e.g. `{"name": "pairs", "rgb_dir": ..., "depth_dir": ...}`.
        protocol: crop, range and mask.
        title: for tables.

    Raises:
        DataError: the data set cannot be opened, or is a stream.
    """

    def __init__(self, spec: dict, protocol: Protocol, title: str = "own data"):
        self.spec, self.protocol, self.title = spec, protocol, title
        self.dataset = open_dataset(spec)
        if not hasattr(self.dataset, "__getitem__"):
            raise DataError("A streaming data set has no fixed images to evaluate on; set streaming: false.")

    def describe(self) -> dict:
        """What was read, for the results and as the key of the cache."""
        description = {"spec": self.spec, "protocol": asdict(self.protocol), "images": len(self)}
        if self.spec["name"] == "hub":
            found = [Path(path) for path in glob.glob(os.path.expanduser(str(self.spec.get("path"))))]
            files = [file for path in found for file in (path, *path.rglob("*")) if file.is_file()]
            description["files"] = stamp(sorted(files))
        return description

    def files_of(self, index: int) -> list[str]:
        """The files that hold sample `index`; none where it is no file of its own (`hub`, `scenes`)."""
        return list(self.dataset.paths(index)) if isinstance(self.dataset, PairDataset) else []

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> DepthSample:
        sample = self.dataset[index]
        if self.spec["name"] in ("hub", "scenes"):
            name = f"{index:06d}"
        else:  # the path below the image folder: `--predictions` looks for it there
            folder = os.path.join(self.spec.get("root") or "", self.spec.get("rgb_dir") or "")
            name = os.path.relpath(sample.name, os.path.expanduser(folder)) if folder else sample.name
        return replace(self.protocol.apply(sample), name=name)
