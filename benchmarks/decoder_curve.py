"""Decoders side by side: the same encoder, frozen, the same training on procedural scenes; accuracy against FLOPs.

    python benchmarks/decoder_curve.py train --encoder anydepth_hf/bundled --output runs/decoder_curve
    python benchmarks/decoder_curve.py plot runs/decoder_curve --picture curve.png

`train` runs `training/train.py benchmarks/decoder_curve.yaml` once for each decoder and seed, and passes over
what is done; `plot` prints a table and draws the curve. AbsRel is that of 256 held-out scenes at the end of the
training, aligned in disparity; FLOPs are the decoder's at 512x512, as `anydepth benchmark` counts them.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from pathlib import Path

from anydepth_hf import AnyDepthConfig
from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.benchmark_report import markdown_table
from anydepth_hf.extras import require
from anydepth_hf.flops import count
from anydepth_hf.presets import preset

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Path(__file__).resolve().with_suffix(".yaml")
SIZE = 512


def compact(fusion: int, *widths: int) -> dict:
    return {
        "head_type": "sdt",
        "use_cls_token": False,
        "fusion_hidden_size": fusion,
        "upsample_hidden_sizes": list(widths),
        "output_hidden_sizes": [16, 16],
    }


DECODERS = {
    "sdt-paper": preset("dinov3-small-sdt")["config"],
    "sdt-192-128-96-48-16": compact(192, 128, 96, 48, 16),
    "sdt-192-128-64-32-16": preset("dinov3-small-sdt-compact")["config"],
    "sdt-128-64-32-16-16": compact(128, 64, 32, 16, 16),
    "sdt-64-32-16-16-16": compact(64, 32, 16, 16, 16),
    "dpt-paper": preset("dinov3-small-dpt")["config"],
    "dpt-depth-anything-v2-small": {
        "head_type": "dpt",
        "dpt_style": "depth_anything",
        "use_cls_token": False,
        "fusion_hidden_size": 64,
        "reassemble_hidden_sizes": [48, 96, 192, 384],
    },
}
"""Heads by name; a compact SDT's numbers are its fusion width and the widths of its four upsampling steps."""


def train(args: argparse.Namespace) -> None:
    encoder = AnyDepthConfig.from_pretrained(args.encoder)
    for seed, decoder in itertools.product(args.seeds, args.decoders):
        directory = args.output / f"{decoder}.{seed}"
        if (directory / "config.json").exists():
            continue
        architecture = {
            "backbone_config": encoder.backbone_config.to_diff_dict(),
            "apply_backbone_norm": encoder.apply_backbone_norm,
            **DECODERS[decoder],
        }
        command = [
            sys.executable, str(ROOT / "training/train.py"), str(CONFIG), "--architecture", json.dumps(architecture),
            "--encoder_weights", str(args.encoder), "--output_dir", str(directory), "--seed", str(seed), "--resume",
        ]  # fmt: skip
        command += ["--scene_store", str(args.scene_store)] if args.scene_store else []
        print(f"{decoder}, seed {seed}", flush=True)
        if status := subprocess.run(command).returncode:
            sys.exit(status)


def read_runs(folder: Path) -> list[dict]:
    """One entry for each decoder with finished runs, cheapest first: its cost, and the AbsRel of each of its seeds."""
    decoders: dict[str, dict] = {}
    for path in sorted(folder.glob("*/config.json")):
        name = path.parent.name.rsplit(".", 1)[0]
        if name not in decoders:
            counts = count(AnyDepthConfig.from_pretrained(path.parent), SIZE, SIZE)
            cost = {"gflops": counts.decoder_flops / 1e9, "parameters": counts.decoder_parameters}
            decoders[name] = {"name": name, **cost, "abs_rel": []}
        lines = map(json.loads, (path.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        decoders[name]["abs_rel"].append([line["val/abs_rel"] for line in lines if "val/abs_rel" in line][-1])
    if not decoders:
        sys.exit(f"{folder} holds no finished runs: decoder_curve.py train makes them")
    return sorted(decoders.values(), key=lambda entry: entry["gflops"])


def plot(args: argparse.Namespace) -> None:
    decoders = read_runs(args.runs)
    table = [["decoder", "parameters (M)", "GFLOPs at 512x512", "AbsRel, mean", "of each seed"]]
    for entry in decoders:
        seeds, mean = ", ".join(f"{value:.4f}" for value in entry["abs_rel"]), statistics.mean(entry["abs_rel"])
        cost = f"{entry['parameters'] / 1e6:.2f}", f"{entry['gflops']:.1f}"
        table.append([entry["name"], *cost, f"{mean:.4f}", seeds])
    print(markdown_table(table))
    if args.picture:
        draw(decoders, args.picture)


def draw(decoders: list[dict], picture: Path) -> None:
    require("matplotlib", "train").use("Agg")
    pyplot = require("matplotlib.pyplot", "train")
    figure, axes = pyplot.subplots(figsize=(7.5, 4.2), layout="constrained")
    for kind, colour in (("sdt", "tab:blue"), ("dpt", "tab:orange")):
        chosen = [entry for entry in decoders if entry["name"].startswith(kind)]
        x, y = [entry["gflops"] for entry in chosen], [statistics.mean(entry["abs_rel"]) for entry in chosen]
        axes.plot(x, y, "o", color=colour, label=kind.upper())
        for entry, left, height in zip(chosen, x, y):
            axes.plot([left] * len(entry["abs_rel"]), entry["abs_rel"], "_", color=colour)
            axes.annotate(entry["name"], (left, height), xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", xlabel="GFLOPs of the decoder at 512x512", ylabel="AbsRel on held-out scenes")
    axes.margins(x=0.15, y=0.15)
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, dpi=130, format=picture.suffix[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train", help="train what is missing")
    command.add_argument("--encoder", type=Path, required=True, help="AnyDepth model whose encoder serves all")
    command.add_argument("--output", type=Path, required=True, help="a folder for each decoder and seed")
    command.add_argument("--scene_store", type=Path, help="folder that keeps the rendered scenes for the other runs")
    command.add_argument("--decoders", nargs="+", choices=DECODERS, default=list(DECODERS))
    command.add_argument("--seeds", nargs="+", type=int, default=[0])
    command.set_defaults(run=train)
    command = commands.add_parser("plot", help="table and picture of finished runs")
    command.add_argument("runs", type=Path)
    command.add_argument("--picture", type=Path, help="PNG or SVG to write")
    command.set_defaults(run=plot)
    args = parser.parse_args()
    try:
        args.run(args)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"decoder_curve.py: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
