"""Exported files beside PyTorch eager: time, size and error of each format, in one process, in turns.

    OMP_NUM_THREADS=2 python -m benchmarks.export_speed --json speed.json
    python -m benchmarks.export_speed --table speed.json

Needs the extra `openvino`, or `export` for ONNX alone. Models are presets at random weights: speed does not depend on
them (integer files are calibrated on the photograph in the package). Seconds are the least of the runs, which take
turns; a ratio is PyTorch's seconds by the file's, so 2 is twice as fast. Processor seconds are those of all threads
together: with one thread they are what counts on a machine that others use too.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.benchmark_report import markdown_table
from anydepth_hf.environment import package_versions
from anydepth_hf.export import parts
from anydepth_hf.export_check import sample_images
from anydepth_hf.export_formats import FILES, Exporter, open_file, open_openvino
from anydepth_hf.export_metadata import describe_model
from anydepth_hf.image_io import open_image
from anydepth_hf.presets import preset_config, preset_names
from anydepth_hf.quiet import quiet_exporters

MODELS = ["dinov3-small-sdt-compact", "dav2-small-dpt", "dinov3-small-sdt"]
VARIANTS = ["onnx:fp32", "onnx:int8", "onnx:int8-static", "openvino:fp32", "openvino:bf16", "openvino:int8-static"]


def build(name: str, side: int) -> tuple[AnyDepthForDepthEstimation, AnyDepthImageProcessor]:
    torch.manual_seed(0)
    config = preset_config(name, output_activation="linear")
    model = AnyDepthForDepthEstimation(config).eval().requires_grad_(False)
    return model, AnyDepthImageProcessor(size={"height": side, "width": side}, ensure_multiple_of=config.patch_size)


def write_files(name: str, side: int, variants: list[str], folder: Path) -> tuple[torch.nn.Module, dict]:
    """The model, and the path of each variant's file; files that exist are taken as they are."""
    model, processor = build(name, side)
    description = describe_model(model.config, processor)
    photo = np.array(open_image(Path(BUNDLED_CHECKPOINT) / "coffee.jpg").convert("RGB"))
    batches = [sample_images(photo, (1, side, side), description)]
    exporter = Exporter(model, description, [*batches, batches[0].flip(-1)])
    paths = {}
    for variant in variants:
        format, precision = variant.split(":")
        precision = "fp32" if precision == "bf16" else precision
        paths[variant] = folder / name / FILES[format, precision]
        if not paths[variant].exists():
            paths[variant].parent.mkdir(parents=True, exist_ok=True)
            exporter.write(format, precision, paths[variant])
    return model, paths


@torch.inference_mode()
def measure(name: str, side: int, variants: list[str], threads: int, runs: int, folder: Path) -> list[dict]:
    torch.set_num_threads(threads)
    with torch.inference_mode(False):
        model, paths = write_files(name, side, variants, folder)
    runners = {"pytorch eager": lambda values: model(values).predicted_depth}
    for variant, path in paths.items():
        with quiet_exporters():
            if variant == "openvino:bf16":
                runners[variant] = open_openvino(path, threads, "bf16")  # the float32 file
            else:
                runners[variant] = open_file(variant.split(":")[0], path, threads)
    values = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    times, outputs = {variant: [] for variant in runners}, {}
    for step in range(runs + 1):
        for variant, runner in runners.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            outputs[variant] = runner(values)
            if step:
                times[variant].append((time.perf_counter() - start, time.process_time() - start_cpu))
    expected = outputs["pytorch eager"]
    results = []
    least = {variant: [min(column) for column in zip(*rows)] for variant, rows in times.items()}
    for variant, (seconds, cpu_seconds) in least.items():
        difference = (outputs[variant] - expected).abs() / (expected.max() - expected.min())
        size = sum(file.stat().st_size for file in parts(paths[variant])) if variant in paths else None
        results.append(
            {
                "model": name,
                "side": side,
                "threads": threads,
                "variant": variant,
                "seconds": seconds,
                "ratio": least["pytorch eager"][0] / seconds,
                "cpu_seconds": cpu_seconds,
                "cpu_ratio": least["pytorch eager"][1] / cpu_seconds,
                "bytes": size,
                "mean_error": difference.mean().item(),
            }
        )
    return results


def table(results: list[dict]) -> str:
    """A line for each model and variant: wall-clock seconds and ratio by number of threads, size, mean error."""
    threads = sorted({result["threads"] for result in results})
    header = ["model", "file", *(f"{count} thread{'s' * (count > 1)}, seconds (times as fast)" for count in threads)]
    found: dict[tuple, dict[int, dict]] = {}
    for result in results:
        found.setdefault((result["model"], result["variant"]), {})[result["threads"]] = result
    rows = [[*header, "MB", "mean error"]]
    for (model, variant), runs in found.items():
        times = [f"{runs[count]['seconds']:.3f} ({runs[count]['ratio']:.2f})" for count in threads]
        file = runs[threads[0]]
        size, error = (f"{file['bytes'] / 1e6:.1f}", f"{file['mean_error']:.1e}") if file["bytes"] else ("", "")
        rows.append([f"`{model}`", f"`{variant}`", *times, size, error])
    return markdown_table(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=preset_names(), metavar="PRESET")
    known = [*map(":".join, FILES), "openvino:bf16"]
    parser.add_argument("--variants", nargs="+", default=VARIANTS, choices=known, metavar="FORMAT:PRECISION")
    parser.add_argument("--size", type=int, default=512, help="side; taken to the next multiple of the patch size")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5, help="the fastest counts")
    parser.add_argument("--files", type=Path, help="folder to keep the exported files in (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--table", type=Path, nargs="+", help="print the results of such files as a table and end")
    args = parser.parse_args()
    if args.table:
        results = [result for path in args.table for result in json.loads(path.read_text())["results"]]
        return print(table(results))
    if args.json and args.json.exists():
        sys.exit(f"{args.json} exists: give another name for --json.")
    versions = package_versions(("torch", "onnxruntime", "openvino", "nncf"))
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + f"; least of {args.runs} runs")
    print(
        "model                     side threads variant              seconds ratio  processor ratio     MB mean error"
    )
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.models:
            patch = preset_config(name).patch_size
            side = -(-args.size // patch) * patch
            for threads in args.threads:
                folder = args.files or Path(temporary)
                for result in measure(name, side, args.variants, threads, args.runs, folder):
                    results.append(result)
                    row = "{model:<25} {side:<4} {threads:<7} {variant:<20} {seconds:>7.3f} {ratio:>5.2f}"
                    row += " {cpu_seconds:>12.3f} {cpu_ratio:>6.2f}"
                    megabytes = "" if result["bytes"] is None else f"{result['bytes'] / 1e6:.1f}"
                    print(row.format(**result), f"{megabytes:>6} {result['mean_error']:>12.1e}", flush=True)
    if args.json:
        facts = {"versions": versions, "runs": args.runs, "cpus": os.cpu_count()}
        atomic_write_json(args.json, {**facts, "results": results})


if __name__ == "__main__":
    main()
