"""The SDT head's inference path beside its layers, which stand for the original: time, memory, difference.

OMP_NUM_THREADS=1 python benchmarks/fast_head.py --sizes 512 1024 --dtypes float32 bfloat16

Both run in turns in one process at random weights of the paper's widths; memory is the growth of the resident memory
of a process of its own, weights prepared for inference included. Every ratio is to the layers in float32.
"""

import argparse
import multiprocessing
import os
import re
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from anydepth_hf import SDTHead
from anydepth_hf.atomic_write import atomic_write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def build(fast: bool, dtype: torch.dtype) -> SDTHead:
    torch.manual_seed(0)
    head = SDTHead(384).eval().to(dtype)
    head.fast_inference = fast
    return head


def levels(size: int, dtype: torch.dtype, device: str = "cpu") -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(1, 384, size // 16, size // 16, generator=generator) for _ in range(4)]
    tokens = [torch.randn(1, 384, generator=generator) for _ in range(4)]
    return tuple([value.to(device, dtype) for value in values] for values in (maps, tokens))


def convolution_peak(dtype: torch.dtype, runs: int, clock) -> float:
    """FLOPs per second of the 3x3 convolution of 256 channels that the head spends its time in."""
    features = torch.randn(1, 256, 130, 130).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3).to(dtype, memory_format=torch.channels_last)
    times = []
    for _ in range(runs + 2):
        start = clock()
        F.conv2d(features, weight)
        times.append(clock() - start)
    return 2 * 9 * 256 * 256 * 128 * 128 / min(times[2:])


def flops(size: int) -> int:
    with torch.device("meta"):
        head = SDTHead(384).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head(*levels(size, torch.float32, "meta"))
    return counter.get_total_flops()


def resident(name: str) -> int:
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@torch.inference_mode()
def memory_growth(size: int, dtype: torch.dtype, fast: bool, threads: int) -> int:
    torch.set_num_threads(threads)
    build(False, dtype)(*levels(32, dtype))  # kernels and libraries
    head, inputs = build(fast, dtype), levels(size, dtype)
    before = resident("VmRSS")
    head(*inputs)
    return resident("VmHWM") - before


@torch.inference_mode()
def measure(size: int, dtypes: list[str], runs: int, memory: bool, clock) -> list[dict]:
    heads = {("float32", "layers"): build(False, torch.float32)}
    heads |= {(name, "inference"): build(True, DTYPES[name]) for name in dtypes}
    times, outputs = {key: [] for key in heads}, {}
    for step in range(runs + 1):
        for (name, path), head in heads.items():
            inputs = levels(size, DTYPES[name])
            start = clock()
            outputs[name, path] = head(*inputs)
            if step:
                times[name, path].append(clock() - start)
    exact = outputs["float32", "layers"]
    reference = min(times["float32", "layers"])
    results = []
    for (name, path), values in times.items():
        result = {"size": size, "dtype": name, "path": path, "seconds": min(values), "ratio": min(values) / reference}
        result["share_of_peak"] = flops(size) / min(values) / convolution_peak(DTYPES[name], runs, clock)
        result["max_difference"] = (outputs[name, path].float() - exact).abs().max().item()
        if memory:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                arguments = (size, DTYPES[name], path == "inference", torch.get_num_threads())
                result["memory"] = pool.apply(memory_growth, arguments)
            result["memory_ratio"] = result["memory"] / (results[0]["memory"] if results else result["memory"])
        results.append(result)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512], help="multiples of 16")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--runs", type=int, default=5, help="the fastest counts")
    parser.add_argument("--cpu-time", action="store_true", help="processor time, for a machine shared with others")
    parser.add_argument("--no-memory", action="store_true", help="without the processes that measure memory (Linux)")
    parser.add_argument("--json", help="file for the results")
    args = parser.parse_args()
    if args.json and os.path.exists(args.json):
        sys.exit(f"{args.json} exists: give another name for --json.")
    if any(size < 16 or size % 16 for size in args.sizes):
        sys.exit("--sizes must be multiples of 16.")
    clock = time.process_time if args.cpu_time else time.perf_counter
    print(f"{torch.get_num_threads()} thread(s), torch {torch.__version__}")
    print("size   dtype     path       seconds  ratio  of conv peak  max diff   memory MiB  ratio")
    results = []
    for size in args.sizes:
        for result in measure(size, args.dtypes, args.runs, not args.no_memory, clock):
            results.append(result)
            row = "{size:<6} {dtype:<9} {path:<10} {seconds:7.3f} {ratio:6.2f} {share_of_peak:10.0%} "
            row += "{max_difference:14.1e}"
            if "memory" in result:
                row += f"{result['memory'] / 2**20:12.0f} {result['memory_ratio']:6.2f}"
            print(row.format(**result), flush=True)
    if args.json:
        atomic_write_json(args.json, results)


if __name__ == "__main__":
    main()
