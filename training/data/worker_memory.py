"""Memory of reading processes, kept instead of returned: the system's first touch of a page costs more than a copy."""

import ctypes
import sys
import weakref

import numpy as np
import torch
from torch.utils.data import default_collate, get_worker_info

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
IN_WORKER, FREE, LENT = range(3)


def keep_freed_memory(worker_id: int = 0) -> None:
    """Makes malloc keep what a sample frees for the next one; a `worker_init_fn`. Does nothing without glibc.

    By default, arrays of megabytes are given back and come again as fresh pages, zeroed one by one.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest value that glibc takes
        mallopt(M_TRIM_THRESHOLD, 2**30)


class SharedStacks:
    """Stacks the tensors of samples in worker processes, in shared memory that serves again once a batch is dropped.

    A worker keeps the stacks it sent. The consumer's process marks one as free when no tensor refers to it any more,
    so batches may be held for any time; while none is free, a stack gets new memory.

    Args:
        num_workers: processes that share this object.
        size: stacks that each of them keeps; more are sent in memory of their own.
    """

    def __init__(self, num_workers: int, size: int):
        self._states = torch.full((num_workers, size), IN_WORKER, dtype=torch.uint8).share_memory_()
        self._stacks: list[torch.Tensor] = []
        self._iteration = -1

    def collate(self, samples: list[dict], iteration: int) -> tuple[dict, dict[str, tuple[int, int]]]:
        """In a worker: `default_collate`, and for each stack that is kept its place, to be given to `lend`.

        Args:
            samples: of one batch; float32 tensors go into kept stacks.
            iteration: a number that changes when the consumer begins anew, and what it did not receive is lost.
        """
        if (worker := get_worker_info()) is None:
            return default_collate(samples), {}
        states = self._states[worker.id].numpy()
        if iteration != self._iteration:
            states[states == IN_WORKER] = FREE
            self._iteration = iteration
        batch, places = {}, {}
        for key, first in samples[0].items():
            values = [sample[key] for sample in samples]
            slot = None
            if isinstance(first, torch.Tensor) and first.dtype == torch.float32:
                slot = self._take(states, (len(values), *first.shape))
            if slot is None:
                batch[key] = default_collate(values)
            else:
                batch[key] = torch.stack(values, out=self._stacks[slot])
                places[key] = (worker.id, slot)
        return batch, places

    def _take(self, states: np.ndarray, shape: tuple[int, ...]) -> int | None:
        """The number of a free stack of this shape, of a new one, or `None` if all are in use."""
        for slot, stack in enumerate(self._stacks):
            if states[slot] == FREE and stack.shape == shape:
                break
        else:
            if (slot := len(self._stacks)) == len(states):
                return None
            self._stacks.append(torch.empty(shape).share_memory_())
        states[slot] = IN_WORKER
        return slot

    def lend(self, batch: dict, places: dict[str, tuple[int, int]]) -> dict:
        """Where batches arrive: the same batch, whose stacks are free again when the last view of them is gone."""
        states = self._states.numpy()
        for key, (worker, slot) in places.items():
            if not batch[key].is_shared():  # pinned memory, a copy
                states[worker, slot] = FREE
                continue
            states[worker, slot] = LENT
            array = batch[key].numpy()  # tensors keep the array they are made from; of a storage one learns no end
            weakref.finalize(array, states.__setitem__, (worker, slot), FREE).atexit = False
            batch[key] = torch.from_numpy(array)
        return batch
