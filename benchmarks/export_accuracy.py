"""AbsRel of exported files beside PyTorch's, on frames with depth: what quantisation costs.

    python benchmarks/export_accuracy.py --files exported --frames FOLDER

`exported` holds what `anydepth export` wrote for `--model`; FOLDER holds `NAME.rgb.*` beside `NAME.depth.png`
(16-bit, `--depth-scale` to metres). Scale and shift are fitted in disparity for each frame, as `evaluate` does.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from anydepth_hf import BUNDLED_CHECKPOINT, load_model  # noqa: E402
from anydepth_hf.export import REPORT  # noqa: E402
from anydepth_hf.export_formats import open_file  # noqa: E402
from anydepth_hf.image_io import open_image  # noqa: E402
from training.evaluation import evaluate_depth  # noqa: E402


def read_frames(folder: Path, depth_scale: float) -> list[tuple[str, object, torch.Tensor]]:
    """Name, picture and depth in metres (0 without) of each frame below a folder."""
    frames = []
    for path in sorted(folder.rglob("*.rgb.*")):
        name = path.name.split(".rgb.")[0]
        depth_path = path.with_name(f"{name}.depth.png")
        if depth_path.is_file():
            depth = np.asarray(open_image(depth_path, orient=False)).astype(np.float32) * depth_scale
            frames.append((name, open_image(path), torch.from_numpy(depth)))
    if not frames:
        sys.exit(f"{folder} holds no NAME.rgb.* with a NAME.depth.png beside it.")
    return frames


@torch.inference_mode()
def abs_rel(run, processor, frames, min_depth: float, max_depth: float) -> float:
    values = []
    for _, picture, depth in frames:
        prediction = run(processor(picture, return_tensors="pt").pixel_values)
        prediction = F.interpolate(prediction[None], size=depth.shape, mode="bilinear")[0, 0]
        valid = (depth > min_depth) & (depth < max_depth)
        values.append(evaluate_depth(prediction, depth, valid, "disparity", min_depth, max_depth)["abs_rel"])
    return float(np.mean(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=BUNDLED_CHECKPOINT)
    parser.add_argument("--files", type=Path, required=True, help="output folder of `anydepth export`")
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--depth-scale", type=float, default=0.001, help="metres of one step of the depth pictures")
    parser.add_argument("--min-depth", type=float, default=0.001)
    parser.add_argument("--max-depth", type=float, default=80.0)
    args = parser.parse_args()
    model, processor = load_model(args.model, "cpu")
    frames = read_frames(args.frames, args.depth_scale)
    limits = (args.min_depth, args.max_depth)
    reference = abs_rel(lambda values: model(values).predicted_depth, processor, frames, *limits)
    print(f"{len(frames)} frames\nfile                                       AbsRel   change")
    print(f"{'PyTorch':<42} {reference:.4f}")
    for entry in json.loads((args.files / REPORT).read_text(encoding="utf-8"))["files"]:
        if entry["format"] == "executorch":
            continue
        runner = open_file(entry["format"], args.files / entry["file"])
        value = abs_rel(runner, processor, frames, *limits)
        print(f"{entry['file']:<42} {value:.4f}  {value / reference - 1:+.2%}", flush=True)


if __name__ == "__main__":
    main()
