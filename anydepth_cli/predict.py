"""`anydepth predict`: disparity or depth maps of images and folders."""

import argparse
from pathlib import Path

from .options import add_model_arguments
from .parser import number


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument(
        "inputs",
        nargs="*",
        type=Path,
        metavar="IMAGE_OR_FOLDER",
        help="what to predict (default: the photograph that comes with the package)",
    )
    parser.add_argument("--output-dir", type=Path, default=Path("."), help="where results go (default: here)")
    parser.add_argument("--npy", action="store_true", help="also write the float32 map as .npy")
    parser.add_argument(
        "--batch-size", type=number(minimum=1), default=1, help="images of equal size that run together"
    )
    parser.add_argument("--size", type=number(minimum=1), help="shortest side that the model sees (default: its own)")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    add_model_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from anydepth_hf.predict import run

    return run(args)
