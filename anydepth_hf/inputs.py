"""What a user names as input, as single pictures and videos: files, folders, patterns, lists, addresses, data sets."""

import glob
import itertools
import os
import re
import sys
import urllib.request
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from PIL import Image

from anydepth_cli.sentences import one_line

from .depth_files import has_mark
from .extras import require
from .image_io import IMAGE_SUFFIXES, ImageError, find_images, open_image
from .video_files import VIDEO_SUFFIXES, is_video

MAX_DOWNLOAD = 2**29
"""Bytes that a downloaded picture may have."""
_TIMEOUT = 60  # seconds without an answer
_OURS = re.compile(r"_(disparity|depth|normals|prediction)(_[a-z]+)?\.[a-z0-9]+$")


@dataclass(frozen=True)
class Source:
    """
    One picture that is to be read.

    Args:
        name: what messages and reports call it.
        stem: where its results go, relative to the output folder and without endings; `/` separates folders.
        path: its file or address; `None` for what is in `data`.
        data: a file's bytes, or a function without arguments that gives them.
        video: it is no picture but a video, which `open` does not open.
    """

    name: str
    stem: str
    path: str | None = None
    data: Any = field(default=None, repr=False, compare=False)
    video: bool = False

    def open(self) -> Image.Image:
        """The decoded picture, upright; raises as `open_image` does, and ImageError for an address that gives none."""
        if self.data is not None:
            return open_image(self.data() if callable(self.data) else self.data, name=self.name)
        return open_image(download(self.path) if is_url(self.path) else self.path, name=self.name)


def find_sources(inputs: Iterable[str | os.PathLike], recursive: bool = True, videos: bool = False) -> list[Source]:
    """
    The pictures that a command line names, each once.

    Args:
        inputs: image files; folders, whose images are found by their endings; patterns such as `photos/**/*.jpg`;
            `http://` and `https://` addresses; `-` for one image on standard input.
        recursive: search folders below folders too.
        videos: videos too, in folders by their endings and by name whatever their ending.

    Results of this package, which lie in a folder that is searched or match a pattern, are left out.

    Raises:
        ValueError: an input that does not exist or holds no image.
    """
    found: dict[str, Source] = {}
    for item in map(os.fspath, inputs):
        for source in _expand(item, recursive, IMAGE_SUFFIXES | VIDEO_SUFFIXES if videos else IMAGE_SUFFIXES):
            key = source.path if source.path is None or is_url(source.path) else os.path.realpath(source.path)
            found.setdefault(key or source.name, source)
    return separate(list(found.values()))


def _expand(item: str, recursive: bool, suffixes: Collection[str]) -> list[Source]:
    if not item:
        raise ValueError("An input is empty text; give an image, a folder, a pattern or an address.")
    if item == "-":
        return [Source("standard input", "stdin", data=sys.stdin.buffer.read())]
    if is_url(item):
        name = PurePosixPath(unquote(urlsplit(item).path)).name
        if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES:
            raise ValueError(f"{item} is the address of a video; save it as a file first.")
        return [Source(item, _file_stem(name) or "download", path=item)]
    path = Path(item)
    if path.is_dir():
        base, found = path, find_images(path, recursive, suffixes)
        what = "image" if suffixes is IMAGE_SUFFIXES else "image and no video"
        nothing = f"{path} holds no {what}; expected files that end with {', '.join(sorted(suffixes))}."
    elif path.exists():
        return [_file_source(path, Path(path.name), suffixes)]
    elif glob.has_magic(item):
        base = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), path.parts[:-1]))
        matches = map(Path, sorted(glob.glob(item, recursive=True)))
        found = [match for match in matches if match.suffix.lower() in suffixes and match.is_file()]
        nothing = f"No image matches {item}."
    else:
        raise ValueError(f"{item} does not exist; give an image, a folder, a pattern or an address.")
    wanted = [file for file in found if _is_wanted(file)]
    if not wanted:
        raise ValueError(nothing)
    return [_file_source(file, file.relative_to(base), suffixes) for file in wanted]


def read_list(path: str | os.PathLike) -> list[str]:
    """
    Inputs from a text file, one a line; empty lines and lines that begin with `#` are left out.

    Args:
        path: UTF-8 with or without byte-order mark; relative names are relative to its folder. `-` reads standard
            input, where they are relative to the current folder.

    Raises:
        ValueError: the file is not text or names nothing.
        OSError: it cannot be opened.
    """
    path = os.fspath(path)
    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text file in UTF-8.") from None
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise ValueError(f"{path} names no image.")
    base = "" if path == "-" else os.path.dirname(path)
    return [name if is_url(name) else os.path.join(base, name) for name in names]


