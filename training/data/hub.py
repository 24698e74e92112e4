"""Hugging Face `datasets` (Hub, Arrow, Parquet, WebDataset) as depth data sets, map-style or streaming."""

import glob
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anydepth_hf.extras import require
from anydepth_hf.programs import one_line
from training.data.decoding import DataError
from training.data.readers import DepthReader, DepthSample

if TYPE_CHECKING:
    from training.data.sources import DatasetSpec

IMAGE_COLUMNS = ("image", "rgb", "jpg", "jpeg", "png", "webp", "pixel_values", "image.jpg", "image.png")
DEPTH_COLUMNS = ("depth", "depth_map", "depth.tiff", "depth.png", "depth.npy", "disparity", "label")


@dataclass(frozen=True)
class RowReader:
    """Turns a row into a `DepthSample`; a row may carry its own `is_metric` and `name`."""

    image_column: str
    depth_column: str
    reader: DepthReader
    label: str

    def __call__(self, row: dict, index: int) -> DepthSample:
        name = row.get("name") or row.get("__key__")
        name = f"{self.label}, row {index}" + (f" ({name})" if name else "")
        values = [_content(row[column], name, column) for column in (self.image_column, self.depth_column)]
        sample = self.reader(*values, name=name)
        if row.get("is_metric") is None:
            return sample
        return DepthSample(sample.image, sample.depth, sample.valid, bool(row["is_metric"]), name)


def _content(value, name: str, column: str) -> bytes | str | np.ndarray:
    """Undecoded bytes, a path, or an array out of a cell."""
    if isinstance(value, dict) and "bytes" in value:
        if value["bytes"] is None and value.get("path") and "://" in value["path"]:
            import fsspec

            try:
                with fsspec.open(value["path"], "rb") as file:
                    return file.read()
            except OSError as error:
                raise DataError(f"{name}: cannot read {value['path']} ({error}).") from error
        value = value["bytes"] if value["bytes"] is not None else value.get("path")
    if isinstance(value, list):
        value = np.asarray(value)
    if not isinstance(value, (bytes, str, np.ndarray)):
        raise DataError(f"{name}: the column {column!r} holds {type(value).__name__}, not a file or an array.")
    return value


class HubDataset:
    """Map-style view of a `datasets.Dataset`."""

    def __init__(self, dataset, read_row: RowReader) -> None:
        self._dataset, self._read_row = dataset, read_row
        self.name = read_row.label

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> DepthSample:
        return self._read_row(self._dataset[index], index)


