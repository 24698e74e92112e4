"""The evaluation sets: what `sets/*.json` says about one, and its images read from a tar or a folder.

Preparation and split of the five sets are Marigold's (prs-eth/Marigold, `src/dataset` and `config/dataset_depth`).
"""

import json
import os
import posixpath
import re
import tarfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from anydepth_hf.image_io import open_image
from training.data.decoding import DataError, naming, read_npy, read_png16
from training.data.readers import DepthSample
from training.evaluation.comparison import Comparison

DEFINITIONS = Path(__file__).with_name("sets")


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """One evaluation set.

    Attributes:
        name, title: for the command line, for tables.
        source: where the data and these choices come from.
        images: how many images have ground truth; another number is an error.
        locations: where the set lies in the data folder: a tar or a folder, the first that exists counts.
        list: file name of the split list, lines of `rgb depth ...`; lines whose depth is `None` are left out.
        rgb, depth, mask: pattern of the images' paths, and templates of the other files' paths, used without a list.
        decoder, scale, shape: encoding of the depth files (`DECODERS`), divisor of their values, (H, W) of raw files.
        comparison: crop, range and mask.
    """

    name: str
    title: str
    source: str
    images: int
    locations: tuple[str, ...]
    list: str
    rgb: str
    depth: str
    mask: str | None = None
    decoder: str
    scale: float = 1.0
    shape: tuple[int, int] | None = None
    comparison: Comparison


def set_names() -> list[str]:
    return sorted(path.stem for path in DEFINITIONS.glob("*.json"))


def load_set(name: str) -> EvaluationSet:
    """The definition in `sets/<name>.json`; DataError for an unknown name."""
    path = DEFINITIONS / f"{name}.json"
    if not path.is_file():
        raise DataError(f"Unknown evaluation set {name!r}: choose from {', '.join(set_names())}.")
    fields = json.loads(path.read_text())
    return EvaluationSet(name=name, **fields | {"comparison": Comparison(**fields["comparison"])})


class Folder:
    """Files below a folder, by their relative posix paths."""

    def __init__(self, path: Path):
        self.path = path

    def names(self) -> list[str]:
        return [path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if path.is_file()]

    def __contains__(self, name: str) -> bool:
        return (self.path / name).is_file()

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class Tar:
    """Members of an uncompressed tar, by their paths without a leading `./`; safe to share between processes."""

    def __init__(self, path: Path):
        self.path = path
        try:
            with tarfile.open(path, "r:") as tar:
                self.members = {
                    posixpath.normpath(member.name): (member.offset_data, member.size)
                    for member in tar
                    if member.isfile()
                }
        except tarfile.TarError as error:
            raise DataError(
                f"{path}: not an uncompressed tar ({error}); unpack it, the folder is read as well."
            ) from error

    def names(self) -> list[str]:
        return list(self.members)

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str) -> bytes:
        offset, size = self.members[name]
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(size)


def read_raw_float32(content: bytes, shape: tuple[int, int]) -> np.ndarray:
    """ETH3D's depth: little-endian float32, row by row, no header; infinite where there is none."""
    depth = np.frombuffer(content, "<f4")
    if depth.size != shape[0] * shape[1]:
        raise DataError(f"expected {shape[0]}x{shape[1]} float32 values, got {len(content)} bytes.")
    return depth.reshape(shape)


DECODERS = {
    "png16": lambda content, definition: read_png16(content),
    "npy": lambda content, definition: read_npy(content),
    "raw_float32": lambda content, definition: read_raw_float32(content, definition.shape),
}
"""Depth file contents to (H, W) values, by the name that a definition gives."""


