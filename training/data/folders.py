"""Where the official releases of the training sets keep their files, and the authors' two-column list files."""

import csv
import fnmatch
import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from training.data.decoding import DataError

Pair = tuple[str, str]


@dataclass(frozen=True)
class FolderStructure:
    """One way a data set lies on disk.

    Attributes:
        patterns: globs of the RGB files, relative to the root.
        depth: (regular expression, replacement) that turns an RGB path into its depth path.
        example: shown when a folder does not look like it.
    """

    patterns: tuple[str, ...]
    depth: tuple[str, str]
    example: str


FOLDER_STRUCTURES: dict[str, tuple[FolderStructure, ...]] = {
    "hypersim": (
        FolderStructure(
            ("ai_*_*/images/scene_cam_*_final_preview/frame.*.tonemap.jpg",),
            (r"_final_preview/(frame\.\d+)\.tonemap\.jpg$", r"_geometry_hdf5/\1.depth_meters.hdf5"),
            "ai_001_001/images/scene_cam_00_final_preview/frame.0000.tonemap.jpg",
        ),
    ),
    "vkitti2": (
        FolderStructure(
            ("Scene*/*/frames/rgb/Camera_*/rgb_*.jpg",),
            (r"/rgb/(Camera_\d)/rgb_(\d+)\.jpg$", r"/depth/\1/depth_\2.png"),
            "Scene01/clone/frames/rgb/Camera_0/rgb_00000.jpg",
        ),
    ),
    "irs": (
        FolderStructure(
            ("*/*/l_*.png", "*/*/*/l_*.png"),
            (r"/l_(\d+)\.png$", r"/d_\1.exr"),
            "Home/<Scene>/l_1.png",
        ),
    ),
    "blendedmvs": (
        FolderStructure(
            ("*/blended_images/*.jpg", "*/*/blended_images/*.jpg"),
            (r"/blended_images/(\d+)\.jpg$", r"/rendered_depth_maps/\1.pfm"),  # passes over *_masked.jpg
            "<project id>/blended_images/00000000.jpg",
        ),
    ),
    "tartanair": (
        FolderStructure(  # V1; its archives unpack to environment/environment/Easy
            ("*/[EH]a[sr][yd]/P*/image_left/*_left.png", "*/*/[EH]a[sr][yd]/P*/image_left/*_left.png"),
            (r"/image_left/(\d+)_left\.png$", r"/depth_left/\1_left_depth.npy"),
            "abandonedfactory/Easy/P000/image_left/000000_left.png",
        ),
        FolderStructure(  # V2
            ("*/Data_*/P*/image_lcam_front/*_lcam_front.png",),
            (r"/image_lcam_front/(\d+_lcam_front)\.png$", r"/depth_lcam_front/\1_depth.png"),
            "AbandonedFactory/Data_easy/P000/image_lcam_front/000000_lcam_front.png",
        ),
    ),
    "pictures": (FolderStructure(("*x*/*.safetensors",), (r"^", ""), "240x320/0-17-2.safetensors"),),  # in one file
}

HYPERSIM_SPLIT_FILE = "metadata_images_split_scene_v1.csv"


def describe_folder(root: str) -> str:
    """What a folder holds, in a few words, for messages."""
    if not os.path.isdir(root):
        return "there is no such folder"
    if not (names := sorted(os.listdir(root))):
        return "the folder is empty"
    return f"found {', '.join(names[:5])}" + (f" ... ({len(names)} entries)" if len(names) > 5 else "")


def find_pairs(name: str, root: str) -> list[Pair]:
    """Image and depth paths, relative to `root`, of a data set in its official layout, sorted.

    Whether each depth file exists is not checked here (reading says so); that any image does is.

    Raises:
        DataError: no image lies where the layout has them; says what was expected and what was found.
    """
    pairs = set()
    for structure in FOLDER_STRUCTURES[name]:
        expression, replacement = re.compile(structure.depth[0]), structure.depth[1]
        for pattern in structure.patterns:
            for rgb in glob.iglob(pattern, root_dir=root):
                rgb = rgb.replace(os.sep, "/")
                depth, count = expression.subn(replacement, rgb)
                if count:
                    pairs.add((rgb, depth))
    if not pairs:
        expected = " or ".join(structure.example for structure in FOLDER_STRUCTURES[name])
        raise DataError(f"{root}: no {name} images here; expected files such as {expected}, {describe_folder(root)}.")
    return sorted(pairs)


def find_folder_pairs(rgb_root: str, depth_root: str) -> list[Pair]:
    """Absolute (image, depth) paths of two folders whose files have the same relative path up to the extension.

    Raises:
        DataError: a folder is missing or empty, no names match, or an image has no depth or several.
    """
    found = []
    for root in (rgb_root, depth_root):
        files: dict[str, str] = {}
        for folder, _, names in os.walk(root):
            for file in names:
                if not file.startswith("."):
                    path = os.path.join(folder, file)
                    stem = os.path.splitext(os.path.relpath(path, root))[0]
                    if stem in files:
                        raise DataError(f"{path}: {files[stem]} has the same name up to the extension; keep one.")
                    files[stem] = path
        if not files:
            raise DataError(f"{root}: expected image or depth files, {describe_folder(root)}.")
        found.append(files)
    images, depths = found
    if missing := sorted(images.keys() - depths.keys()):
        raise DataError(
            f"{images[missing[0]]}: no depth file of that name in {depth_root} "
            f"({len(missing)} of {len(images)} images have none)."
        )
    return [(images[stem], depths[stem]) for stem in sorted(images)]


