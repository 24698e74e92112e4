"""The SDT head's own paths beside its layers, which stand for the original: time, memory, difference.

    OMP_NUM_THREADS=1 python -m benchmarks.sdt_head --sizes 512 1024 --dtypes float32 bfloat16
    OMP_NUM_THREADS=1 python -m benchmarks.sdt_head --training --sizes 256 512

Features of one image, random weights of the paper's widths; `--training` measures forward and backward in float32.
Every run is a process of its own, the paths take turns, and the least of the runs counts. Seconds are processor time,
which other processes disturb least; memory is what the process grows by, weights prepared for inference and gradients
included. Every ratio is to the layers in float32. `benchmarks/gpu.py` measures steps of whole models.
"""

import argparse
import multiprocessing
import re
import time
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from anydepth_hf import SDTHead
from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.benchmark import DTYPES


def build(fast: bool, dtype: torch.dtype, training: bool) -> SDTHead:
    torch.manual_seed(0)
    head = SDTHead(384).train(training).to(dtype)
    head.fast_inference = head.fast_training = fast
    return head


def levels(size: int, dtype: torch.dtype, device: str = "cpu") -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(1, 384, size // 16, size // 16, generator=generator) for _ in range(4)]
    tokens = [torch.randn(1, 384, generator=generator) for _ in range(4)]
    return tuple([value.to(device, dtype) for value in values] for values in (maps, tokens))


def convolution_peak(dtype: torch.dtype, runs: int) -> float:
    """FLOPs per second of the 3x3 convolution of 256 channels that the head spends its time in."""
    features = torch.randn(1, 256, 130, 130).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(dtype, memory_format=torch.channels_last)
    times = []
    for _ in range(runs + 2):
        start = time.process_time()
        F.conv2d(features, weight)
        times.append(time.process_time() - start)
    return 2 * 9 * 256 * 256 * 128 * 128 / min(times[2:])


def flops(size: int) -> int:
    with torch.device("meta"):
        head = SDTHead(384).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head(*levels(size, torch.float32, "meta"))
    return counter.get_total_flops()


def resident(name: str) -> float:
    """A counter of Linux for this process, in MiB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def call(head: SDTHead, size: int, dtype: torch.dtype) -> torch.Tensor:
    """One prediction, or one training step, of features of `size` pixels."""
    inputs = levels(size, dtype)
    if not head.training:
        with torch.inference_mode():
            return head(*inputs)
    output = head(*inputs)
    output.square().mean().backward()
    return output.detach()


def measure(fast: bool, dtype: torch.dtype, size: int, training: bool, threads: int) -> dict:
    """Seconds of the second call, what the first one takes of memory, and its output; for a process of its own."""
    torch.set_num_threads(threads)
    call(build(False, dtype, training), 32, dtype)  # kernels and libraries
    head = build(fast, dtype, training)
    before = resident("VmRSS")
    output = call(head, size, dtype).float().numpy()
    mib = resident("VmHWM") - before
    start = time.process_time()
    call(head, size, dtype)
    return {"seconds": time.process_time() - start, "mib": mib, "output": output}


def compare(size: int, dtypes: list[str], runs: int, training: bool) -> list[dict]:
    """The figures of the layers and of the own path in each type, the layers first."""
    own = "training" if training else "inference"
    found: dict[tuple[str, str], list[dict]] = {("float32", "layers"): [], **{(name, own): [] for name in dtypes}}
    for _ in range(runs):
        for (name, path), done in found.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                arguments = (path == own, DTYPES[name], size, training, torch.get_num_threads())
                done.append(pool.apply(measure, arguments))
    results: list[dict] = []
    work = None if training else flops(size)
    exact = found["float32", "layers"][0]["output"]
    for (name, path), done in found.items():
        seconds, mib = (min(run[key] for run in done) for key in ("seconds", "mib"))
        result = {"size": size, "dtype": name, "path": path, "seconds": seconds, "memory_mib": mib}
        layers = results[0] if results else result
        result |= {"ratio": seconds / layers["seconds"], "memory_ratio": mib / layers["memory_mib"]}
        result["max_difference"] = float(abs(done[0]["output"] - exact).max())
        if work is not None:
            result["share_of_peak"] = work / seconds / convolution_peak(DTYPES[name], runs)
        results.append(result)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512], help="sides of the image, multiples of 16")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--training", action="store_true", help="forward and backward, in float32")
    parser.add_argument("--runs", type=int, default=3, help="the least counts")
    parser.add_argument("--json", help="file for the results")
    args = parser.parse_args()
    if any(size < 16 or size % 16 for size in args.sizes):
        parser.error("--sizes must be multiples of 16")
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}")
    print("size   dtype     path       seconds  ratio  of conv peak  max diff   memory MiB  ratio")
    results = []
    for size in args.sizes:
        for result in compare(size, ["float32"] if args.training else args.dtypes, args.runs, args.training):
            results.append(result)
            share = f"{result['share_of_peak']:.0%}" if "share_of_peak" in result else "-"
            row = "{size:<6} {dtype:<9} {path:<10} {seconds:7.3f} {ratio:6.2f} {share:>10} {max_difference:14.1e}"
            print((row + "{memory_mib:12.0f} {memory_ratio:6.2f}").format(share=share, **result), flush=True)
    if args.json:
        atomic_write_json(args.json, results)


if __name__ == "__main__":
    main()
