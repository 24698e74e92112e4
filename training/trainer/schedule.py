"""How far a run is, the learning rate that follows from it, and when to stop."""

import math
import signal
import time
from contextlib import contextmanager

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def learning_rate_factor(progress: float, schedule: str, warmup_ratio: float, power: float) -> float:
    """
    Factor in [0, 1] of the base learning rate: linear warm-up, then decay to 0 over what remains of the run.

    The decay starts where the warm-up ends, as in transformers' schedules, so that the base rate is reached.

    Args:
        progress: share of the run that is done, in [0, 1].
        schedule: "polynomial" ((1 - t) ** power), "cosine" or "constant".
        warmup_ratio: share of the run that is warm-up.
    """
    if progress < warmup_ratio:
        return progress / warmup_ratio
    remaining = max(0.0, 1 - (progress - warmup_ratio) / (1 - warmup_ratio))
    if schedule == "polynomial":
        return remaining**power
    if schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * remaining))
    return 1.0


class Clock:
    """
    Progress by optimizer steps or by wall time, and the signal to leave, the same on every process.

    Time and signals differ between processes, so a run of several agrees on both at every step over gloo: a few bytes
    between CPUs, no wait for an accelerator. SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 (Slurm's `--signal`) ask to leave.

    Args:
        total_steps: length of the run, unless `max_minutes` is given.
        max_minutes: length in wall time, which goes on counting where a resumed run stopped.
        step, minutes: where a resumed run stands.
    """

    def __init__(self, total_steps: int, max_minutes: float | None, step: int = 0, minutes: float = 0.0):
        self.total_steps, self.max_minutes = total_steps, max_minutes
        self.step, self.minutes = step, minutes
        self.must_leave = False
        self._signalled = False
        self._last = time.monotonic()
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        self._group = dist.new_group(backend="gloo") if several else None
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number, frame):
        if number == signal.SIGINT and self._signalled:
            raise KeyboardInterrupt
        self._signalled = True

    def tick(self) -> None:
        """Counts a step and the time since the last tick, and agrees with the other processes."""
        now = time.monotonic()
        self.step += 1
        self.minutes += (now - self._last) / 60
        self._last = now
        self.must_leave = self._signalled
        if self._group is not None:
            agreed = torch.tensor([self.minutes, self.must_leave], dtype=torch.float64)
            dist.all_reduce(agreed, dist.ReduceOp.MAX, group=self._group)
            self.minutes, self.must_leave = agreed[0].item(), bool(agreed[1])

    @property
    def progress(self) -> float:
        done = self.minutes / self.max_minutes if self.max_minutes else self.step / self.total_steps
        return min(1.0, done)

    @property
    def finished(self) -> bool:
        return self.progress >= 1


@contextmanager
def signals_blocked():
    """
    Processes started inside never get the signals that ask a run to leave.

    Slurm, `timeout` and a terminal send them to every process of a job. Reading processes would die of them before the
    training process has saved.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
