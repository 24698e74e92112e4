"""Training steps of the paper's SDT head on CPU: the training path beside the layers, in time and peak memory.

OMP_NUM_THREADS=1 python benchmarks/train_head.py --sizes 256 512 --rounds 3

Each path runs in a process of its own, the two in turn. Seconds are the process's CPU time (other processes disturb it
least) of forward and backward for one image of float32 features, the least over the rounds; memory is what the process
grows by, gradients included. `benchmarks/train_step.py` measures steps of whole models.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from anydepth_hf import SDTHead
from anydepth_hf.atomic_write import atomic_write_json

PATHS = ("layers", "training path")
IN_CHANNELS, PATCH_SIZE = 384, 16


def memory(name: str) -> float:
    """A counter of Linux for this process, in MiB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def step(head: SDTHead, side: int) -> float:
    """CPU seconds of one training step at a patch grid of `side` x `side`."""
    maps = [torch.randn(1, IN_CHANNELS, side, side) for _ in range(4)]
    tokens = [torch.randn(1, IN_CHANNELS) for _ in range(4)]
    started = time.process_time()
    head(maps, tokens).square().mean().backward()
    return time.process_time() - started


def measure(path: str, size: int):
    """Prints the figures of one path as JSON; runs in a process of its own."""
    torch.manual_seed(0)
    head = SDTHead(IN_CHANNELS).train()
    head.fast_training = path == "training path"
    step(head, 2)
    before = memory("VmRSS")
    seconds = step(head, size // PATCH_SIZE)
    print(json.dumps({"seconds": seconds, "mib": memory("VmHWM") - before}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="sides of the square images")
    parser.add_argument("--rounds", type=int, default=3, help="times that both paths run in turn")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--measure", nargs=2, metavar=("PATH", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(args.measure[0], int(args.measure[1]))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    print(f"{'size':>5} {'path':14} {'CPU s':>7} {'ratio':>6} {'MiB':>6} {'ratio':>6}")
    report = {"torch": torch.__version__, "threads": torch.get_num_threads(), "sizes": {}}
    for size in args.sizes:
        runs = {path: [] for path in PATHS}
        for _ in range(args.rounds):
            for path in PATHS:
                command = [sys.executable, __file__, "--measure", path, str(size)]
                finished = subprocess.run(command, check=True, capture_output=True, text=True)
                runs[path].append(json.loads(finished.stdout))
        best = {path: {key: min(run[key] for run in runs[path]) for key in ("seconds", "mib")} for path in PATHS}
        report["sizes"][size] = best
        for path, figures in best.items():
            time_ratio, memory_ratio = (figures[key] / best["layers"][key] for key in ("seconds", "mib"))
            print(
                f"{size:5} {path:14} {figures['seconds']:7.2f} {time_ratio:6.2f} {figures['mib']:6.0f} "
                f"{memory_ratio:6.2f}",
                flush=True,
            )
    if args.output:
        atomic_write_json(args.output, report)


if __name__ == "__main__":
    main()