FRAME = re.compile(r"(.*[^/])\.(rgb|depth)\.[^./]+")


def find_frames(root: str) -> list[Pair]:
    """Paths, relative to `root`, of images `NAME.rgb.*` and their depth `NAME.depth.*` side by side, sorted.

    Raises:
        DataError: there is none, or one of a pair is missing or there twice; names it.
    """
    files: dict[str, dict[str, str]] = {"rgb": {}, "depth": {}}
    for folder, _, names in os.walk(root):
        for file in names:
            path = os.path.relpath(os.path.join(folder, file), root)
            if match := FRAME.fullmatch(path):
                name, kind = match.groups()
                if name in files[kind]:
                    raise DataError(f"{root}/{path}: {files[kind][name]} is the same frame's; keep one.")
                files[kind][name] = path
    images, depths = files["rgb"], files["depth"]
    if not images and not depths:
        raise DataError(f"{root}: expected frames as NAME.rgb.jpg and NAME.depth.png, {describe_folder(root)}.")
    if alone := sorted(images.keys() ^ depths.keys()):
        raise DataError(
            f"{root}/{images.get(alone[0]) or depths[alone[0]]}: no {alone[0]}."
            f"{'depth' if alone[0] in images else 'rgb'}.* beside it ({len(alone)} files have no partner)."
        )
    return [(images[name], depths[name]) for name in sorted(images)]


def read_list(path: str, root_from: str | None = None, root_to: str = "") -> list[Pair]:
    """Reads a list file: `<rgb> <depth>` per line, separated by a tab, or else by spaces; further columns are ignored.

    Args:
        path: the list file.
        root_from, root_to: prefix of the paths in the list, and what to put in its place.

    Raises:
        DataError: the file is missing or empty, a line has one column, or a path lacks the prefix.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:  # some editors begin a file with a byte order mark
            lines = file.read().split("\n")  # only there: names may hold what `splitlines` takes for the end of one
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte, or no UTF-8
        raise DataError(f"{path}: this list file cannot be read ({error}).") from error
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        columns = line.split("\t") if "\t" in line else line.split()
        if len(columns) < 2:
            raise DataError(f"{path}, line {number}: expected '<rgb path> <depth path>', got {line[:80]!r}.")
        pair = []
        for column in columns[:2]:
            if root_from is not None:
                if not column.startswith(root_from):
                    raise DataError(f"{path}, line {number}: {column} does not begin with root_from={root_from!r}.")
                column = root_to + column[len(root_from) :]
            pair.append(column)
        pairs.append(tuple(pair))
    if not pairs:
        raise DataError(f"{path}: this list file is empty.")
    return pairs


def check_listable(pairs: Sequence[Pair]) -> None:
    """Raises DataError for a name that a list file cannot hold."""
    for path in (path for pair in pairs for path in pair):
        is_unicode = path == path.encode(errors="ignore").decode()
        if any(character in path for character in "\t\n\r") or path != path.strip() or not is_unicode:
            raise DataError(
                f"{ascii(path)}: a name with a tab, a line break, blanks at its ends or bytes that are no UTF-8 "
                "cannot stand in a list file; rename it."
            )


def format_list(pairs: Sequence[Pair]) -> str:
    """The text of a list file; the columns are separated by a space as in the authors' files, or a tab if need be."""
    separator = "\t" if any(len(path.split()) > 1 for pair in pairs for path in pair) else " "
    return "".join(f"{rgb}{separator}{depth}\n" for rgb, depth in pairs)


def select_pairs(pairs: list[Pair], include: Sequence[str], exclude: Sequence[str]) -> list[Pair]:
    """Pairs whose image path matches any glob of `include` (all, if there are none) and none of `exclude`."""

    def matches(path: str, patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)

    return [pair for pair in pairs if (not include or matches(pair[0], include)) and not matches(pair[0], exclude)]


def select_hypersim_split(pairs: list[Pair], root: str, split: str) -> list[Pair]:
    """Keeps the frames of an official Hypersim split (`train`, `val` or `test`) that are in the public release."""
    path = os.path.join(root, HYPERSIM_SPLIT_FILE)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            wanted = {
                f"{row['scene_name']}/images/scene_{row['camera_name']}_final_preview/"
                f"frame.{int(row['frame_id']):04d}.tonemap.jpg"
                for row in csv.DictReader(file)
                if row["included_in_public_release"] == "True" and row["split_partition_name"] == split
            }
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: Hypersim's split file is missing or not as published ({error}).") from error
    if not wanted:
        raise DataError(f"{path}: no frames of the split {split!r}; Hypersim has train, val and test.")
    return [pair for pair in pairs if pair[0] in wanted]
