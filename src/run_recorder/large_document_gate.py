"""A limit on the memory that large documents use together."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_LARGE_BYTES = 64 * 1024


class LargeDocumentGate:
    """A gate that one large document at a time passes; small documents do not wait.

    In memory a document may need a hundred times its size, so that several large ones would not fit.
    """

    def __init__(self, seconds: float = -1) -> None:
        """Make a gate that is open.

        Args:
            seconds: the longest wait, after which a document passes in any case, so that a document that
                hangs does not block the others. A negative number means no limit.
        """
        self._seconds = seconds
        self._lock = Lock()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold the gate for a document of ``size`` bytes while the context lasts."""
        is_held = size > _LARGE_BYTES and self._lock.acquire(timeout=self._seconds)
        try:
            yield
        finally:
            if is_held:
                self._lock.release()
