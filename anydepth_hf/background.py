"""Work that goes on in a thread of its own while the caller does something else, with little of it waiting."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
_END: Any = object()


def ahead(items: Iterable[Item], count: int = 4) -> Generator[Item, None, None]:
    """Yields the items, which a thread takes from their iterator up to `count` before they are asked for."""
    iterator = iter(items)
    pool = ThreadPoolExecutor(1, "ahead")
    waiting: deque[Future] = deque()
    try:
        while True:
            while len(waiting) < count:
                waiting.append(pool.submit(next, iterator, _END))
            item = waiting.popleft().result()
            if item is _END:
                return
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
        close = getattr(iterator, "close", None)
        if close:
            close()


class Behind:
    """
    Calls a function for one item after another in a thread; the caller waits where more than `count` are not done.

    What the function raises is raised by the next `put` or `finish`.
    """

    def __init__(self, function: Callable[..., Any], count: int = 4):
        self.function, self.count = function, count
        self.pool = ThreadPoolExecutor(1, "behind")
        self.waiting: deque[Future] = deque()

    def put(self, *item: Any) -> None:
        """Hands an item over."""
        while len(self.waiting) >= self.count:
            self.waiting.popleft().result()
        self.waiting.append(self.pool.submit(self.function, *item))

    def finish(self) -> None:
        """Waits until all items are done."""
        while self.waiting:
            self.waiting.popleft().result()
        self.pool.shutdown()

    def stop(self) -> None:
        """Drops what has not begun and waits for what has."""
        self.pool.shutdown(cancel_futures=True)
