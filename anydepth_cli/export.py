"""`anydepth export`: a model as ONNX, OpenVINO, ExecuTorch or torch.export files, each checked against PyTorch."""

import argparse
from pathlib import Path

from .parser import number

FORMATS = ("onnx", "openvino", "executorch", "torch")
PRECISIONS = ("fp32", "fp16", "int8", "int8-static")


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument(
        "--model", metavar="NAME", help="AnyDepth model: preset, directory or Hub id (default: the one in the package)"
    )
    parser.add_argument("--trust-remote-code", action="store_true", help="run the model code of the Hub repository")
    parser.add_argument("--format", nargs="+", default=["onnx"], choices=FORMATS, help="what to write")
    parser.add_argument(
        "--precision",
        nargs="+",
        default=["fp32"],
        choices=PRECISIONS,
        help="of the weights; int8 quantises activations as they come, int8-static by --calibration",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument(
        "--calibration", type=Path, metavar="FOLDER", help="photographs like those the model will see, for int8-static"
    )
    parser.add_argument(
        "--calibration-images", type=number(minimum=1), default=32, metavar="N", help="how many of them to use"
    )
    parser.add_argument(
        "--size",
        type=number(minimum=1),
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="the one size of an ExecuTorch file (default: a square of the processor's size); others take any",
    )
    parser.add_argument(
        "--transformers-js",
        action="store_true",
        help="config.json and preprocessor_config.json for transformers.js, in a folder of its own",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
