"""A limit of the work in a second."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def pace(items: Iterable[T], per_second: float | None) -> Iterator[T]:
    """Yield the items, at most so many in a second; as fast as they are taken if there is no limit.

    An item that takes long is not followed by more items in a second than the limit.
    """
    next_at = time.monotonic()
    for item in items:
        if per_second:
            time.sleep(max(0, next_at - time.monotonic()))
            next_at = max(next_at, time.monotonic()) + 1 / per_second
        yield item
