"""`--profile_steps`: where the time of a training step goes."""

from collections.abc import Callable

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

REGIONS = ("data", "encoder", "head and loss", "backward", "optimizer")
WARMUP_STEPS = 3


def profile_training(trainer, training_step: Callable[[], None], steps: int) -> None:
    """
    Runs `steps` training steps after a few to warm up, and writes `profile.txt` (shares of the step, then the most
    expensive operations) and `trace.json` (for chrome://tracing or Perfetto) into the run's directory.
    """
    device = trainer.accelerator.device
    _mark_encoder(trainer.model)
    for _ in range(WARMUP_STEPS):
        training_step()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            training_step()
        if device.type == "cuda":
            torch.cuda.synchronize()
    if trainer.accelerator.is_main_process:
        averages = profiler.key_averages()
        table = averages.table(sort_by=f"self_{device.type}_time_total", row_limit=40, max_name_column_width=60)
        summary = step_shares(averages, steps, device.type)
        (trainer.directory / "profile.txt").write_text(f"{summary}\n{table}\n", encoding="utf-8")
        profiler.export_chrome_trace(str(trainer.directory / "trace.json"))
        print(summary)


def step_shares(averages, steps: int, device_type: str) -> str:
    """Milliseconds of each part of a step and its share; on a GPU those of its kernels, so that waiting is none."""
    attribute = "device_time_total" if device_type == "cuda" else "cpu_time_total"
    times = {event.key: getattr(event, attribute) / steps / 1e3 for event in averages}
    times["head and loss"] = times["forward"] - times["encoder"]
    total = sum(times[name] for name in REGIONS)
    return "\n".join(f"{name:<14} {times[name]:9.2f} ms {times[name] / total:7.1%}" for name in REGIONS)


def _mark_encoder(model: nn.Module) -> None:
    """Encloses every forward pass of `model.backbone` in a profiler region."""
    backbone = model.get_base_model().backbone if hasattr(model, "get_base_model") else model.backbone
    backbone.forward = record_function("encoder")(backbone.forward)
