"""`reconcile`: compare the bucket with the table, and repair."""

import contextlib
import sys
from collections import Counter

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from run_recorder.cli.command import (
    Command,
    ExitCode,
    json_lines_option,
    optional_organisation_argument,
    stack_options,
)
from run_recorder.cli.comparison import Comparison, Finding, State
from run_recorder.cli.output import count, echo_json, printable
from run_recorder.cli.records import Records
from run_recorder.cli.run_locations import find_run_locations
from run_recorder.cli.stack import Stack
from run_recorder.concurrency import map_in_order
from run_recorder.domain import JSON, Run


def _parse_start(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Run | None:
    """Return the ids, valid or not: a comparison may also stop at a document that no run can have."""
    if value is None:
        return None
    organisation_id, slash, run_id = value.partition("/")
    if not slash:
        raise click.BadParameter("expected ORG/RUN, as printed when the comparison stopped")
    return Run(organisation_id, run_id)


@click.command(
    cls=Command,
    short_help="Compare the bucket with the table, and repair.",
    attention="a difference was found and not repaired",
)
@optional_organisation_argument
@click.option(
    "--repair", is_flag=True, help="Record runs that are missing or outdated, evaluate those that lacked files."
)
@click.option(
    "--quick", is_flag=True, help="Count a run with a record and a metadata.json as current, without a HEAD request."
)
@click.option(
    "--start-after", metavar="ORG/RUN", callback=_parse_start, help="Continue an interrupted comparison after this run."
)
@stack_options
@json_lines_option
@click.pass_context
def reconcile(
    context: click.Context,
    stack: Stack,
    *,
    organisation: str | None,
    repair: bool,
    quick: bool,
    start_after: Run | None,
    as_json: bool,
) -> None:
    """Compare the bucket of runs with the table of records, and print the differences.

    \b
    missing       metadata.json is there, the record is not
    outdated      the record shows another version than the current one
    unsettled     pending or rejected for missing files alone, and they are there now
    lacks-files   pending or rejected for missing files alone; this is no error
    orphaned      the record is there, metadata.json is not
    unrecordable  a metadata.json whose key is not the key of a run
    incomplete    files without metadata.json; this is no error

    ORG limits the comparison to one organisation. --repair records missing and outdated runs as the
    function does, with its settings, and evaluates those again that lacked files. It is safe beside live
    events: a run that an event recorded first is a duplicate. A run that was uploaded in the last
    minutes may be reported because its event is still on its way. Orphaned and unrecordable runs
    need a decision: upload metadata.json again, or move it to the right key.

    Takes a LIST request for each thousand runs, a Query request for each megabyte of records, and a
    HEAD request for each run, which --quick saves. Data files are listed only of runs that lacked
    some. The last line of the output counts the calls that were made.
    """
    recorder = stack.recorder() if repair else None
    comparison = Comparison(stack.bucket, stack.s3, stack.table, recorder, quick=quick)
    locations = find_run_locations(stack.bucket, stack.s3, Records(stack.table), organisation, start_after)
    report = _Report(stack, start_after, as_json=as_json)
    with report, contextlib.closing(map_in_order(comparison.inspect, locations)) as findings:
        for location, finding in findings:
            report.add(finding, location.resume_point)
    if report.needs_attention:
        context.exit(ExitCode.ATTENTION)


class _Report:
    """The output of a comparison: each finding at once, and a summary at the end, also after an interruption."""

    def __init__(self, stack: Stack, resume_point: Run | None, *, as_json: bool) -> None:
        self._stack = stack
        self._resume_point = resume_point
        self._as_json = as_json
        self._states: Counter[State] = Counter()
        self._repaired = 0
        self.needs_attention = False
        console = Console(stderr=True, highlight=False)
        # If findings and the progress bar share a terminal, the console of the bar prints the findings above it.
        self._on_one_terminal = console.is_terminal and sys.stdout.isatty()
        self._progress = Progress(
            _ComparedColumn(),
            BarColumn(pulse_style="cyan"),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal or (as_json and self._on_one_terminal),
            redirect_stdout=False,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> None:
        self._progress.start()

    def add(self, finding: Finding, resume_point: Run | None) -> None:
        self._states[finding.state] += 1
        self._repaired += finding.outcome is not None
        self.needs_attention |= finding.needs_attention
        if resume_point:
            self._resume_point = resume_point
            self._progress.update(self._task, advance=1, description=printable(_name(resume_point)))
        if finding.state is not State.CURRENT:
            self._print(finding)

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._progress.stop()
        last = _name(self._resume_point) if self._resume_point else None
        calls = dict(sorted(self._stack.calls.items()))
        if self._as_json:
            counts: dict[str, JSON] = {state.value: self._states[state] for state in State}
            summary = {"counts": counts, "repaired": self._repaired, "aws_calls": calls}
            echo_json({"summary": {**summary, "finished": error_type is None, "last": last}})
        else:
            counted = ", ".join(f"{self._states[state]:,} {state}" for state in State)
            click.echo(f"{self._states.total():,} compared: {counted}; {self._repaired:,} repaired")
            click.echo("AWS calls: " + ", ".join(f"{count:,} {name}" for name, count in calls.items()))
        if error_type:
            advice = f"continue with --start-after {printable(last)}" if last else "nothing was compared yet"
            click.echo(f"stopped early; {advice}", err=True)

    def _print(self, finding: Finding) -> None:
        if self._as_json:
            echo_json(finding.as_json())
            return
        uploaded = f"  uploaded {finding.stored.uploaded_at}" if finding.stored else ""
        outcome = f"  → {finding.outcome}" if finding.outcome else ""
        line = f"{finding.state:<12}  {printable(finding.key)}{uploaded}{outcome}"
        if self._on_one_terminal:
            self._progress.console.print(line, markup=False, soft_wrap=True)
        else:
            click.echo(line)


class _ComparedColumn(ProgressColumn):
    """The number of runs that are compared."""

    def render(self, task: Task) -> Text:
        return Text(f"{count(int(task.completed), 'run', 'runs')} compared")


def _name(run: Run) -> str:
    return f"{run.organisation_id}/{run.run_id}"
