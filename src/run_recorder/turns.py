"""Turns with what takes much memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_LARGE_BYTES = 64 * 1024


class Turns:
    """Lets large documents be unfolded one at a time: in memory they may take a hundred times
    their size, so that side by side they would not all fit. Others need no turn.
    """

    def __init__(self, seconds: float = -1) -> None:
        """Waits no longer than ``seconds`` for a turn, so that what hangs in its own holds up
        nobody for long; for ever if they are negative.
        """
        self._seconds = seconds
        self._lock = Lock()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """A turn with a document of ``size`` bytes."""
        is_held = size > _LARGE_BYTES and self._lock.acquire(timeout=self._seconds)
        try:
            yield
        finally:
            if is_held:
                self._lock.release()
