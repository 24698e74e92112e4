"""Several processes that share one piece of work, as `accelerate launch` and `torchrun` start them."""

import datetime
import os
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist

Item = TypeVar("Item")


class Processes:
    """This process among those that a launcher started; one alone without a launcher."""

    def __init__(self):
        self.count = int(os.environ.get("WORLD_SIZE", 1))
        self.rank = int(os.environ.get("RANK", 0))
        self.local_rank = int(os.environ.get("LOCAL_RANK", 0))

    def __enter__(self) -> "Processes":
        if self.count > 1:
            # they meet once, at the end, and one may have to wait for long
            dist.init_process_group("gloo", timeout=datetime.timedelta(days=7))
        return self

    def __exit__(self, *_):
        if self.count > 1:
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """Whether this is the process that speaks for all."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The part of the items that is this process's."""
        return list(items[self.rank :: self.count])

    def device(self, name: str | None) -> str | None:
        """This process's own GPU, where the device is not chosen by number."""
        if self.count > 1 and torch.cuda.is_available() and name in (None, "cuda"):
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return name

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in their order, once all have come here."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values
