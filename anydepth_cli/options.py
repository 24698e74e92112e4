"""Options that several commands share."""

import argparse

from .parser import number


def add_model_arguments(parser: argparse.ArgumentParser, **model):
    """Those of `anydepth_hf.loading.load_model`; `model` are options of `--model` itself, such as `nargs`."""
    group = parser.add_argument_group("model")
    text = (
        "depth-estimation model: preset (`anydepth models` lists them; published weights are downloaded on first "
        "use), directory or Hub id (default: the small model that comes with the package)"
    )
    group.add_argument("--model", metavar="NAME", **{"help": text, **model})
    group.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    group.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    group.add_argument("--trust-remote-code", action="store_true", help="run the model code of the Hub repository")


def add_calibration_argument(group: argparse._ActionsContainer):
    """`--calibration`, as `anydepth_hf.calibration.find_calibration` takes it."""
    group.add_argument(
        "--calibration",
        metavar="FILE",
        help="what `anydepth calibrate` wrote (default: calibration.json in the model's folder; none: without)",
    )


def add_camera_arguments(parser: argparse.ArgumentParser):
    """`--fov`, `--focal` and `--intrinsics`, as `anydepth_hf.camera_options.intrinsics_of` takes them."""
    group = parser.add_argument_group("camera", "By default the focal length in the picture's EXIF data.")
    choice = group.add_mutually_exclusive_group()
    choice.add_argument(
        "--fov", type=number(float, above=0, maximum=179), metavar="DEGREES", help="horizontal field of view"
    )
    choice.add_argument(
        "--focal",
        type=_focal,
        metavar="PIXELS",
        help="focal length in pixels, or 'estimate': from right angles in aligned depth",
    )
    choice.add_argument(
        "--intrinsics",
        nargs=4,
        type=number(float),
        metavar=("FX", "FY", "CX", "CY"),
        help="focal lengths and principal point in pixels; the centre of the first pixel is 0, 0",
    )


def _focal(text: str) -> str | float:
    return text if text == "estimate" else number(float, above=0)(text)
