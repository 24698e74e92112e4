"""Refuses predictions on CPU that cannot fit into memory, before hours of work and the end by the system."""

import re
from pathlib import Path

import torch
from torch import nn

# Smaller predictions are not looked at: they cost less than what changes from one moment to the next.
NEGLIGIBLE = 2**30
# Values that a block of a ViT holds at once, in multiples of its width: input, norm, MLP and the exported levels.
ENCODER_VALUES = 20


def available_memory() -> float:
    """Bytes that this process can still use, as far as Linux tells: free memory, its address space, its group."""
    limits = [float("inf")]
    try:
        limits.append(1024 * int(re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[1]))
        address_space = Path("/proc/self/limits").read_text()
        if limit := re.search(r"Max address space\s+(\d+)", address_space):
            used = re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]
            limits.append(int(limit[1]) - 1024 * int(used))
        group = Path("/sys/fs/cgroup")
        limits.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError, TypeError):
        pass  # another system, or no limit
    return min(limits)


def required_memory(model: nn.Module, pixel_values: torch.Tensor) -> int:
    """Bytes that an `AnyDepthForDepthEstimation` needs at least for a batch: its encoder or, if larger, its SDT head.
    0 for other models.

    The head takes one image at a time; the input and the result of its last upsampling step but one are whole maps.
    """
    if model.config.model_type != "anydepth":
        return 0
    batch_size, _, height, width = pixel_values.shape
    patches = height * width // model.config.patch_size**2
    values = ENCODER_VALUES * model.config.backbone_config.hidden_size * batch_size * patches
    if hasattr(model.head, "stages"):
        widths = [stage[1].out_channels for stage in model.head.stages()]
        before, after = 4 ** (len(widths) - 2) * widths[-3], 4 ** (len(widths) - 1) * widths[-2]
        values = max(values, patches * (before + after))
    return pixel_values.element_size() * values


def check_memory(model: nn.Module, pixel_values: torch.Tensor):
    """Raises ValueError where the batch needs more memory than there is."""
    required = required_memory(model, pixel_values)
    if required > NEGLIGIBLE and required > (available := available_memory()):
        height, width = pixel_values.shape[-2:]
        raise ValueError(
            f"Predicting {len(pixel_values)} image(s) of {height}x{width} takes at least {required / 2**30:.1f} GiB "
            f"of memory, and {max(0, available) / 2**30:.1f} GiB are available: use smaller images (`size` of the "
            "image processor), fewer at once, or a compact head."
        )
