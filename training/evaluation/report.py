"""What an evaluation leaves behind: results.json, a Markdown table, and a page of the worst images."""

import html
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from anydepth_hf.atomic_write import atomic_directory, atomic_write_json, atomic_write_text
from anydepth_hf.benchmark_report import markdown_table
from anydepth_hf.metrics import METRICS
from anydepth_hf.visualization import colorize, value_range
from training.data.readers import DepthSample
from training.evaluation.cells import reproduction_rows
from training.evaluation.measures import HEADINGS, PER_CENT
from training.evaluation.regions import REGIONS

PANEL_WIDTH = 480
LEADING = ("abs_rel", "delta1")
ERROR_RANGE = 0.5  # relative error of the error map's white


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
    name, protocol = next(iter(results["protocols"].items()))
    words = [f"{source}: predicts {predictions['predicts'].replace('_', ' ')}"]
    words.append(f"protocol {name} v{protocol['version']} ({protocol['summary'].rstrip('.')})")
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


def input_sizes(records: list[dict]) -> str:
    """The sizes (height x width) that the model saw, the most frequent first."""
    counts = Counter("x".join(map(str, record["input_size"])) for record in records)
    names = [size for size, _ in counts.most_common()]
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def cell(metric: str, value: float | None, interval: list[float] | None = None) -> str:
    """A measured value as tables show it, with its interval if there is one."""
    if value is None:
        return "-"
    shown = f"{100 * value:.2f}" if metric in PER_CENT else f"{value:.4g}"
    return shown if interval is None else f"{shown} ({' to '.join(cell(metric, end) for end in interval)})"


def metrics_table(results: dict) -> str:
    """Data sets by measures of the first protocol; the two leading ones with their intervals."""
    names = next(iter(results["protocols"].values()))["metrics"]
    table = [["Data", "Images", *(HEADINGS[name] for name in names), "Input"]]
    for entry in results["datasets"].values():
        metrics, interval = entry["metrics"] or {}, entry["interval"] or {}
        leading = (names[0], "delta1")
        cells = [cell(name, metrics.get(name), interval.get(name) if name in leading else None) for name in names]
        count = units(next(iter(entry["protocols"].values())))
        table.append([entry["title"], count, *cells, input_sizes(entry["records"])])
    return markdown_table(table)


def units(entry: dict) -> str:
    """How many images or clips a protocol measured."""
    return f"{entry['images']}" if "images" in entry else f"{entry['clips']} clips"


def other_measures(metrics: dict) -> str:
    """What a protocol measures beside the usual errors, in words."""
    return in_words(metrics, [metric for metric in metrics if metric not in METRICS]) or "-"


def in_words(metrics: dict, names: list[str]) -> str:
    """Some of the measures, each with its heading, without the arrow."""
    return ", ".join(f"{HEADINGS[name][:-2]} {cell(name, metrics[name])}" for name in names)


def protocols_table(results: dict, name: str) -> str:
    """One data set under every protocol: AbsRel and delta with intervals, and what else a protocol measures first."""
    table = [["Protocol", "Fit", *(HEADINGS[metric] for metric in LEADING), "Other", "Images"]]
    for protocol, entry in results["datasets"][name]["protocols"].items():
        definition = results["protocols"][protocol]
        metrics, interval = entry["metrics"] or {}, entry["interval"] or {}
        shown = [cell(metric, metrics.get(metric), interval.get(metric)) for metric in LEADING]
        fit, other = fit_words(definition["fit"]), other_measures(metrics)
        table.append([f"{protocol} v{entry['version']}", fit, *shown, other, units(entry)])
    return markdown_table(table)


def fit_words(fit: dict) -> str:
    """A protocol's fit in a few words."""
    if fit["space"] == "none":
        return "none"
    method = {"marigold": "least squares", "l1": "least absolute", "ransac": "RANSAC"}.get(
        fit["method"], fit["method"].replace("_", " ")
    )
    space = {"log1p": "log(1 + depth)"}.get(fit["space"], fit["space"])
    numbers = "scale, shift" if fit["shift"] else "scale"
    floor = "" if fit["floor"] is None else f", floor {str(fit['floor']).replace('_', ' ')}"
    return f"{numbers} in {space}, {method}{floor}" + (", one per clip" if fit["scope"] == "clip" else "")


def parts_table(entry: dict) -> str:
    """Relative error by region and by range of true depth."""
    table = [["Part", "AbsRel % ↓", "Share of pixels %", "Images"]]
    for kind in ("regions", "ranges"):
        for name, part in entry[kind].items():
            title = name if kind == "regions" else f"depth {name}"
            table.append([title, f"{100 * part['abs_rel']:.2f}", f"{100 * part['pixels']:.1f}", str(part["images"])])
    return markdown_table(table)


