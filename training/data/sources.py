"""Sources of samples: `open_dataset` turns the entries of a training configuration into data sets."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

import numpy as np

from anydepth_hf.option_schema import AT_LEAST_0, AT_LEAST_1, POSITIVE, checked
from training.data import folders
from training.data.decoding import DataError
from training.data.hub import HubDataset, HubStream, open_hub
from training.data.mixtures import Mixture
from training.data.own import OwnDepth
from training.data.readers import READERS, DepthReader, DepthSample

NAMES_OF_FILES = (*READERS, "pairs", "frames")
NAMES = (*NAMES_OF_FILES, "hub")
NUM_PROBES = 64
NAMES_WITH = {
    "split": ("hypersim", "hub"),
    **dict.fromkeys(("root", "list", "root_from", "root_to", "include", "exclude"), NAMES_OF_FILES),
    **dict.fromkeys(("rgb_dir", "depth_dir"), ("pairs",)),
    **dict.fromkeys(("quantity", "depth_scale", "is_metric"), ("pairs", "frames", "hub")),
    **dict.fromkeys(
        ("path", "config", "image_column", "depth_column", "streaming", "num_samples", "shuffle_buffer"), ("hub",)
    ),
}
"""Names of the data sets that an option of `DatasetSpec` is for, of those that are not for all."""


@dataclass
class DatasetSpec:
    """One data set of a training configuration.

    Attributes:
        name: `hypersim`, `vkitti2`, `irs`, `blendedmvs`, `tartanair`, `pictures` (a folder that
            `training/scenes/make.py` filled), or for own data `pairs` (two folders, or a list
            file), `frames` (`NAME.rgb.*` and `NAME.depth.*` side by side below `root`) or `hub` (Hugging Face
            `datasets`).
        root: folder of the official layout; with `list`, the folder that relative paths start from.
        list: list file of `<rgb> <depth>` lines, instead of looking through `root`.
        root_from, root_to: prefix of the paths in the list, and its replacement.
        include, exclude: globs on the image paths (relative to `root`, or as the list has them).
        split: Hypersim: official split, from `metadata_images_split_scene_v1.csv`; `hub`: default "train"; of
            a folder whose file names begin with those of splits, these files alone are read.
        far_plane: depths beyond it get no label; "default" is 100 m for metric sets, none for BlendedMVS and own data.
        weight: share of an epoch; give it to all data sets or to none.
        rgb_dir, depth_dir: `pairs`: the two folders; files belong together by name.
        quantity: own data: `depth`, or `disparity`, whose inverse becomes the label.
        depth_scale: own data: stored values per unit of depth (or disparity), e.g. 1000 for 16-bit PNG in millimetres,
            256 for KITTI; needed for integer files (`frames`: 1000 where it is not given), default 1 for float ones.
        is_metric: own data: whether depth is in metres.
        path: `hub`: Hub id, folder of shards, `*.parquet` or `*.tar` glob, or a folder written by `save_to_disk`.
        config: `hub`: configuration name.
        image_column, depth_column: `hub`: columns, found by name if not given.
        streaming: `hub`: read as a stream, nothing is downloaded or converted beforehand.
        num_samples: `hub`, streaming: samples of an epoch, where the data set does not say.
        shuffle_buffer: `hub`, streaming: rows among which a worker shuffles (after shuffling the shards).
    """

    name: str
    root: str | None = None
    list: str | None = None
    root_from: str | None = None
    root_to: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    split: str | None = None
    far_plane: Annotated[float, POSITIVE] | Literal["default"] | None = "default"
    weight: Annotated[float | None, AT_LEAST_0] = None
    rgb_dir: str | None = None
    depth_dir: str | None = None
    quantity: str = "depth"
    depth_scale: Annotated[float | None, POSITIVE] = None
    is_metric: bool = True
    path: str | None = None
    config: str | None = None
    image_column: str | None = None
    depth_column: str | None = None
    streaming: bool = False
    num_samples: Annotated[int | None, AT_LEAST_1] = None
    shuffle_buffer: Annotated[int, AT_LEAST_1] = 256

    def __post_init__(self):
        self.include, self.exclude = (
            (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
            for value in (self.include, self.exclude)
        )
        try:
            checked(self, "")
        except ValueError as error:
            raise DataError(f"Data set {self.name!r}: {error}.") from None
        given = [item.name for item in fields(self) if getattr(self, item.name) != item.default]
        for option in given if self.name in NAMES else ():
            if self.name not in (names := NAMES_WITH.get(option, NAMES)):
                raise DataError(f"Data set {self.name!r}: {option} does nothing here; it is for {', '.join(names)}.")

    @classmethod
    def parse(cls, value: "DatasetSpec | dict | str") -> "DatasetSpec":
        """From a configuration's mapping, or from the command line's `name,option=value,...`.

        For instance `hypersim,root=/data/hypersim,far_plane=null`; what is not JSON (numbers, true, null) is text.
        Values with a comma need a mapping in a YAML file.

        Raises:
            DataError: an option is unknown, or the name is missing; says which there are.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            name, *options = value.split(",")
            pairs = [option.partition("=") for option in options]
            if wrong := [option for option, (_, equals, _) in zip(options, pairs) if not equals]:
                raise DataError(f"Data set {value!r}: expected name,option=value,..., got {wrong[0]!r}.")
            value = {"name": name, **{key.strip(): _parse_value(text) for key, _, text in pairs}}
        known = [item.name for item in fields(cls)]
        if unknown := sorted(value.keys() - set(known)):
            raise DataError(f"Unknown data set option {unknown[0]!r}; there are {', '.join(known)}.")
        if "name" not in value:
            raise DataError(f"A data set needs a name: one of {', '.join(NAMES)}.")
        return cls(**value)

    def reader(self) -> DepthReader:
        """The reader of this data set's files."""
        changes = {} if self.far_plane == "default" else {"far_plane": self.far_plane}
        if self.name in READERS:
            return replace(READERS[self.name], **changes)
        decode = OwnDepth(self.quantity, self.depth_scale, 1000.0 if self.name == "frames" else None)
        return DepthReader(decode, self.is_metric, **{"far_plane": None, **changes})


