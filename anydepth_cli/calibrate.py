"""`anydepth calibrate`: scale and shift of a model's predictions, fitted to known distances."""

import argparse
from pathlib import Path

from .options import add_camera_arguments, add_model_arguments
from .parser import number, one_of

METHODS = ("least_squares", "median", "ransac", "irls", "truncated_l1")
SPACES = ("disparity", "depth", "log")


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures whose depth is partly known")
    known = parser.add_argument_group("what is known (one of these)")
    known.add_argument(
        "--depth",
        nargs="+",
        type=Path,
        metavar="MAP",
        help="depth maps, dense or sparse such as a LiDAR's, one an image in the same order",
    )
    known.add_argument(
        "--point",
        nargs=3,
        type=number(float),
        action="append",
        metavar=("X", "Y", "METRES"),
        help="a pixel (column, row) of the one image and its depth; repeat it, two are the least",
    )
    known.add_argument(
        "--camera-height",
        type=number(float, above=0),
        metavar="METRES",
        help="height of the camera above a flat floor or road, seen in the lowest third of the one image",
    )
    known.add_argument("--encoding", metavar="NAME", help="how maps of other programs are read: kitti, nyu, tum, ...")
    known.add_argument(
        "--pitch", type=number(float), metavar="DEGREES", help="by which that camera looks down (default: 0)"
    )
    known.add_argument("--ground", type=Path, metavar="MASK", help="picture that is white on the ground")
    fit = parser.add_argument_group("fit")
    fit.add_argument(
        "--method",
        type=one_of(*METHODS),
        metavar="NAME",
        help=f"{', '.join(METHODS)} (default: ransac for maps and for ten points or more, else least_squares)",
    )
    fit.add_argument(
        "--space",
        type=one_of(*SPACES),
        metavar="NAME",
        help=f"{', '.join(SPACES)}: where scale and shift are linear (default: the model's own)",
    )
    fit.add_argument("--scale-only", action="store_true", help="hold the shift at zero")
    fit.add_argument(
        "--threshold",
        type=number(float, above=0),
        help="largest residual of an inlier, in the space's unit (default: found from the data)",
    )
    fit.add_argument("--seed", type=number(minimum=0), default=0, help="of the robust methods")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("calibration.json"),
        metavar="FILE_OR_FOLDER",
        help="file for the result, or a model's folder, where predict finds it",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    parser.add_argument("--size", type=number(minimum=1), help="shortest side that the model sees (default: its own)")
    add_camera_arguments(parser)
    add_model_arguments(parser)