def compared_table(compared: dict) -> str:
    """This model minus the other, image by image."""
    table = [["Data", "Protocol", "Measure", "Difference", "95 % interval", "Wins : losses", "Images"]]
    for name, protocols in compared["datasets"].items():
        for protocol, metrics in protocols.items():
            for metric, pair in metrics.items():
                if metric not in (*LEADING, "rmse") and metric in METRICS:
                    continue
                ends = " to ".join(cell(metric, end) for end in pair["interval"] or ()) or "-"
                wins = "{} : {}".format(*pair["wins"])
                row = [name, protocol, HEADINGS[metric], cell(metric, pair["difference"]), ends, wins]
                table.append([*row, str(pair["images"])])
    return markdown_table(table)


def markdown(results: dict) -> str:
    """The report: results.md."""
    parts = [results["protocol"], metrics_table(results)]
    for name, entry in results["datasets"].items():
        if left_out := entry["without_valid_pixels"]:
            parts.append(
                f"{name}: {len(left_out)} images have no valid pixel, or nothing else that "
                f"{next(iter(results['protocols']))} measures, and are left out, first {left_out[0]}."
            )
    parts.append(
        "Mean over images (95 % bootstrap interval over images); metrics at the size of the ground truth. "
        + ", ".join(f"{key} {value}" for key, value in results["versions"].items())
        + "."
    )
    if reproduced := results.get("reproduced"):
        parts += [f"## {reproduced['cell']}, published and measured", markdown_table(reproduction_rows(reproduced))]
        parts.append(f"Published: {reproduced['where']}, {reproduced['source']}. {reproduced['note']}".strip())
    for name, entry in results["datasets"].items():
        if len(results["protocols"]) > 1:
            parts += [f"## {entry['title']} under every protocol", protocols_table(results, name)]
        if entry["regions"]:
            parts += [f"## {entry['title']}: where the errors are", parts_table(entry)]
            parts.append("; ".join(f"{region}: {text}" for region, text in REGIONS.items()) + ".")
    if results["not_measured"]:
        parts.append("Not measured: " + "; ".join(results["not_measured"].values()) + ".")
    if compared := results.get("compared_with"):
        parts += ["## Compared image by image", f"This model minus the other, which is {compared['protocol']}"]
        parts.append(compared_table(compared))
    return "\n\n".join(parts) + "\n"


def worst_page(results: dict, pictures: dict[str, list[tuple[dict, Image.Image]]]) -> str:
    """HTML that shows `worst/<data set>_<rank>.jpg`."""
    parts = [
        '<!doctype html><meta charset="utf-8"><title>Worst images</title>',
        "<style>body{font:14px sans-serif;margin:2em}img{max-width:100%;display:block}</style>",
        f"<h1>Worst images</h1><p>{html.escape(results['protocol'])}</p>",
        "<p>Image, ground-truth disparity, fitted disparity (same colours, red is near, black has no ground truth), "
        f"relative depth error from black (0) to white ({ERROR_RANGE:.0%} and more).</p>",
    ]
    for name, entries in pictures.items():
        parts.append(f"<h2>{html.escape(name)}</h2>")
        protocol = next(iter(results["protocols"]))
        for rank, (record, _) in enumerate(entries):
            metrics = record["protocols"][protocol]
            values = in_words(metrics, list(metrics)[:6])
            parts.append(
                f"<p>{html.escape(record['name'])}: {values}"
                f'<img src="worst/{name}_{rank:02d}.jpg" loading="lazy" alt=""></p>'
            )
    return "\n".join(parts) + "\n"


def write_report(results: dict, pictures: dict[str, list[tuple[dict, Image.Image]]], output_dir: Path) -> None:
    """Writes everything below `output_dir`; `results.json` last, so that it stands for a complete evaluation."""
    with atomic_directory(output_dir / "worst", replace=True) as folder:
        for name, entries in pictures.items():
            for rank, (_, image) in enumerate(entries):
                image.save(folder / f"{name}_{rank:02d}.jpg", quality=90)
    atomic_write_text(output_dir / "worst.html", worst_page(results, pictures))
    atomic_write_text(output_dir / "results.md", markdown(results))
    # what a model card or a table needs, without the single images
    datasets = {
        name: {key: value for key, value in entry.items() if key not in ("records", "clips")}
        for name, entry in results["datasets"].items()
    }
    atomic_write_json(output_dir / "summary.json", {**results, "datasets": datasets})
    atomic_write_json(output_dir / "results.json", results)
