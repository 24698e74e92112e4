"""Pictures of several clients run together: those of one size that arrive within a moment."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from .depth_map import DepthMap
from .prediction import Predictor


@dataclass(frozen=True, eq=False)
class Job:
    """One prepared picture; `depth` will be its map, or the exception that it gave."""

    source: Any
    image: Image.Image
    pixel_values: torch.Tensor
    depth: "Future[DepthMap]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """
    Runs pictures through a model in a thread of its own, those of one size together.

    While the model is busy pictures gather; an idle one waits at most `max_wait` seconds for company of the oldest.

    Attributes:
        pictures, batches: how many have been run.
    """

    def __init__(self, predictor: Predictor, max_batch: int = 8, max_wait: float = 0.005):
        self.predictor, self.max_batch, self.max_wait = predictor, max_batch, max_wait
        self.pictures = self.batches = 0
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def submit(self, source: Any, image: Image.Image, pixel_values: torch.Tensor) -> "Future[DepthMap]":
        """
        Queues a picture that `Predictor.read` gave. A future that is cancelled before its turn costs nothing.

        Raises:
            RuntimeError: the batcher is closed.
        """
        job = Job(source, image, pixel_values)
        with self._changed:
            if self._closed:
                raise RuntimeError("The model takes no more pictures.")
            self._jobs.append(job)
            self._changed.notify()
        return job.depth

    def close(self):
        """Runs what is queued, then ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self):
        while batch := self._next():
            batch = [job for job in batch if job.depth.set_running_or_notify_cancel()]
            if batch:
                self._run(batch)
            del batch  # the next may be long in coming, and pictures are large

    def _next(self) -> list[Job]:
        """The jobs to run now, as soon as there are any; none once the batcher is closed and empty."""
        with self._changed:
            while True:
                self._jobs = [job for job in self._jobs if not job.depth.cancelled()]
                batch, patience = choose(self._jobs, self.max_batch, self.max_wait)
                if batch and (patience <= 0 or self._closed):
                    chosen = set(map(id, batch))
                    self._jobs = [job for job in self._jobs if id(job) not in chosen]
                    return batch
                if not batch and self._closed:
                    return []
                self._changed.wait(patience if batch else None)

    def _run(self, batch: list[Job]):
        jobs = {id(job.source): job for job in batch}
        try:
            for result in self.predictor.run([(job.source, job.image, job.pixel_values) for job in batch]):
                job = jobs.pop(id(result.source))
                if result.error is not None:
                    job.depth.set_exception(result.error)
                else:
                    job.depth.set_result(result.depth)
        except Exception as error:  # a bug: it must not end the thread that everybody waits for
            for job in jobs.values():
                job.depth.set_exception(error)
        self.pictures += len(batch)
        self.batches += 1


def choose(jobs: Iterable[Job], max_batch: int, max_wait: float) -> tuple[list[Job], float]:
    """
    The jobs that should run next, oldest first, and for how many seconds they may still wait for others.

    While the oldest job may wait, another size of which there are enough for a batch goes first.
    """
    sizes: dict[tuple, list[Job]] = {}
    for job in jobs:
        sizes.setdefault(tuple(job.pixel_values.shape), []).append(job)
    if not sizes:
        return [], 0.0
    groups = list(sizes.values())
    patience = groups[0][0].since + max_wait - time.monotonic()
    full = [group for group in groups if len(group) >= max_batch]
    if patience > 0 and full:
        return full[0][:max_batch], 0.0
    return groups[0][:max_batch], patience
