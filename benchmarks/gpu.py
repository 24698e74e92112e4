"""Everything that has to be measured on one GPU, in parts that fail alone; results are JSON files for docs/results.md.

    bash benchmarks/gpu.sh                      # at most eight minutes on one H100; nothing is downloaded
    bash benchmarks/gpu.sh --smoke              # the same code on the CPU, at sizes that say nothing
    python -m benchmarks.gpu --part heads-bfloat16 --output DIR

Each part is a process of its own with random weights, and writes `OUTPUT/PART.json` when it ends: its records, or why
there are none. What runs out of time is killed, and the rest goes on.
"""

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from anydepth_hf import AnyDepthForDepthEstimation
from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.benchmark import DTYPES, build, decoder_call, input_size, latencies, model_config
from anydepth_hf.benchmark_report import PUBLISHED_EFFICIENCY
from anydepth_hf.environment import describe_device
from anydepth_hf.presets import preset_config
from anydepth_hf.programs import Mistakes, Parser

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results/gpu"
SIZES = (256, 512, 1024)
MODELS = (
    "dinov3-small-sdt-compact",
    "dinov3-small-sdt",
    "dinov3-base-sdt",
    "dinov3-large-sdt",
    "depth-anything-v2-small",
)
COMPILED = ("dinov3-small-sdt-compact", "dinov3-small-sdt", "depth-anything-v2-small")
TRAINING_MODES = {"frozen": True, "in autograd": False}
"""Whether the encoder is frozen, as AnyDepth trains, or kept in autograd, as in a plain loop."""


@torch.inference_mode()
def timed(functions: dict[str, Callable], device: torch.device, runs: int) -> dict[str, dict]:
    """Median and deviation in milliseconds and, on a GPU, the peak of memory that one call adds, in MiB."""
    result = {}
    times = latencies(functions, device, runs, 3)
    for name, function in functions.items():
        peak = None
        if device.type == "cuda":
            before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            function()
            peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20
        result[name] = {"ms": times[name][0], "ms_std": times[name][1], "peak_mib": peak}
    return result


def heads(device: torch.device, smoke: bool, dtype: str) -> list[dict]:
    """SDT's inference path, its layers one by one, and the paper's DPT on a ViT-L's features: the paper's Table 4,
    which does not say in which type of numbers."""
    encoder, sizes = ("small", (64,)) if smoke else ("large", SIZES)
    sdt = build(model_config(f"dinov3-{encoder}-sdt"), device, DTYPES[dtype])
    dpt = build(model_config(f"dinov3-{encoder}-dpt"), device, DTYPES[dtype])
    records = []
    for size in sizes:
        pixel_values = torch.randn(1, 3, size, size, device=device, dtype=DTYPES[dtype])
        calls = {}
        for path, fast in (("SDT, inference path", True), ("SDT, layers", False)):
            calls[path] = partial(_sdt, decoder_call(sdt, pixel_values), sdt.head, fast)
        calls["DPT of the paper"] = decoder_call(dpt, pixel_values)
        with torch.inference_mode():
            exact, layers = (calls[name]()[0].float() for name in list(calls)[:2])
        difference = float((exact - layers).abs().max())
        for name, figures in timed(calls, device, 3 if smoke else 30).items():
            published = PUBLISHED_EFFICIENCY[f"dinov3-large-{name[:3].lower()}"]
            paper = None if smoke else float(published[size][1].split()[0])
            records.append(
                {"head": name, "size": size, "dtype": dtype, "encoder": encoder, "paper_ms": paper, **figures}
            )
        records[-3]["max_difference_from_layers"] = difference
    return records


def _sdt(call: Callable, head, fast: bool):
    head.fast_inference = fast
    return call()


