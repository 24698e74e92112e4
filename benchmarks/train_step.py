"""Training steps with the encoder frozen, as AnyDepth runs them, beside a plain loop that keeps it in autograd.

Both modes train the head alone, with random weights, in bf16 autocast, on random images; `benchmarks.gpu` runs them.
"""

import gc
import statistics
import time

import torch

from anydepth_hf import AnyDepthForDepthEstimation
from anydepth_hf.presets import preset_config

MODES = {"frozen": True, "in autograd": False}


class Steps:
    """One model with its optimizer; calling it makes one training step on `batch_size` random images."""

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


def release(device: torch.device) -> None:
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
