"""`anydepth predict --model FILE.onnx`: maps of pictures by ONNX Runtime, without PyTorch."""

import argparse
import os
import sys
from pathlib import Path

from PIL import Image

from anydepth_cli.sentences import one_line

from .atomic_write import atomic_write
from .depth_files import has_mark, png_text, save_picture, write_depth
from .depth_map import DepthMap
from .inputs import find_sources, read_list
from .onnx_predictor import OnnxPredictor
from .visualization import colorize, value_range

ENDINGS = {"png": ".png", "exr": ".exr", "tiff": ".tiff", "npz": ".npz", "npy": ".npy", "jpeg": ".jpg"}
DEFAULT_FORMATS = ("png", "color")
# Options of `anydepth predict` that only the model itself serves, with the values that ask for nothing.
NOT_HERE = {
    **dict.fromkeys(("dataset", "calibration", "rerun", "report", "predicts", "tiles")),
    **dict.fromkeys(("legend", "side_by_side", "points"), False),
}
BUNDLED_PHOTO = Path(__file__).parent / "bundled" / "coffee.jpg"


def run(args: argparse.Namespace) -> int:
    """Predicts and writes. Returns the exit status: 1 when a picture failed."""
    formats = list(dict.fromkeys([*(args.format or DEFAULT_FORMATS), *["npy"] * args.npy]))
    for name in formats:
        if name != "color" and name not in ENDINGS:
            raise ValueError(f"{name} is not written from an ONNX file, only {', '.join(('color', *ENDINGS))}.")
    for name, value in NOT_HERE.items():
        if getattr(args, name, value) != value:
            raise ValueError(f"--{name.replace('_', '-')} does not go with an ONNX file; take the model itself.")
    names = [*args.inputs, *(read_list(args.list) if args.list else ())]
    sources = find_sources(names or [BUNDLED_PHOTO], recursive=not args.no_recursive, videos=True)
    if video := next((source for source in sources if source.video), None):
        raise ValueError(f"{video.name} is a video, which is not predicted by an ONNX file; take the model itself.")
    predictor = OnnxPredictor(args.model)
    kind = predictor.description["output"]["prediction_type"]
    failed = 0
    for source in sources:
        base = f"{args.output_dir / source.stem}_{kind}"
        paths = {name: Path(base + ENDINGS.get(name, "_color.png")) for name in formats}
        if not args.overwrite and all(path.exists() for path in paths.values()):
            print(f"Kept the results of {source.name} that exist; --overwrite replaces them.")
            continue
        try:
            image = source.open()
            write(predictor(image, args.size, name=source.name), image, paths, args)
        except (OSError, ValueError) as error:
            failed += 1
            print(f"anydepth predict: {one_line(error)}", file=sys.stderr)
    if failed < len(sources):
        print(f"Wrote {kind} of {len(sources) - failed} image{'s' * (len(sources) - failed > 1)} to {args.output_dir}")
    return int(failed > 0)


def write(depth: DepthMap, image: Image.Image, paths: dict[str, Path], args: argparse.Namespace) -> None:
    """Writes a map in every format of `paths`. Raises FileExistsError for a file that is not this package's."""
    for path in paths.values():
        if not args.overwrite and os.path.lexists(path) and not has_mark(path):
            raise FileExistsError(f"{path} exists and was not written by anydepth; --overwrite replaces it.")
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != "color":
            write_depth(path, depth, step=args.step, photo=image)
            continue
        limits = args.range and tuple(args.range)
        limits = limits or value_range(depth.values, depth.valid, 0.02 if args.robust else 0.0)
        picture = colorize(depth.values, depth.kind, depth.valid, args.colormap, limits)
        with atomic_write(path) as temporary:
            text = png_text(depth.metadata(colormap=args.colormap, limits=limits))
            save_picture(temporary, picture, "PNG", pnginfo=text)


__all__ = ["run"]
