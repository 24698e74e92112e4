"""What a person watches of a run: losses, progress bar, images per second, time spent waiting for data; its record."""

import json
import math
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from anydepth_hf.atomic_write import atomic_write_json, atomic_write_text, remove_leftovers
from training.data.decoding import DataError
from training.trainer.schedule import Clock


class NonFiniteLoss(RuntimeError):
    """The loss is NaN or infinite; the message names the step and the samples."""


class NoLabels(DataError):
    """No pixel of many samples has a depth that the loss would compare; the message names the options."""


class LossWindow:
    """
    Collects one loss per forward pass without waiting for the device; `flush` reads them all in one transfer.

    Args:
        means: losses that a resumed run had not yet logged.
        far: depth beyond it is no label.
        passes: forward passes in an epoch, or in the run; a run in which so many, or `PATIENCE`, had no label ends.
    """

    PATIENCE = 10

    def __init__(self, accelerator: Accelerator, means: list[float], far: float, passes: int):
        self.accelerator, self.far, self.patience = accelerator, far, max(1, min(self.PATIENCE, passes))
        self.means = means  # over the processes, one for each forward pass
        self._passes: list[torch.Tensor] = []
        self._samples: list[tuple[int, list[str]]] = []
        self._without_labels, self._largest = 0, 0.0
        self._has_labels = False

    def add(self, loss: torch.Tensor, labels: torch.Tensor, step: int, names: list[str]) -> None:
        depth = torch.where(labels.isfinite(), labels, 0)
        labelled = ((depth > 0) & (depth <= self.far)).any()
        self._passes.append(torch.stack([loss.detach().float(), labelled.float(), depth.amax().float()]))
        self._samples.append((step, names))

    def flush(self) -> list[float]:
        """
        All losses since `clear`, averaged over the processes. Every process calls this.

        Raises:
            NonFiniteLoss: on every process, with the names of the samples of the first batch that gave one.
            NoLabels: on every process.
        """
        if self._passes:
            gathered = self.accelerator.gather(torch.stack(self._passes)[None]).double().cpu()
            losses, labelled, largest = gathered.unbind(-1)
            finite = losses.isfinite()
            if not finite.all():
                first = int((~finite).any(dim=0).nonzero()[0])
                step, names = self._samples[first]
                own = names if not finite[self.accelerator.process_index, first] else []
                raise NonFiniteLoss(
                    f"the loss of step {step + 1} is not finite. Its samples: {', '.join(gather_object(list(own)))}. "
                    "Nothing was saved since; look at these samples, or lower --learning_rate or use bf16"
                )
            self._count_labels(bool(labelled.any()), float(largest.max()))
            self.means += losses.mean(dim=0).tolist()
            self._passes, self._samples = [], []
        return self.means

    def _count_labels(self, labelled: bool, largest: float) -> None:
        self._has_labels |= labelled
        self._without_labels += len(self._passes)
        self._largest = max(self._largest, largest)
        if self._has_labels or self._without_labels < self.patience:
            return
        if self._largest:
            reason = f"all depths are beyond the far plane of {self.far:g}, the largest is {self._largest:g}"
            advice = "give its unit in --dataset, e.g. depth_scale=1000 for millimetres, or raise --far_plane"
        else:
            reason = "every depth is 0, negative, infinite or NaN"
            advice = "look at the files, or at depth_scale, quantity and far_plane in --dataset"
        raise NoLabels(
            f"nothing to learn from: of the first {self._without_labels} batches, such as "
            f"{self._samples[0][1][0]}, {reason}; {advice}"
        )

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
        self.restart()
        if clock.max_minutes:
            self._bar = tqdm(total=clock.max_minutes, initial=clock.minutes, disable=not shown, unit="min")
            self._bar.bar_format = "{l_bar}{bar}| {n:.1f}/{total_fmt} min{postfix}"
        else:
            self._bar = tqdm(total=clock.total_steps, initial=clock.step, disable=not shown, unit="step")

    def close(self) -> None:
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


def write_record(directory: Path, config: str, environment: dict) -> None:
    """`training_config.yaml` and `run.json`, which keeps the earlier starts of a resumed run."""
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)
    atomic_write_text(directory / "training_config.yaml", config)
    path = directory / "run.json"
    try:
        starts = list(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # none yet, or damaged: no reason not to train
        starts = []
    atomic_write_json(path, [*starts, environment])


class MetricsFile:
    """`metrics.jsonl`: a JSON object per line, each with its `step`. A resumed run drops what it will write again."""

    def __init__(self, path: Path, resumed_step: int | None):
        self.path = path
        kept = []
        if resumed_step is not None and path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= resumed_step]
        atomic_write_text(path, "".join(line + "\n" for line in kept))

    def append(self, values: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def read(self) -> list[dict]:
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):  # the last line of a killed run may be cut
        return float("inf")
