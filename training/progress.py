"""What a person watches: progress bar, images per second, share of the time spent waiting for data."""

import time
from contextlib import contextmanager

from tqdm import tqdm

from training.schedule import Clock


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
