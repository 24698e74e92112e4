"""Exponential moving average of what is trained."""

from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class WeightAverage:
    """
    Float32 average of a model's trainable parameters and running statistics; what is frozen is not copied.

    The decay starts low, min(decay, (1 + n) / (10 + n)) after n updates, so that the random start is forgotten.

    Args:
        model: the unwrapped model. Sharded parameters (FSDP, DeepSpeed) are not supported.
        decay: of one update; 0.999 averages over about a thousand steps.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        trained_modules = {name.rpartition(".")[0] for name in parameters}
        statistics = {
            name: value
            for name, value in model.named_buffers()
            if value.is_floating_point() and name.rpartition(".")[0] in trained_modules
        }
        self._live = {**parameters, **statistics}
        self._average = {name: value.detach().float().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        live = [value.detach().float() for value in self._live.values()]
        torch._foreach_lerp_(list(self._average.values()), live, 1 - decay)

    @contextmanager
    def applied(self):
        """Within, the model has the averaged weights."""
        backup = {name: value.detach().clone() for name, value in self._live.items()}
        self._copy_to_model(self._average)
        try:
            yield
        finally:
            self._copy_to_model(backup)

    @torch.no_grad()
    def _copy_to_model(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in self._live.items():
            value.copy_(values[name])

    def save(self, path: Path) -> None:
        average = {name: value.contiguous() for name, value in self._average.items()}  # maybe channels_last
        save_file(average, path, metadata={"updates": str(self.updates)})

    def load(self, path: Path, updates: int) -> None:
        stored = load_file(path)
        for name, value in self._average.items():
            value.copy_(stored[name])
        self.updates = updates
