"""AbsRel of exported files beside PyTorch's, on frames with depth: what quantisation costs.

    python -m benchmarks.export_accuracy --files exported --frames FOLDER

`exported` holds what `anydepth export` wrote for `--model`; FOLDER holds `NAME.rgb.*` beside `NAME.depth.png`
(16-bit, `--depth-scale` steps to a metre). Scale and shift are fitted in disparity for each frame, as `evaluate` does.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthImageProcessor, load_model
from anydepth_hf.export import REPORT
from anydepth_hf.export_formats import open_file
from anydepth_hf.programs import one_line
from training.data.decoding import DataError
from training.data.sources import PairDataset, open_dataset
from training.evaluation import evaluate_depth


@torch.inference_mode()
def abs_rel(run: Callable, processor: AnyDepthImageProcessor, frames: PairDataset, limits: tuple) -> float:
    """Mean over the frames of what `run` predicts, compared between `limits` in metres."""
    values = []
    for frame in frames:
        prediction = run(processor(Image.fromarray(frame.image), return_tensors="pt").pixel_values)
        prediction = F.interpolate(prediction[None], size=frame.depth.shape, mode="bilinear")[0, 0]
        valid = frame.valid & (frame.depth > limits[0]) & (frame.depth < limits[1])
        values.append(evaluate_depth(prediction, frame.depth, valid, "disparity", *limits)["abs_rel"])
    return float(np.mean(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=BUNDLED_CHECKPOINT)
    parser.add_argument("--files", type=Path, required=True, help="output folder of `anydepth export`")
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--depth-scale", type=float, default=1000, help="steps of the depth pictures to a metre")
    parser.add_argument("--min-depth", type=float, default=0.001)
    parser.add_argument("--max-depth", type=float, default=80.0)
    args = parser.parse_args()
    try:
        frames = open_dataset({"name": "frames", "root": str(args.frames), "depth_scale": args.depth_scale})
        entries = json.loads((args.files / REPORT).read_text(encoding="utf-8"))["files"]
    except (DataError, OSError) as error:
        parser.error(one_line(error))
    model, processor = load_model(args.model, "cpu")
    limits = (args.min_depth, args.max_depth)
    reference = abs_rel(lambda values: model(values).predicted_depth, processor, frames, limits)
    print(f"{len(frames)} frames\nfile                                       AbsRel   change")
    print(f"{'PyTorch':<42} {reference:.4f}")
    for entry in entries:
        if entry["format"] == "executorch":
            continue
        runner = open_file(entry["format"], args.files / entry["file"])
        value = abs_rel(runner, processor, frames, limits)
        print(f"{entry['file']:<42} {value:.4f}  {value / reference - 1:+.2%}", flush=True)


if __name__ == "__main__":
    main()