def models(device: torch.device, smoke: bool, batch_size: int, mode: str) -> list[dict]:
    """Whole models at equal pixels in bf16: eager, channels last, compiled, or with CUDA graphs."""
    size, runs = (64, 2) if smoke else (512, 20)
    names = MODELS if mode in ("eager", "channels last") else COMPILED
    names = names[:1] if smoke else names
    channels_last = mode != "eager"
    compile_mode = {"compiled": "default", "CUDA graphs": "reduce-overhead"}.get(mode)
    functions, sizes = {}, {}
    for name in names:
        config = model_config(name)
        model = build(config, device, torch.bfloat16, channels_last)
        if compile_mode:
            model = torch.compile(model, mode=compile_mode, dynamic=False)
        sizes[name] = input_size(config, size)
        shape = (batch_size, 3, sizes[name], sizes[name])
        pixel_values = torch.randn(shape, device=device, dtype=torch.bfloat16)
        if channels_last:
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        functions[name] = partial(model, pixel_values=pixel_values)
    return [
        {"model": name, "size": sizes[name], "batch_size": batch_size, "mode": mode, "dtype": "bfloat16", **figures}
        for name, figures in timed(functions, device, runs).items()
    ]


class Steps:
    """A model whose head is trained with bf16 autocast; a call is one step on `batch_size` random images."""

    def __init__(self, preset: str, frozen: bool, size: int, device: torch.device):
        torch.manual_seed(0)
        self.model = AnyDepthForDepthEstimation(preset_config(preset, freeze_backbone=frozen)).to(device)
        self.model.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.model.head.parameters())
        self.size, self.device = size, device

    def __call__(self, batch_size: int) -> None:
        shape = (self.size, self.size)
        pixel_values = torch.randn(batch_size, 3, *shape, device=self.device)
        labels = torch.rand(batch_size, *shape, device=self.device) + 1
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = self.model(pixel_values, labels=labels).loss
        loss.backward()
        self.optimizer.step()
        self.model.zero_grad()

    def timed(self, batch_size: int) -> float:
        started = time.perf_counter()
        self(batch_size)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started


