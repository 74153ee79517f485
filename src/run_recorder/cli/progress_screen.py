"""The progress of an upload on standard error: a bar on a terminal that can draw it, else a line for each file."""

from types import TracebackType
from typing import Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from run_recorder.cli.output import printable
from run_recorder.producer.progress import Progress, Step

_NARROW = 80


class ProgressScreen:
    """Shows progress from when it is entered until it is left."""

    def __init__(self) -> None:
        self._console = console = Console(stderr=True)
        self._draws = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
        self._bars = Bars(*self._columns(), console=self._console, transient=True)
        self._status = self._console.status("waiting for the verdict")
        self._tasks: dict[Step, TaskID] = {}

    def __enter__(self) -> Self:
        """Return the screen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove what was drawn."""
        if self._tasks:
            self._bars.stop()
        self._status.stop()

    def show(self, progress: Progress) -> None:
        """Show how far a step is."""
        if not self._draws:
            if progress.step is Step.UPLOADING and progress.path is not None:
                click.echo(f"uploaded {printable(progress.path)}", err=True)
        elif progress.step is Step.WAITING:
            self._bars.stop()
            self._status.start()
        else:
            self._update_bar(progress)

    def _update_bar(self, progress: Progress) -> None:
        if progress.step not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, visible=False)
            self._tasks[progress.step] = self._bars.add_task(progress.step.value, files="")
            self._bars.start()
        self._bars.update(
            self._tasks[progress.step],
            completed=progress.bytes,
            total=progress.total_bytes,
            files=f"{progress.files}/{progress.total_files}",
        )

    def _columns(self) -> list[ProgressColumn]:
        return [
            TextColumn("{task.description}"),
            BarColumn(bar_width=None if self._console.width > _NARROW else 8),
            TextColumn("{task.fields[files]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
        ]