class EvaluationDataset:
    """Map-style data set of `DepthSample`s: depth in metres, cropped; `valid` is where there is ground truth.

    Args:
        definition: the definition, or its name.
        data_dir: the folder that holds the sets as Marigold distributes them (`nyuv2/...tar`, `kitti/...tar`).
        lists_dir: where to search for split lists, e.g. Marigold's `data_split`, before the set's own folder.
            Without a list the files found make the split: right for Marigold's tars, which hold nothing else.

    Raises:
        DataError: the set is not there, a listed file is missing, or the number of images is not the definition's.
    """

    def __init__(
        self, definition: EvaluationSet | str, data_dir: str | os.PathLike, lists_dir: str | os.PathLike | None = None
    ):
        self.definition = load_set(definition) if isinstance(definition, str) else definition
        self.title, self.comparison = self.definition.title, self.definition.comparison
        self.files = _locate(self.definition, Path(data_dir))
        list_path = _find_list(self.definition, self.files.path, lists_dir)
        if list_path is None:
            self.split, self.samples = "files found", _discover(self.definition, self.files)
        else:
            self.split, self.samples = list_path.name, _read_list(self.definition, list_path)
        if missing := [name for sample in self.samples for name in sample if name and name not in self.files]:
            raise DataError(
                f"{self.files.path}: {len(missing)} files of {self.split} are missing, first {missing[0]}."
            )
        if len(self.samples) != self.definition.images:
            hint = "" if list_path else f"; {self.definition.list} was not found to choose among them (--lists_dir)"
            raise DataError(
                f"{self.files.path}: {self.definition.title} has {self.definition.images} images with ground truth, "
                f"but {self.split} gives {len(self.samples)}{hint}."
            )

    def describe(self) -> dict:
        """What was read, for the results and as the key of the cache."""
        return {
            "definition": asdict(replace(self.definition, comparison=self.comparison)),
            "data": str(self.files.path.resolve()),
            "modified": self.files.path.stat().st_mtime_ns,
            "split": self.split,
        }

    def files_of(self, index: int) -> list[Path]:
        """The files that hold sample `index`: its own, or the tar that has all."""
        if isinstance(self.files, Tar):
            return [self.files.path]
        return [self.files.path / name for name in self.samples[index] if name]

    def __len__(self) -> int:
        return len(self.samples)

    def name(self, index: int) -> str:
        """An image's path within the set."""
        return self.samples[index][0]

    def __getitem__(self, index: int) -> DepthSample:
        rgb, depth_name, mask = self.samples[index]
        with naming(f"{self.files.path}/{rgb}"):
            # the pixels as stored, EXIF rotation not applied: the depth maps were made for these
            image = np.array(open_image(self.files.read(rgb), orient=False).convert("RGB"))
        with naming(f"{self.files.path}/{depth_name}"):
            values = DECODERS[self.definition.decoder](self.files.read(depth_name), self.definition)
            depth = (values / self.definition.scale).astype(np.float32)
            if depth.shape != image.shape[:2]:
                raise DataError(f"the depth has {depth.shape} pixels and its image {image.shape[:2]}.")
        valid = np.isfinite(depth) & (depth > 0)
        if mask:
            with naming(f"{self.files.path}/{mask}"):
                valid &= read_npy(self.files.read(mask)).astype(bool)
        return self.comparison.cut(DepthSample(image, depth, valid, True, rgb))


def _locate(definition: EvaluationSet, data_dir: Path) -> Folder | Tar:
    for location in definition.locations:
        path = data_dir / location
        if path.is_dir():
            return Folder(path)
        if path.is_file():
            return Tar(path)
    found = "which does not exist"
    if data_dir.is_dir():
        found = "which holds " + (", ".join(sorted(os.listdir(data_dir))[:10]) or "nothing")
    raise DataError(f"{definition.title}: expected {' or '.join(definition.locations)} in {data_dir}, {found}.")


def _find_list(definition: EvaluationSet, path: Path, lists_dir: str | os.PathLike | None) -> Path | None:
    found = sorted(Path(lists_dir).rglob(definition.list)) if lists_dir else []
    found += [folder / definition.list for folder in (path.parent, path) if (folder / definition.list).is_file()]
    if lists_dir and not found:
        raise DataError(f"{definition.title}: no {definition.list} below {lists_dir}.")
    return found[0] if found else None


def _read_list(definition: EvaluationSet, path: Path) -> list[tuple[str, str, str | None]]:
    samples = []
    columns = 3 if definition.mask else 2
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not (names := line.split()):
            continue
        if len(names) < columns:
            raise DataError(f"{path}: line {number} has {len(names)} columns, expected at least {columns}.")
        if names[1] != "None":
            samples.append((names[0], names[1], names[2] if definition.mask else None))
    return samples


def _discover(definition: EvaluationSet, files: Folder | Tar) -> list[tuple[str, str, str | None]]:
    samples = []
    for name in sorted(files.names()):
        match = re.fullmatch(definition.rgb, name)
        if match and (depth := match.expand(definition.depth)) in files:  # KITTI has images without ground truth
            samples.append((name, depth, match.expand(definition.mask) if definition.mask else None))
    return samples