def dataset_sources(name: str, split: str | None = None, column: str | None = None) -> list[Source]:
    """
    The pictures of a Hugging Face data set, a Hub id or what `datasets.load_dataset` loads from disk.

    Args:
        split: by default the only one.
        column: by default the first that holds images.

    Raises:
        ValueError: the data set cannot be loaded, or has no such split or column.
        ImportError: `datasets` is missing (extra `train`).
    """
    datasets = require("datasets", "train", "Reading a data set")
    try:
        data = datasets.load_dataset(name, split=split)
    except Exception as error:  # a dozen kinds
        raise ValueError(f"Cannot load the data set {name}: {one_line(error)}") from error
    if isinstance(data, dict):
        if len(data) > 1:
            raise ValueError(f"The data set {name} has the splits {', '.join(data)}; give one with --split.")
        data = next(iter(data.values()))
    images = [key for key, feature in data.features.items() if isinstance(feature, datasets.Image)]
    if column is None and not images or column is not None and column not in images:
        raise ValueError(f"The data set {name} has no image column {column or ''}; it has {', '.join(data.features)}.")
    column = column or images[0]
    data = data.cast_column(column, datasets.Image(decode=False)).select_columns(column)

    def read(index: int) -> bytes:
        value = data[index][column]
        if value is None:
            raise ImageError(f"{name}[{index}] holds no image.")
        return value["bytes"] if value["bytes"] is not None else Path(value["path"]).read_bytes()

    return [Source(f"{name}[{index}]", f"{index:06d}", data=partial(read, index)) for index in range(len(data))]


def download(url: str) -> bytes:
    """The bytes at an `http` or `https` address; ImageError where there are none, or more than `MAX_DOWNLOAD`."""
    request = urllib.request.Request(url, headers={"User-Agent": "anydepth-hf", "Accept": "image/*"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            data = response.read(MAX_DOWNLOAD + 1)
    except Exception as error:  # OSError, HTTPException, ValueError of a malformed address
        raise ImageError(f"{url} cannot be downloaded ({one_line(error)}).") from error
    if len(data) > MAX_DOWNLOAD:
        raise ImageError(f"{url} has more than {MAX_DOWNLOAD >> 20} MiB.")
    return data


def is_url(text: str) -> bool:
    """Whether a name is an address that `download` takes."""
    return text.lower().startswith(("http://", "https://"))


def _is_wanted(path: Path) -> bool:
    """Whether a file that was found by its ending is none of our results, and no text with a video's ending."""
    ours = _OURS.search(path.name) is not None and has_mark(path)
    return not ours and (path.suffix.lower() not in VIDEO_SUFFIXES or is_video(path))


def _file_source(path: Path, relative: Path, suffixes: Collection[str]) -> Source:
    # a video that is named where only pictures are wanted is refused when it is opened
    video = suffixes is not IMAGE_SUFFIXES and path.suffix.lower() not in IMAGE_SUFFIXES and is_video(path)
    stem = relative.with_name(_file_stem(relative.name, suffixes)).as_posix()
    return Source(str(path), stem, path=str(path), video=video)


def _file_stem(name: str, suffixes: Collection[str] = IMAGE_SUFFIXES) -> str:
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in suffixes else name


def separate(sources: list[Source]) -> list[Source]:
    """
    The same sources with stems that no two share: `a.jpg` and `a.png` become `a_jpg` and `a_png`. ValueError where two
    would have one stem all the same.
    """
    counts = Counter(source.stem.casefold() for source in sources)  # as file systems that ignore case see them
    result: list[Source] = []
    owners: dict[str, Source] = {}
    for source in sources:
        suffix = PurePosixPath(source.path or "").suffix[1:].lower()
        if suffix and counts[source.stem.casefold()] > 1:
            source = replace(source, stem=f"{source.stem}_{suffix}")
        other = owners.setdefault(source.stem.casefold(), source)
        if other is not source:
            raise ValueError(
                f"{other.name} and {source.name} would write the same files; predict them into separate folders."
            )
        result.append(source)
    return result