def _parse_value(text: str):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def parse_dataset(text: str) -> DatasetSpec:
    """
    A data set as options give it: `name,option=value,...` (see `DatasetSpec`), a JSON object, or simply the Hub id or
    path of a data set that the `datasets` library reads.
    """
    if text.startswith("{"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{text[:60]}: this data set is not valid JSON ({error})") from None
        return DatasetSpec.parse(values)
    if "," in text or text in NAMES:
        return DatasetSpec.parse(text)
    return DatasetSpec(name="hub", path=text)


class PairDataset:
    """Map-style data set of pairs of files: (image, depth) paths, absolute or relative to `root`."""

    def __init__(self, name: str, reader: DepthReader, pairs: Sequence[folders.Pair], root: str = "") -> None:
        self.name, self.reader, self.root = name, reader, root
        # arrays of bytes: millions of str objects would be copied into each worker as their reference counts change
        self._rgb, self._depth = (np.array([os.fsencode(path) for path in column]) for column in zip(*pairs))

    def __len__(self) -> int:
        return len(self._rgb)

    def paths(self, index: int) -> folders.Pair:
        """The image's and the depth's path."""
        rgb, depth = (os.fsdecode(column[index].item()) for column in (self._rgb, self._depth))
        return os.path.join(self.root, rgb), os.path.join(self.root, depth)

    def read_depth(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Depth float32 (H, W) and valid mask, without decoding the image."""
        return self.reader.read_depth(self.paths(index)[1])

    def __getitem__(self, index: int) -> DepthSample:
        """Raises `DataError`, with the file's name, if a file is missing or damaged."""
        return self.reader(*self.paths(index))


def _open_pairs(spec: DatasetSpec) -> PairDataset:
    root = os.path.expanduser(spec.root) if spec.root else ""
    if spec.list:
        pairs = folders.read_list(os.path.expanduser(spec.list), spec.root_from, spec.root_to)
    elif spec.name == "pairs":
        if not (spec.rgb_dir and spec.depth_dir):
            raise DataError("The data set 'pairs' needs rgb_dir and depth_dir (or list, a file of '<rgb> <depth>').")
        pairs = folders.find_folder_pairs(
            *(os.path.join(root, os.path.expanduser(folder)) for folder in (spec.rgb_dir, spec.depth_dir))
        )
    elif spec.name == "frames" and root:
        pairs = folders.find_frames(root)
    elif root:
        pairs = folders.find_pairs(spec.name, root)
        if spec.name == "hypersim" and spec.split:
            pairs = folders.select_hypersim_split(pairs, root, spec.split)
    else:
        raise DataError(f"The data set {spec.name!r} needs root, its folder, or list, a file of '<rgb> <depth>'.")
    if not (pairs := folders.select_pairs(pairs, spec.include, spec.exclude)):
        raise DataError(f"The data set {spec.name!r} has no sample left after split, include and exclude.")
    dataset = PairDataset(spec.name, spec.reader(), pairs, root)
    _probe(dataset)
    return dataset


def _probe(dataset: PairDataset) -> None:
    """Fails before training starts if none of a few samples spread over the data set has both files."""
    indices = np.linspace(0, len(dataset) - 1, min(NUM_PROBES, len(dataset)), dtype=int)
    missing = [next((p for p in dataset.paths(i) if not os.path.isfile(p)), None) for i in indices]
    if None not in missing:
        raise DataError(
            f"{missing[0]}: the file does not exist, nor do those of any of {len(missing)} samples tried; "
            "check root, or for a list file root_from and root_to."
        )


def open_dataset(
    spec: DatasetSpec | dict | str | Sequence[DatasetSpec | dict | str],
) -> PairDataset | HubDataset | HubStream | Mixture:
    """Opens one data set, or several as a mixture: concatenated, or drawn by weights if each has a `weight`.

    Returns:
        A map-style data set (`__len__`, `__getitem__(index) -> DepthSample`), or a `HubStream`, for
        `build_train_loader`.

    Raises:
        DataError: a wrong option, folder or list; names it, with what was expected and what was found.
    """
    if isinstance(spec, (DatasetSpec, dict, str)):
        spec = DatasetSpec.parse(spec)
        if spec.name == "hub":
            return open_hub(spec)
        if spec.name not in NAMES:
            hint = f", or for one of the datasets library write hub,path={spec.name}" if "/" in spec.name else ""
            raise DataError(f"Unknown data set {spec.name!r}: choose one of {', '.join(NAMES)}{hint}.")
        return _open_pairs(spec)
    specs = [DatasetSpec.parse(item) for item in spec]
    if not specs:
        raise DataError("The configuration names no data set.")
    weights = [item.weight for item in specs]
    if weights.count(None) not in (0, len(weights)):
        raise DataError("Give a weight to all data sets or to none.")
    opened = [open_dataset(item) for item in specs]
    if len(opened) == 1:
        return opened[0]
    if any(isinstance(dataset, HubStream) for dataset in opened):
        raise DataError("A streaming data set cannot be mixed; interleave it beforehand, or set streaming: false.")
    return Mixture(opened, None if weights[0] is None else weights)
