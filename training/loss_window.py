"""Losses since the last log line, kept on the device until they are wanted."""

import math

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object


class NonFiniteLoss(RuntimeError):
    """The loss is NaN or infinite; the message names the step and the samples."""


class LossWindow:
    """Collects one loss per forward pass without waiting for the device; `flush` reads them all in one transfer."""

    def __init__(self, accelerator: Accelerator, means: list[float]):
        self.accelerator = accelerator
        self.means = means  # over the processes, one for each forward pass
        self._losses: list[torch.Tensor] = []
        self._samples: list[tuple[int, list[str]]] = []

    def add(self, loss: torch.Tensor, step: int, names: list[str]) -> None:
        self._losses.append(loss.detach())
        self._samples.append((step, names))

    def flush(self) -> list[float]:
        """
        All losses since `clear`, averaged over the processes. Every process calls this.

        Raises:
            NonFiniteLoss: on every process, with the names of the samples of the first batch that gave one.
        """
        if self._losses:
            gathered = self.accelerator.gather(torch.stack(self._losses)[None]).double().cpu()
            finite = gathered.isfinite()
            if not finite.all():
                first = int((~finite).any(dim=0).nonzero()[0])
                step, names = self._samples[first]
                own = names if not finite[self.accelerator.process_index, first] else []
                raise NonFiniteLoss(
                    f"the loss of step {step + 1} is not finite. Its samples: {', '.join(gather_object(list(own)))}. "
                    "Nothing was saved since; look at these samples, or lower --learning_rate or use bf16"
                )
            self.means += gathered.mean(dim=0).tolist()
            self._losses, self._samples = [], []
        return self.means

    def clear(self) -> float:
        """The mean since the last call."""
        mean = math.fsum(self.means) / len(self.means)
        self.means = []
        return mean
