"""A stand-in for Virtual KITTI 2 made of rendered streets, to see a calibration work from end to end."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from training.data.decoding import DataError
from training.data.folders import format_list
from training.data.readers import VKITTI2_SKY
from training.data.scene_dataset import SceneDataset
from training.data.sources import DatasetSpec, open_dataset
from training.filtering.calibration import Choice, keep_by, score_dataset

SIZE = (375, 1242)


def simulate(root: Path, images: int, choice: Choice, size: tuple[int, int] = SIZE, seed: int = 0) -> Path:
    """
    Writes rendered streets in Virtual KITTI 2's layout and encoding, and the list of those that a choice keeps.

    Args:
        root: a new folder.
        images: how many.
        choice: by which the list is made, and which a calibration ought to find.
        size: (height, width); the default is Virtual KITTI's, whose field of view the street scenes have.
        seed: of the scenes.

    Returns:
        The list of kept samples, with another machine's prefix as published lists have it.

    Raises:
        DataError: the folder exists.
    """
    if root.exists():
        raise DataError(f"{root} exists; choose another folder for the simulation.")
    scenes = SceneDataset(images, seed, size, "street")
    for index in range(images):
        sample = scenes[index]
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
