"""`anydepth serve`: predictions over HTTP."""

import argparse

from .options import add_calibration_argument, add_model_arguments
from .parser import number


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on; nobody is asked who he is"
    )
    parser.add_argument(
        "--port",
        type=number(minimum=0, maximum=65535),
        default=8000,
        metavar="N",
        help="to listen on; 0: any free one",
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-megabytes", type=number(float, above=0), default=32, metavar="N", help="of an image's file"
    )
    limits.add_argument(
        "--max-megapixels", type=number(float, above=0), default=50, metavar="N", help="of an image, in millions"
    )
    limits.add_argument(
        "--max-queue", type=number(minimum=1), default=32, metavar="N", help="requests at once; others are sent away"
    )
    limits.add_argument(
        "--timeout", type=number(float, above=0), default=60, metavar="SECONDS", help="of a request, waiting included"
    )
    speed = parser.add_argument_group("size and speed")
    speed.add_argument("--size", type=number(minimum=1), help="shortest side that the model sees (default: its own)")
    speed.add_argument(
        "--max-batch", type=number(minimum=1), default=8, metavar="N", help="images of a size at once; 1: each alone"
    )
    speed.add_argument(
        "--max-wait-ms",
        type=number(float, minimum=0),
        default=5,
        metavar="N",
        help="that an image waits for others of its size while the model is idle",
    )
    speed.add_argument(
        "--workers", type=number(minimum=1), default=2, help="threads that decode images and encode results"
    )
    add_calibration_argument(parser)
    parser.add_argument("--log-requests", action="store_true", help="print a line for each request")
    add_model_arguments(parser)
