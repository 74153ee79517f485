"""Lines about runs on standard output, beside a progress bar on standard error."""

import sys

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from run_recorder.cli.output import count, name_of, printable
from run_recorder.domain import Run


class RunLines:
    """A line for each run of interest, and a bar with the number of all runs, on a terminal only."""

    def __init__(self, verb: str, *, as_json: bool) -> None:
        """Make the bar; ``verb`` states what was done with the runs that it counts, such as ``compared``."""
        console = Console(stderr=True, highlight=False)
        # If lines and the progress bar share a terminal, the console of the bar prints the lines above it.
        self._on_one_terminal = console.is_terminal and sys.stdout.isatty()
        self._progress = Progress(
            _CountColumn(verb),
            BarColumn(pulse_style="cyan"),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal or (as_json and self._on_one_terminal),
            redirect_stdout=False,
        )
        self._task = self._progress.add_task("", total=None)

    def start(self) -> None:
        """Show the bar."""
        self._progress.start()

    def stop(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def advance(self, run: Run) -> None:
        """Count a run."""
        self._progress.update(self._task, advance=1, description=printable(name_of(run)))

    def echo(self, line: str) -> None:
        """Print a line."""
        if self._on_one_terminal:
            self._progress.console.print(line, markup=False, soft_wrap=True)
        else:
            click.echo(line)


class _CountColumn(ProgressColumn):
    """The number of runs."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self._verb = verb

    def render(self, task: Task) -> Text:
        return Text(f"{count(int(task.completed), 'run', 'runs')} {self._verb}")