def free_memory(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def largest_batch(preset: str, frozen: bool, size: int, device: torch.device, limit: int) -> int:
    """Largest power of two that one step fits into the device's memory; `limit` at most."""
    steps, batch_size = Steps(preset, frozen, size, device), 1
    while batch_size < limit:
        try:
            steps(2 * batch_size)
        except torch.OutOfMemoryError:
            break
        finally:
            steps.model.zero_grad()
            free_memory(device)
        batch_size *= 2
    return batch_size


def training(device: torch.device, smoke: bool, encoder: str) -> list[dict]:
    """Median images per second and a step's peak memory in both modes, at one batch size and at each's largest."""
    preset, size, limit = f"dinov3-{encoder}-sdt", 64 if smoke else 768, 1 if smoke else 256
    largest = {mode: largest_batch(preset, frozen, size, device, limit) for mode, frozen in TRAINING_MODES.items()}
    common = dict.fromkeys(TRAINING_MODES, min(largest.values()))
    records = []
    for batch, batches in (("same", common), ("largest", largest)):
        for mode, batch_size in batches.items():
            steps = Steps(preset, TRAINING_MODES[mode], size, device)
            steps(batch_size)
            free_memory(device)
            steps(batch_size)
            peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
            rate = batch_size / statistics.median(steps.timed(batch_size) for _ in range(1 if smoke else 5))
            record = {"preset": preset, "size": size, "batch": batch, "mode": mode, "batch_size": batch_size}
            records.append({**record, "images_per_second": rate, "peak_memory_gib": peak})
            del steps
            free_memory(device)
    return records


PARTS: dict[str, Callable[[torch.device, bool], list[dict]]] = {
    "heads-bfloat16": partial(heads, dtype="bfloat16"),
    "heads-float32": partial(heads, dtype="float32"),
    "models-1-eager": partial(models, batch_size=1, mode="eager"),
    "models-1-channels-last": partial(models, batch_size=1, mode="channels last"),
    "models-8-eager": partial(models, batch_size=8, mode="eager"),
    "models-8-channels-last": partial(models, batch_size=8, mode="channels last"),
    "training-small": partial(training, encoder="small"),
    "training-base": partial(training, encoder="base"),
    "training-large": partial(training, encoder="large"),
    "models-1-cuda-graphs": partial(models, batch_size=1, mode="CUDA graphs"),
    "models-8-compiled": partial(models, batch_size=8, mode="compiled"),
    "models-1-compiled": partial(models, batch_size=1, mode="compiled"),
    "models-8-cuda-graphs": partial(models, batch_size=8, mode="CUDA graphs"),
}
"""What is measured, the most wanted first."""


def run_part(name: str, device: torch.device, smoke: bool) -> dict:
    """One part's result, in this process."""
    start = time.perf_counter()
    torch.manual_seed(0)
    result = {"part": name, "smoke": smoke, "environment": describe_device(device)}
    records = PARTS[name](device, smoke)
    return {**result, "seconds": round(time.perf_counter() - start, 1), "records": records}


def run_all(names: list[str], output: Path, device: str, smoke: bool, minutes: float, part_seconds: float) -> int:
    """All parts, one process after the other, within the time; the number of those without records."""
    deadline, failed = time.monotonic() + 60 * minutes, 0
    output.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = output / f"{name}.json"
        left = deadline - time.monotonic()
        error = None
        if left < 5:
            error = f"not begun: the {minutes:g} minutes were over"
        else:
            command = [sys.executable, "-m", "benchmarks.gpu", "--part", name, "--output", str(output)]
            command += ["--device", device, *(["--smoke"] if smoke else [])]
            path.unlink(missing_ok=True)
            try:
                limit = min(left, part_seconds)
                process = subprocess.run(command, cwd=ROOT, timeout=limit, capture_output=True, text=True)
                if process.returncode or not path.exists():
                    error = " ".join(process.stderr.strip().splitlines()[-3:]) or f"exit status {process.returncode}"
            except subprocess.TimeoutExpired:
                error = f"stopped after {limit:.0f} s"
        if error is not None:
            failed += 1
            result = {"part": name, "smoke": smoke, "environment": describe_device(device), "error": error}
            atomic_write_json(path, result)
        print(f"{name}: {error or 'done'}", flush=True)
    return failed


def main(argv: list[str] | None = None) -> int:
    """Measures; 0, 1 where nothing was measured, 2 after a mistake."""
    with Mistakes("gpu.py") as ending:
        return run(argv)
    return ending.status


def run(argv: list[str] | None) -> int:
    parser = Parser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--part", choices=PARTS, help="one part, in this process (default: all of --parts)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--output", type=Path, help=f"folder of the results (default: {RESULTS.relative_to(ROOT)})")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="(default: cuda; cpu with --smoke)")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes: shows that everything runs, measures nothing"
    )
    parser.add_argument("--minutes", type=float, default=8, help="for all parts together")
    parser.add_argument("--part-seconds", type=float, default=150, help="for any one part")
    args = parser.parse_args(argv)
    device = args.device or ("cpu" if args.smoke else "cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("PyTorch sees no CUDA device; --smoke runs on the CPU.")
    if args.smoke and args.output is None:
        raise ValueError("--smoke needs --output: its figures do not belong among the results.")
    output = (args.output or RESULTS).resolve()
    if args.part:
        output.mkdir(parents=True, exist_ok=True)
        result = run_part(args.part, torch.device(device), args.smoke)
        atomic_write_json(output / f"{args.part}.json", result)
        return 0
    failed = run_all(args.parts, output, device, args.smoke, args.minutes, args.part_seconds)
    print(f"{len(args.parts) - failed} of {len(args.parts)} parts measured, in {output}")
    return int(failed == len(args.parts))


if __name__ == "__main__":
    sys.exit(main())
