"""Intrinsics as people give them: numbers, a field of view, EXIF data, or an estimate."""

import argparse
from collections.abc import Callable

import numpy as np
from PIL import Image

from .camera import Intrinsics
from .camera_estimation import estimate_from_right_angles

ESTIMATE = "estimate"


def intrinsics_of(
    args: argparse.Namespace, image: Image.Image, name: str, depth: Callable[[], np.ndarray] | None = None
) -> Intrinsics | None:
    """
    The camera of a picture, from `--intrinsics`, `--focal`, `--fov`, or its EXIF data; `None` if nothing tells it.

    Args:
        args: with `intrinsics`, `focal` and `fov`.
        image: the picture, upright.
        name: of the picture, for messages.
        depth: gives its depth in metres, when it is to be estimated from that.

    Raises:
        ValueError: a focal length that cannot be estimated.
    """
    if args.intrinsics is not None:
        fx, fy, cx, cy = args.intrinsics
        return Intrinsics(fx, fy, cx, cy, image.width, image.height)
    if args.fov is not None:
        return Intrinsics.from_fov(args.fov, *image.size)
    if args.focal is None:
        return Intrinsics.from_exif(image, name)
    if args.focal == ESTIMATE:
        if depth is None:
            raise ValueError("--focal estimate needs depth in metres, so not here; give --fov DEGREES.")
        try:
            return estimate_from_right_angles(depth()).resized(*image.size)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return Intrinsics.from_focal(args.focal, *image.size)
