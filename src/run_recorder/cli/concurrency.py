"""Many waits for the network at once."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Returned = TypeVar("Returned")

WORKERS = 32


def map_in_order(function: Callable[[Given], Returned], items: Iterable[Given]) -> Generator[tuple[Given, Returned]]:
    """Each item with its result, in order, from `WORKERS` threads; a few items are taken ahead.

    Closing it cancels what has not begun, and waits for what has.
    """
    pool = ThreadPoolExecutor(WORKERS)
    waiting: deque[tuple[Given, Future[Returned]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            while waiting and (len(waiting) > 4 * WORKERS or waiting[0][1].done()):
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
