"""`anydepth predict --model FILE.onnx`: maps of pictures by ONNX Runtime, without PyTorch."""

import argparse
import sys
from pathlib import Path

from anydepth_cli.sentences import one_line

from .inputs import find_sources, read_list
from .onnx_predictor import OnnxPredictor
from .outputs import MAPS, OutputOptions, is_complete, output_paths, write_outputs

# Options of `anydepth predict` that only the model itself serves, with the values that ask for nothing.
NOT_HERE = {
    **dict.fromkeys(("dataset", "calibration", "rerun", "report", "predicts", "tiles"), (None,)),
    **dict.fromkeys(("fov", "focal", "intrinsics"), (None,)),
    **dict.fromkeys(("legend", "side_by_side", "points"), (False,)),
    "device": (None, "cpu"),
    "dtype": ("float32",),
}
BUNDLED_PHOTO = Path(__file__).parent / "bundled" / "coffee.jpg"


def run(args: argparse.Namespace) -> int:
    """Predicts and writes. Returns the exit status: 1 when a picture failed."""
    formats = list(dict.fromkeys([*(args.format or OutputOptions.formats), *["npy"] * args.npy]))
    for name in formats:
        if name != "color" and name not in MAPS:
            raise ValueError(f"{name} is not written from an ONNX file, only {', '.join(('color', *MAPS))}.")
    for name, values in NOT_HERE.items():
        if getattr(args, name) not in values:
            raise ValueError(f"--{name.replace('_', '-')} does not go with an ONNX file; take the model itself.")
    names = [*args.inputs, *(read_list(args.list) if args.list else ())]
    sources = find_sources(names or [BUNDLED_PHOTO], recursive=not args.no_recursive, videos=True)
    if video := next((source for source in sources if source.video), None):
        raise ValueError(f"{video.name} is a video, which is not predicted by an ONNX file; take the model itself.")
    predictor = OnnxPredictor(args.model)
    kind = predictor.description["output"]["prediction_type"]
    options = OutputOptions(
        formats=formats,
        step=args.step,
        colormap=args.colormap,
        limits=args.range and tuple(args.range),
        robust=0.02 if args.robust else 0.0,
        overwrite=args.overwrite,
    )
    written = failed = 0
    for source in sources:
        paths = output_paths(args.output_dir, source.stem, kind, formats)
        if not args.overwrite and is_complete(paths):
            print(f"Kept the results of {source.name} that exist; --overwrite replaces them.")
            continue
        try:
            image = source.open()
            write_outputs(predictor(image, args.size, name=source.name), image, paths, options)
            written += 1
        except (OSError, ValueError) as error:
            failed += 1
            print(f"anydepth predict: {one_line(error)}", file=sys.stderr)
    if written:
        print(f"Wrote {kind} of {written} image{'s' * (written > 1)} to {args.output_dir}")
    return int(failed > 0)
