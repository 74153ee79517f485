"""The progress of an upload, for a callback."""

import enum
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from run_recorder.producer.folder import LocalFile


class Step(enum.StrEnum):
    """A step of an upload that takes time."""

    READING = "reading"
    UPLOADING = "uploading"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is.

    Attributes:
        step: the step.
        files: files that are complete.
        total_files: files in all.
        bytes: bytes that are complete.
        total_bytes: bytes in all.
        path: the file that has just become complete; None between two.
    """

    step: Step
    files: int
    total_files: int
    bytes: int
    total_bytes: int
    path: str | None = None


Report = Callable[[Progress], None]


class Counter:
    """Counts the files and bytes of a step, and reports each change; safe to share between threads."""

    def __init__(self, step: Step, files: Iterable[LocalFile], report: Report) -> None:
        sizes = [file.size for file in files]
        self._step = step
        self._report = report
        self._total_files = len(sizes)
        self._total_bytes = sum(sizes)
        self._files = 0
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, count: int, path: str | None = None) -> None:
        """Add bytes, which may be less than 0 if a part begins again, and the file that is complete with them."""
        with self._lock:
            self._bytes += count
            self._files += path is not None
            self._report(Progress(self._step, self._files, self._total_files, self._bytes, self._total_bytes, path))
