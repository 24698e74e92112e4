"""`anydepth demo`: a page in the browser for photographs and videos."""

import argparse
from pathlib import Path

from .options import add_model_arguments
from .parser import number


def add_arguments(parser: argparse.ArgumentParser):
    add_model_arguments(
        parser,
        nargs="+",
        help="models to choose from, the first is the one the page starts with: presets, directories, Hub ids "
        "(default: the small model that comes with the package, all published presets, and any name one types)",
    )
    server = parser.add_argument_group("server")
    server.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; 0.0.0.0 lets the network in, and then only the models of --model, or the one of "
        "the package, can be chosen",
    )
    server.add_argument(
        "--port", type=number(minimum=0, maximum=65535), help="0 for any (default: the first free one from 7860)"
    )
    server.add_argument("--share", action="store_true", help="a public address, through a server of Gradio's makers")
    server.add_argument("--open", action="store_true", help="open the page in the browser")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-megapixels", type=number(float, above=0), default=50, metavar="N", help="of a photograph"
    )
    limits.add_argument(
        "--max-upload-megabytes", type=number(minimum=1), default=100, metavar="N", help="of a photograph or video"
    )
    limits.add_argument("--max-video-seconds", type=number(float, above=0), default=60, metavar="N", help="of a video")
    limits.add_argument(
        "--at-once", type=number(minimum=1), default=1, metavar="N", help="predictions at a time; further ones wait"
    )
    limits.add_argument(
        "--max-waiting", type=number(minimum=1), default=32, metavar="N", help="people who wait before one is sent off"
    )
    limits.add_argument(
        "--max-visitors",
        type=number(minimum=1),
        default=16,
        metavar="N",
        help="whose results are kept in memory, up to half a gigabyte each; the one before them chooses again",
    )
    limits.add_argument(
        "--keep-minutes",
        type=number(float, above=0),
        default=60,
        metavar="N",
        help="after which uploads and results are deleted; at the end all are",
    )
    parser.add_argument(
        "--export-space",
        type=Path,
        metavar="DIR",
        help="write a folder that is a Hub Space of this page, with the models of --model, and end",
    )
