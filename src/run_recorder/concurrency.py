"""Concurrent calls over the network, with their results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Returned = TypeVar("Returned")

WORKERS = 32


def map_in_order(
    function: Callable[[Given], Returned], items: Iterable[Given], workers: int = WORKERS
) -> Generator[tuple[Given, Returned]]:
    """Call a function for each item in this many threads, and yield each item with its result, in order.

    A limited number of items is taken ahead of the results. Closing the generator cancels the calls that
    have not begun, and waits for the others.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Given, Future[Returned]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            while waiting and (len(waiting) > 4 * workers or waiting[0][1].done()):
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