class HubStream:
    """A `datasets.IterableDataset` for `build_train_loader`; endless, as every process must get equally many batches.

    Attributes:
        num_samples: samples of an epoch.
    """

    def __init__(self, dataset, read_row: RowReader, num_samples: int, shuffle_buffer: int) -> None:
        self._dataset, self.read_row = dataset, read_row
        self._shuffle_buffer = shuffle_buffer
        self.num_samples, self.name = num_samples, read_row.label

    def num_workers(self, wanted: int, num_processes: int) -> int:
        """At most one worker for each shard of a process; more would have nothing to read."""
        shards = self._dataset.num_shards
        return min(wanted, shards // num_processes if shards % num_processes == 0 else shards)

    def rows(self, seed: int, epoch: int, process_index: int, num_processes: int, shuffle: bool) -> Iterator[dict]:
        """Undecoded rows of one process (and, inside a worker of a `DataLoader`, of its shards), pass after pass."""
        split_dataset_by_node = require("datasets.distributed", "train").split_dataset_by_node
        for number in itertools.count():
            dataset = self._dataset
            if shuffle:
                state = int(np.random.SeedSequence([seed, epoch, number]).generate_state(1)[0])
                dataset = dataset.shuffle(seed=state, buffer_size=self._shuffle_buffer)
            dataset = split_dataset_by_node(dataset, rank=process_index, world_size=num_processes)
            empty = True
            try:
                for row in dataset:
                    empty = False
                    yield row
            except Exception as error:  # a damaged shard or a lost connection, in the words of a dozen libraries
                reason = one_line(error)
                raise DataError(f"{self.name}: reading a shard failed ({type(error).__name__}: {reason}).") from error
            if empty:
                raise DataError(
                    f"{self.name}: process {process_index} of {num_processes} has no rows; use more shards."
                )


def open_hub(spec: "DatasetSpec") -> HubDataset | HubStream:
    """Opens the data set of a specification with `name="hub"`.

    Raises:
        DataError: it cannot be loaded, or has no such columns; names those there are.
    """
    datasets = require("datasets", "train")
    if not spec.path:
        raise DataError("The data set 'hub' needs path: a Hub id, a folder, or a glob of Parquet or tar shards.")
    path = os.path.expanduser(spec.path)
    try:
        dataset, known = _load(datasets, path, spec)
    except Exception as error:  # the library raises dozens of types, with causes that mean nothing to a user
        kind = "" if isinstance(error, DataError) else f"{type(error).__name__}: "
        reason = kind + one_line(error)[:300]
        raise DataError(f"{spec.path}: datasets cannot load it ({reason}).") from error
    features = dataset.features
    if features is None:
        raise DataError(f"{spec.path}: the data set does not declare its columns; save it as Parquet.")
    columns = [
        _find_column(spec.path, "image", spec.image_column, IMAGE_COLUMNS, features),
        _find_column(spec.path, "depth", spec.depth_column, DEPTH_COLUMNS, features),
    ]
    extra = [name for name in ("is_metric", "name", "__key__") if name in features and name not in columns]
    dataset = dataset.select_columns([*columns, *extra])
    undecoded = datasets.Image(decode=False)  # decoding is ours: exact, and errors name the row
    dataset = dataset.cast_column(columns[0], undecoded)
    if isinstance(features[columns[1]], datasets.Image):
        dataset = dataset.cast_column(columns[1], undecoded)
    elif not isinstance(features[columns[1]], datasets.Value):
        # arrays without a detour over lists; not for columns of bytes, which would lose their trailing zeros
        dataset = dataset.with_format("numpy")
    read_row = RowReader(*columns, spec.reader(), spec.path)
    if not spec.streaming:
        return HubDataset(dataset, read_row)
    if not (num_samples := spec.num_samples or known):
        raise DataError(f"{spec.path}: the stream does not say how long it is; set num_samples, the epoch's length.")
    return HubStream(dataset, read_row, num_samples, spec.shuffle_buffer)


def _load(datasets, path: str, spec: "DatasetSpec"):
    """The data set, and its number of rows if that is known without reading it."""
    split = spec.split or "train"
    begin = split.partition("[")[0]  # of a slice such as train[:90%]
    if os.path.isfile(os.path.join(path, "dataset_info.json")):
        dataset = datasets.load_from_disk(path)
        saved = str(dataset.split or "train")
        if spec.split not in (None, saved, os.path.basename(os.path.normpath(path))):
            raise DataError(f"this folder holds one split, {saved!r}, not {spec.split!r}")
        return (dataset.to_iterable_dataset(min(len(dataset), 64)) if spec.streaming else dataset), len(dataset)
    files = sorted(glob.glob(path)) if glob.has_magic(path) else [path]
    if not files and "://" not in path:
        raise DataError("no file matches the pattern.")
    for extension, builder in ((".parquet", "parquet"), (".tar", "webdataset"), (".arrow", "arrow")):
        found = [file for file in files if file.endswith(extension)]
        if not found and os.path.isdir(path):
            found = sorted(glob.glob(os.path.join(glob.escape(path), f"*{extension}")))
            part = [file for file in found if os.path.basename(file).startswith(begin)]
            if found and not part and begin != "train":
                names = ", ".join(map(os.path.basename, found[:3]))
                raise DataError(f"no {extension} file here begins with {begin!r}; there are {names}")
            found = part or found
        if found:
            dataset = datasets.load_dataset(builder, data_files={begin: found}, split=split, streaming=spec.streaming)
            if builder == "parquet" and not any("://" in file for file in found):
                parquet = require("pyarrow.parquet", "train")
                return dataset, sum(parquet.read_metadata(file).num_rows for file in found)
            return dataset, None
    dataset = datasets.load_dataset(path, spec.config, split=split, streaming=spec.streaming)
    splits = dataset.info.splits or {}
    return dataset, splits[split].num_examples if split in splits else None


def _find_column(path: str, kind: str, wanted: str | None, candidates: tuple[str, ...], features) -> str:
    # of a folder of images, "label" is the class that a file's folder says
    names = (name for name in candidates if name in features and type(features[name]).__name__ != "ClassLabel")
    found = wanted if wanted is not None else next(names, None)
    if found not in features:
        missing = f"no column {wanted!r}" if wanted else f"no column with a known name for the {kind}"
        hint = ""
        if os.path.isdir(path) and not wanted:
            hint = " (files of images and of depth are the data set pairs (rgb_dir, depth_dir) or frames (root))"
        raise DataError(f"{path}: {missing}; set {kind}_column to one of {', '.join(features)}{hint}.")
    return found
