"""What a person watches of a run: losses, progress bar, images per second, time spent waiting for data."""

import math
import time
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from training.trainer.schedule import Clock


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


class Meter:
    """
    Progress bar in steps, or in minutes for a run of given wall time, and the rates since the last `read`.

    Attributes:
        images: counted by the training step, over all processes.
    """

    def __init__(self, clock: Clock, shown: bool = False):
        self.clock = clock
        self.images, self._waited, self._start, self._first_step = 0, 0.0, time.perf_counter(), clock.step
        if clock.max_minutes:
            self._bar = tqdm(total=clock.max_minutes, initial=clock.minutes, disable=not shown, unit="min")
            self._bar.bar_format = "{l_bar}{bar}| {n:.1f}/{total_fmt} min{postfix}"
        else:
            self._bar = tqdm(total=clock.total_steps, initial=clock.step, disable=not shown, unit="step")

    def __enter__(self) -> "Meter":
        self.restart()
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    @contextmanager
    def waiting(self):
        """Time inside is time that the training waits for data."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def update(self) -> None:
        """Moves the bar to where the clock is."""
        done = self.clock.progress * self.clock.max_minutes if self.clock.max_minutes else self.clock.step
        self._bar.update(done - self._bar.n)

    def read(self) -> dict[str, float]:
        """Rates since the last call; call it after something that waited for the device."""
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        steps = max(self.clock.step - self._first_step, 1)
        rates = {
            "images_per_second": self.images / elapsed,
            "seconds_per_step": elapsed / steps,
            "data_share": self._waited / elapsed,
        }
        self.restart()
        return rates

    def restart(self) -> None:
        self.images, self._waited, self._start, self._first_step = 0, 0.0, time.perf_counter(), self.clock.step

    def show(self, loss: float) -> None:
        self._bar.set_postfix(loss=f"{loss:.4f}")
