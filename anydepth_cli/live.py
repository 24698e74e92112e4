"""`anydepth live`: a camera's disparity or depth in a browser."""

import argparse

from .options import add_model_arguments
from .parser import number, one_of
from .predict import COLORMAPS


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="number or device of a webcam (0, /dev/video0), an rtsp or http address, or a video file, which plays in "
        "real time",
    )
    parser.add_argument("--port", type=number(minimum=0, maximum=65535), default=8777, help="of the page on loopback")
    parser.add_argument("--loop", action="store_true", help="play a file again and again")
    parser.add_argument("--side-by-side", action="store_true", help="beside the picture itself")
    parser.add_argument(
        "--colormap", type=one_of(*COLORMAPS), default="spectral", metavar="NAME", help=", ".join(COLORMAPS)
    )
    parser.add_argument("--size", type=number(minimum=1), help="shortest side that the model sees (default: its own)")
    parser.add_argument(
        "--stabilize",
        type=one_of("off", "causal"),
        default="causal",
        metavar="HOW",
        help="off: each frame for itself; causal: each agrees with those before it (default: causal)",
    )
    add_model_arguments(parser)
