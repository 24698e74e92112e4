"""How samples become pixels to compare: crop, range and mask; and users' own data seen that way."""

import copy
import glob
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from training.data.decoding import DataError
from training.data.manifest import stamp
from training.data.readers import DepthSample
from training.data.sources import PairDataset, open_dataset


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the samples of an evaluation set become pixels to compare.

    Attributes:
        min_depth, max_depth: predictions are clipped to this range, in the depth's units; `None` is no limit.
        range_is_valid: whether ground truth outside `min_depth < depth < max_depth` is left out (DIODE: no).
        crop: (height, width) cut from image and depth, at the bottom and horizontally centred; `None` for all.
        valid_box: (top, bottom, left, right) of the pixels to compare, after the crop: integers are pixels, floats
            are fractions of the sides, rounded down.
        alignment_max_resolution: see `evaluation.evaluate_depth`.
        intrinsics: (fx, fy, cx, cy) of the cropped picture in pixels, where known and the same for all images.
    """

    min_depth: float | None = None
    max_depth: float | None = None
    range_is_valid: bool = True
    crop: tuple[int, int] | None = None
    valid_box: tuple[float, float, float, float] | None = None
    alignment_max_resolution: int | None = None
    intrinsics: tuple[float, float, float, float] | None = None

    def cut(self, sample: DepthSample) -> DepthSample:
        """The sample cropped; DataError where it is smaller than the crop."""
        if self.crop is None:
            return sample
        height, width = self.crop
        top, left = sample.depth.shape[0] - height, int((sample.depth.shape[1] - width) / 2)
        if top < 0 or left < 0:
            raise DataError(f"{sample.name}: {sample.depth.shape[0]}x{sample.depth.shape[1]} pixels cannot be cropped "
                            f"to {height}x{width}.")  # fmt: skip
        window = np.s_[top : top + height, left : left + width]
        return replace(sample, image=sample.image[window], depth=sample.depth[window], valid=sample.valid[window])

    def mask(self, depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Of the valid pixels of a cropped map, bool (H, W), those that count."""
        valid = valid.copy()
        if self.range_is_valid:
            if self.min_depth is not None:
                valid &= depth > self.min_depth
            if self.max_depth is not None:
                valid &= depth < self.max_depth
        if self.valid_box is not None:
            sides = np.repeat(depth.shape, 2)
            box = (edge if isinstance(edge, int) else int(edge * side) for edge, side in zip(self.valid_box, sides))
            top, bottom, left, right = box
            inside = np.zeros_like(valid)
            inside[top:bottom, left:right] = True
            valid &= inside
        return valid


def with_crop(dataset, crop: tuple[int, int] | None):
    """The same data set, with a `comparison`, with another crop."""
    other = copy.copy(dataset)
    other.comparison = replace(dataset.comparison, crop=crop)
    return other


class OwnDataset:
    """Any data set that `training.data.sources.open_dataset` opens, as a comparison sees it.

    Args:
        spec: the fields of a `DatasetSpec`, e.g. `{"name": "pairs", "rgb_dir": ..., "depth_dir": ...}`.
        comparison: crop, range and mask.
        title: for tables.

    Raises:
        DataError: the data set cannot be opened, or is a stream.
    """

    def __init__(self, spec: dict, comparison: Comparison, title: str = "own data"):
        self.spec, self.comparison, self.title = spec, comparison, title
        self.dataset = open_dataset(spec)
        if not hasattr(self.dataset, "__getitem__"):
            raise DataError("A streaming data set has no fixed images to evaluate on; set streaming: false.")

    def describe(self) -> dict:
        """What was read, for the results and as the key of the cache."""
        description = {"spec": self.spec, "comparison": asdict(self.comparison), "images": len(self)}
        if self.spec["name"] == "hub":
            found = [Path(path) for path in glob.glob(os.path.expanduser(str(self.spec.get("path"))))]
            files = [file for path in found for file in (path, *path.rglob("*")) if file.is_file()]
            description["files"] = stamp(sorted(files))
        return description

    def files_of(self, index: int) -> list[str]:
        """The files that hold sample `index`; none where it is no file of its own (`hub`)."""
        return list(self.dataset.paths(index)) if isinstance(self.dataset, PairDataset) else []

    def __len__(self) -> int:
        return len(self.dataset)

    def name(self, index: int) -> str:
        """An image's name: its path below the folder of images, where `--predictions` looks for it."""
        if not isinstance(self.dataset, PairDataset):
            return f"{index:06d}"
        path = self.dataset.paths(index)[0]
        folder = os.path.join(self.spec.get("root") or "", self.spec.get("rgb_dir") or "")
        return os.path.relpath(path, os.path.expanduser(folder)) if folder else path

    def __getitem__(self, index: int) -> DepthSample:
        """The cropped sample; `valid` is where there is ground truth, whether it counts or not."""
        return replace(self.comparison.cut(self.dataset[index]), name=self.name(index))
