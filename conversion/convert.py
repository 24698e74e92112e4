"""
Converts an original checkpoint to a directory that `from_pretrained` and `pipeline` load.

    python -m conversion.convert --source dav2 --checkpoint depth_anything_v2_vits.pth --output dav2-small
"""

import argparse
import sys
from pathlib import Path

from anydepth_hf.programs import Mistakes, Parser
from conversion.converter import convert
from conversion.reading import SOURCES


def main(arguments: list[str] | None = None) -> int:
    """Converts; 0, or 2 after a mistake."""
    with Mistakes("convert.py") as ending:
        print(convert(**vars(parse_arguments(arguments))))
    return ending.status


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m conversion.convert", description="Convert an original checkpoint to Transformers' format."
    )
    parser.add_argument("--source", required=True, choices=SOURCES, help="whose checkpoint it is")
    parser.add_argument("--checkpoint", required=True, help="the checkpoint: .pth, .pt, .safetensors or .onnx")
    parser.add_argument("--output", required=True, type=Path, help="directory to write")
    parser.add_argument("--encoder", help="encoder of a bare decoder: a file, a transformers directory or a Hub id")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="what the weights do not tell: a field of AnyDepthConfig, or backbone.X for one of the encoder; "
        "backbone.out_layers counts blocks from 0",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the model in --output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
