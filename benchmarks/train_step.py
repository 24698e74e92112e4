"""Training steps with the encoder frozen, as AnyDepth runs them, beside a plain loop that keeps it in autograd.

python benchmarks/train_step.py --presets dinov3-small-sdt dinov3-base-sdt --size 768 --output steps.json

Both modes train the head alone, with random weights, in bf16 autocast, on random images: at the same batch (the
largest that the plain loop fits), then each at its own largest.
"""

import argparse
import gc
import statistics
import time
from pathlib import Path

import torch

from anydepth_hf import AnyDepthForDepthEstimation
from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.environment import device_name
from anydepth_hf.presets import preset_config, preset_names

MODES = {"frozen": True, "in autograd": False}


class Steps:
    """One model with its optimizer; calling it makes one training step on `batch_size` random images."""

    def __init__(self, preset: str, frozen: bool, size: int, device: torch.device):
        torch.manual_seed(0)
        self.model = AnyDepthForDepthEstimation(preset_config(preset, freeze_backbone=frozen)).to(device)
        self.model.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(self.model.head.parameters())
        self.size, self.device = size, device

    def __call__(self, batch_size: int):
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


def release(device: torch.device):
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
            release(device)
        batch_size *= 2
    return batch_size


def measure(preset: str, batches: dict[str, int], size: int, device: torch.device, repeats: int) -> dict[str, dict]:
    """Median rate of the steps of both modes, one after the other, and the peak memory of one step."""
    result = {}
    for mode, batch_size in batches.items():
        steps = Steps(preset, MODES[mode], size, device)
        steps(batch_size)
        release(device)
        steps(batch_size)
        peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None
        seconds = statistics.median(steps.timed(batch_size) for _ in range(repeats))
        result[mode] = {"batch_size": batch_size, "images_per_second": batch_size / seconds, "peak_memory_gib": peak}
        del steps
        release(device)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["dinov3-small-sdt"], choices=preset_names())
    parser.add_argument("--size", type=int, default=768, help="side of the square images")
    parser.add_argument("--batch-limit", type=int, default=256, help="largest batch tried")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    device = torch.device(args.device)
    name = f"{device_name(device)}, {torch.get_num_threads()} threads"
    report = {"device": name, "torch": torch.__version__, "size": args.size, "dtype": "bfloat16", "presets": {}}
    print(f"{name}, {args.size}x{args.size}, bf16 autocast, torch {torch.__version__}")
    print(f"{'preset':20} {'encoder':12} {'batch':>6} {'images/s':>9} {'peak GiB':>9}")
    for preset in args.presets:
        largest = {
            mode: largest_batch(preset, frozen, args.size, device, args.batch_limit) for mode, frozen in MODES.items()
        }
        common = dict.fromkeys(MODES, min(largest.values()))
        results = [measure(preset, batches, args.size, device, args.repeats) for batches in (common, largest)]
        report["presets"][preset] = {"same batch": results[0], "largest batch": results[1]}
        for result in results:
            for mode, figures in result.items():
                peak = figures["peak_memory_gib"]
                print(
                    f"{preset:20} {mode:12} {figures['batch_size']:6} {figures['images_per_second']:9.1f} "
                    f"{'-' if peak is None else f'{peak:9.1f}':>9}",
                    flush=True,
                )
    if args.output:
        atomic_write_json(args.output, report)


if __name__ == "__main__":
    main()
