"""What an evaluation leaves behind: results.json, a Markdown table, and a page of the worst images."""

import html
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from anydepth_hf.alignment_spaces import DISPARITY_FLOOR
from anydepth_hf.atomic_write import atomic_write_text
from anydepth_hf.benchmark_report import markdown_table
from anydepth_hf.metrics import METRICS
from anydepth_hf.visualization import colorize, value_range
from training.data.readers import DepthSample

PANEL_WIDTH = 480
ERROR_RANGE = 0.5  # relative error of the error map's white
PER_CENT = ("abs_rel", "delta1", "delta2", "delta3")
HEADINGS = [
    "AbsRel % ↓",
    "SqRel ↓",
    "RMSE ↓",
    "RMSE log ↓",
    "log10 ↓",
    "δ1 % ↑",
    "δ2 % ↑",
    "δ3 % ↑",
    "iRMSE ↓",
    "SILog ↓",
]


def error_panels(sample: DepthSample, depth: np.ndarray) -> Image.Image:
    """Image, ground-truth and fitted disparity in the same colours, and relative error from black to white (50 %)."""
    step = -(-sample.depth.shape[1] // PANEL_WIDTH)
    image, truth, depth, valid = (
        values[::step, ::step] for values in (sample.image, sample.depth, depth, sample.valid)
    )
    disparity = 1 / np.where(valid, truth, 1)
    shown = np.hstack([valid, np.ones_like(valid)])
    limits = value_range(disparity, valid, robust=0.01)
    maps = np.asarray(colorize(np.hstack([disparity, 1 / depth]), "disparity", shown, limits=limits))
    error = np.where(valid, np.abs(depth - truth) / np.where(valid, truth, 1), 0) / ERROR_RANGE
    heat = (3 * error[..., None] - np.arange(3)).clip(0, 1)  # black, red, yellow, white
    return Image.fromarray(np.hstack([image, maps, (255 * heat).round().astype(np.uint8)]))


def describe_protocol(results: dict) -> str:
    """The conditions under which the numbers hold, in one sentence."""
    predictions = results["predictions"]
    source = predictions.get("model") or predictions["predictions"]
    fit = {
        "disparity": f"scale and shift fitted in disparity (floor {DISPARITY_FLOOR:g})",
        "depth": "scale and shift fitted in depth",
        None: "no fit",
    }[results["alignment"]]
    words = [f"{source}: predicts {predictions['predicts'].replace('_', ' ')}", fit]
    if "model" in predictions:
        size = predictions["processing_size"]
        if isinstance(size, int):
            size = f"shorter side {size}"
        elif not isinstance(size, str):
            size = "{}x{}".format(*size)
        words += [f"input size {size}", "with flip" if predictions["flip"] else "no flip", predictions["dtype"]]
    if results["limit"]:
        words.append(f"ONLY the first {results['limit']} images")
    return ", ".join(words) + "."


def summary(results: dict) -> dict:
    """`results.json` without the single images: what a model card or a table needs."""
    datasets = {}
    for name, entry in results["datasets"].items():
        datasets[name] = {key: value for key, value in entry.items() if key != "rows"}
    return {**results, "datasets": datasets}


def input_sizes(rows: list[dict]) -> str:
    """The sizes (height x width) that the model saw, the most frequent first."""
    counts: dict[str, int] = {}
    for row in rows:
        size = "x".join(map(str, row["input_size"]))
        counts[size] = counts.get(size, 0) + 1
    names = sorted(counts, key=lambda size: -counts[size])
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def metrics_table(results: dict) -> str:
    rows = [["Data", "Images", *HEADINGS, "Input"]]
    for entry in results["datasets"].values():
        used = entry["images"] - len(entry["without_valid_pixels"])
        cells = [entry["title"], str(used)]
        for metric in METRICS:
            value = None if entry["metrics"] is None else entry["metrics"][metric]
            cells.append("-" if value is None else f"{100 * value:.2f}" if metric in PER_CENT else f"{value:.4g}")
        rows.append([*cells, input_sizes(entry["rows"])])
    return markdown_table(rows)


def markdown(results: dict) -> str:
    parts = [results["protocol"], metrics_table(results)]
    for name, entry in results["datasets"].items():
        if left_out := entry["without_valid_pixels"]:
            parts.append(f"{name}: {len(left_out)} images have no valid pixel and are left out, first {left_out[0]}.")
    parts.append("Mean over images; metrics at the size of the ground truth. " + ", ".join(
        f"{key} {value}" for key, value in results["versions"].items()) + ".")  # fmt: skip
    return "\n\n".join(parts) + "\n"


def worst_page(results: dict, pictures: dict[str, list[tuple[dict, Image.Image]]]) -> str:
    """HTML that shows `worst/<data set>_<rank>.jpg`."""
    parts = [
        '<!doctype html><meta charset="utf-8"><title>Worst images</title>',
        "<style>body{font:14px sans-serif;margin:2em}img{max-width:100%;display:block}</style>",
        f"<h1>Worst images by AbsRel</h1><p>{html.escape(results['protocol'])}</p>",
        "<p>Image, ground-truth disparity, fitted disparity (same colours, red is near, black has no ground truth), "
        f"relative depth error from black (0) to white ({ERROR_RANGE:.0%} and more).</p>",
    ]
    for name, entries in pictures.items():
        parts.append(f"<h2>{html.escape(name)}</h2>")
        for rank, (row, _) in enumerate(entries):
            metrics = row["metrics"]
            parts.append(
                f"<p>{html.escape(row['name'])}: AbsRel {metrics['abs_rel']:.3f}, δ1 {metrics['delta1']:.3f}"
                f'<img src="worst/{name}_{rank:02d}.jpg" loading="lazy" alt=""></p>'
            )
    return "\n".join(parts) + "\n"


def write_report(results: dict, pictures: dict[str, list[tuple[dict, Image.Image]]], output_dir: Path) -> None:
    """Writes everything below `output_dir`; `results.json` last, so that it stands for a complete evaluation."""
    with tempfile.TemporaryDirectory(dir=output_dir) as folder:
        for name, entries in pictures.items():
            for rank, (_, image) in enumerate(entries):
                image.save(Path(folder) / f"{name}_{rank:02d}.jpg", quality=90)
        shutil.rmtree(output_dir / "worst", ignore_errors=True)
        shutil.copytree(folder, output_dir / "worst")
    atomic_write_text(output_dir / "worst.html", worst_page(results, pictures))
    atomic_write_text(output_dir / "results.md", markdown(results))
    atomic_write_text(output_dir / "summary.json", json.dumps(summary(results), indent=1) + "\n")
    atomic_write_text(output_dir / "results.json", json.dumps(results, indent=1) + "\n")
