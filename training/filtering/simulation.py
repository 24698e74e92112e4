"""A stand-in for Virtual KITTI 2 made of rendered pictures, to see a calibration work from end to end."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.decoding import DataError
from training.data.folders import format_list
from training.data.readers import VKITTI2_SKY
from training.data.sources import DatasetSpec, open_dataset
from training.filtering.calibration import Choice, keep_by, score_dataset


def simulate(root: Path, pictures: Path, images: int, choice: Choice) -> Path:
    """
    Writes rendered pictures in Virtual KITTI 2's layout and encoding, and the list of those that a choice keeps.

    Args:
        root: a new folder.
        pictures: a folder that `training/scenes/make.py` filled, with streets above all.
        images: how many, spread over the folder.
        choice: by which the list is made, and which a calibration ought to find.

    Returns:
        The list of kept samples, with another machine's prefix as published lists have it.

    Raises:
        DataError: the new folder exists, or there are too few pictures.
    """
    if root.exists():
        raise DataError(f"{root} exists; choose another folder for the simulation.")
    source = open_dataset(DatasetSpec("pictures", root=str(pictures), far_plane=None))
    if len(source) < images:
        raise DataError(f"{pictures} holds {len(source)} pictures, not {images}.")
    for index, place in enumerate(np.linspace(0, len(source) - 1, images).astype(int)):
        sample = source[place]
        frames = root / f"Scene{1 + index % 5:02d}/clone/frames"
        centimetres = np.where(sample.valid, np.clip(100 * sample.depth, 1, VKITTI2_SKY - 1).round(), VKITTI2_SKY)
        for kind, picture, ending in (
            ("rgb", Image.fromarray(sample.image), "jpg"),
            ("depth", Image.fromarray(centimetres.astype(np.uint16)), "png"),
        ):
            path = frames / f"{kind}/Camera_0/{kind}_{index:05d}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
    dataset = open_dataset(DatasetSpec("vkitti2", root=str(root), far_plane=None))
    keep = keep_by(choice, score_dataset(dataset))
    pairs = [
        tuple(os.path.join("/elsewhere/vkitti2", os.path.relpath(path, root)) for path in dataset.paths(index))
        for index in np.flatnonzero(keep)
    ]
    path = root / "kept.txt"
    path.write_text(format_list(pairs), encoding="utf-8")
    return path
