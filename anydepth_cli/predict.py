"""`anydepth predict`: disparity or depth maps of pictures and videos."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .options import add_calibration_argument, add_camera_arguments, add_model_arguments
from .parser import number, one_of

FORMATS = tuple("color png exr tiff npz npy jpeg ply glb html colmap normals ffv1 hevc".split())
COLORMAPS = ("spectral", "turbo", "inferno", "magma", "viridis", "gray")


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="images, videos, folders, patterns ('photos/**/*.jpg'), http addresses, - for an image on standard input "
        "(default: the photograph that comes with the package)",
    )
    more = parser.add_argument_group("more input")
    more.add_argument("--list", metavar="FILE", help="text file that names inputs, one a line; - reads standard input")
    more.add_argument("--dataset", metavar="NAME", help="Hugging Face data set with an image column")
    more.add_argument("--split", help="of the data set (default: its only one)")
    more.add_argument("--column", help="image column of the data set (default: its first)")
    more.add_argument("--no-recursive", action="store_true", help="leave folders in folders out")

    output = parser.add_argument_group("output")
    output.add_argument("--output-dir", type=Path, default=Path("."), metavar="DIR", help="(default: here)")
    output.add_argument(
        "--format",
        nargs="+",
        type=_or_input(one_of(*FORMATS)),
        metavar="NAME",
        help=f"some of {', '.join(FORMATS)} (default: png color; of videos color). png and jpeg hold 16 bits, exr, "
        "tiff, npz and npy float32; ply, glb, html, colmap and normals are three-dimensional and need metres. Of a "
        "video, color is H.264 with its sound, ffv1 (16-bit, without loss) and hevc (12-bit) are gray videos, npz is "
        "one array, and png, exr and tiff are folders of frames",
    )
    output.add_argument("--npy", action="store_true", help="short for one more --format npy")
    output.add_argument("--overwrite", action="store_true", help="replace results that exist, and files of others")
    output.add_argument(
        "--step",
        type=number(float, above=0),
        help="distance of two levels of a 16-bit png: 0.001 for millimetres of metric depth (default: the finest)",
    )
    output.add_argument("--report", type=Path, metavar="FILE", help="JSON lines: what became of each image")

    color = parser.add_argument_group("colour pictures")
    color.add_argument(
        "--colormap", type=one_of(*COLORMAPS), default="spectral", metavar="NAME", help=", ".join(COLORMAPS)
    )
    limits = color.add_mutually_exclusive_group()
    limits.add_argument(
        "--range", nargs=2, type=number(float), metavar=("LOW", "HIGH"), help="the same for all images"
    )
    limits.add_argument("--robust", action="store_true", help="from the 2nd to the 98th percentile")
    color.add_argument("--legend", action="store_true", help="show what the colours mean")
    color.add_argument("--side-by-side", action="store_true", help="beside the photograph or the video")

    video = parser.add_argument_group("videos")
    video.add_argument(
        "--stabilize",
        type=one_of("off", "causal", "two-pass"),
        default="causal",
        metavar="HOW",
        help="off: each frame for itself; causal: each agrees with those before it; two-pass: also with those after "
        "it (default: causal)",
    )

    metric = parser.add_argument_group("metres and 3-D")
    add_calibration_argument(metric)
    metric.add_argument("--points", action="store_true", help="points instead of a surface")
    metric.add_argument(
        "--max-points",
        type=number(minimum=1),
        metavar="N",
        help="in a three-dimensional file (default: 1000000, in html and colmap 300000)",
    )
    metric.add_argument(
        "--voxel-size", type=number(float, above=0), metavar="METRES", help="one point in each cube of this side"
    )
    metric.add_argument("--max-depth", type=number(float, above=0), metavar="METRES", help="leave out what is farther")
    metric.add_argument(
        "--edge-threshold",
        type=number(float, minimum=0),
        default=0.04,
        metavar="SHARE",
        help="change of depth across a pixel, beyond what its surroundings explain, from which it is left out of 3-D "
        "as floating between two surfaces; 0 keeps all",
    )
    metric.add_argument(
        "--rerun",
        nargs="?",
        const="",
        metavar="FILE.rrd",
        help="log pictures, depth and points to rerun; without a file its viewer is started (extra rerun)",
    )
    add_camera_arguments(parser)

    speed = parser.add_argument_group("size and speed")
    speed.add_argument("--size", type=number(minimum=1), help="shortest side that the model sees (default: its own)")
    speed.add_argument(
        "--tiles",
        nargs="?",
        type=_or_input(number(minimum=2)),
        const=3,
        metavar="N",
        help="sharpen large images by N (3) tiles along the shorter side, each seen as large as the whole",
    )
    speed.add_argument(
        "--batch-size", type=number(minimum=1), default=1, help="images of a size, or frames of a video, at once"
    )
    speed.add_argument(
        "--workers", type=number(minimum=1), default=2, help="threads that decode, and as many that write"
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--predicts",
        type=one_of("disparity", "depth", "metric_depth"),
        metavar="WHAT",
        help="disparity, depth or metric_depth, for models of a type that is not known here",
    )


def _or_input(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A `type=` of an option that takes what stands behind it: says so where that is an input."""

    def parse_or_refuse(text: str):
        try:
            return parse(text)
        except argparse.ArgumentTypeError:
            if not Path(text).exists():
                raise
            raise argparse.ArgumentTypeError(f"{text} is an input; inputs stand before this option") from None

    return parse_or_refuse


def module(args: argparse.Namespace) -> str:
    """The module of `anydepth_hf` that predicts."""
    return "onnx_predict" if is_onnx(args.model) else "predict"


def is_onnx(model: str | None) -> bool:
    """Whether `--model` names an exported file, or a folder that holds one and no weights for PyTorch."""
    if model is None:
        return False
    path = Path(model)
    return path.suffix == ".onnx" or ((path / "onnx").is_dir() and not any(path.glob("*.safetensors")))
