"""`reconcile`: the bucket against the table."""

import contextlib
import sys
from collections import Counter

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from run_recorder.cli.command import FOUND, Command, json_option, of_stack
from run_recorder.cli.comparison import Comparison, Finding, State
from run_recorder.cli.concurrency import map_in_order
from run_recorder.cli.output import printable
from run_recorder.cli.records import Records
from run_recorder.cli.run_locations import find_run_locations
from run_recorder.cli.stack import Stack
from run_recorder.domain import Run
from run_recorder.json_document import encode


def _parse_start(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Run | None:
    if value is None:
        return None
    organisation_id, slash, run_id = value.partition("/")
    if not slash:
        raise click.BadParameter("expected ORGANISATION/RUN")
    return Run(organisation_id, run_id)


@click.command(
    cls=Command, short_help="Compare bucket and table, and repair.", found="something is wrong that was not repaired"
)
@click.option("--organisation", metavar="ID", help="Only the runs of this organisation id.")
@click.option("--repair", is_flag=True, help="Record what is missing, outdated or unsettled.")
@click.option("--quick", is_flag=True, help="Take a run that is in both for current: no HEAD request for each.")
@click.option(
    "--start-after",
    metavar="ORG/RUN",
    callback=_parse_start,
    help="Go on where an interrupted comparison stopped.",
)
@of_stack
@json_option
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
    """Compare the bucket of runs with the table, and tell what differs.

    \b
    missing       metadata.json is there, the record is not
    outdated      the record shows another version than the current one
    unsettled     rejected for nothing but missing files, which may be there now
    orphaned      the record is there, metadata.json is not
    unrecordable  a metadata.json whose key is not that of a run
    incomplete    files without metadata.json; nothing is wrong with that

    --repair records missing and outdated runs as the function does, with its settings, and
    evaluates unsettled ones again. It is safe beside live events: what they recorded first is a
    duplicate. An upload of the last
    minutes that is reported may simply be on its way. Orphaned and unrecordable ones are for a
    person to decide: upload metadata.json again, or move it to the right key.

    Costs a LIST request a thousand runs, one Query request a megabyte of records, and a HEAD
    request a run, which --quick saves. Data files are never listed. The calls that were made
    are told at the end.
    """
    recorder = stack.recorder() if repair else None
    comparison = Comparison(stack.bucket, stack.s3, stack.table, recorder, quick=quick)
    locations = find_run_locations(stack.bucket, stack.s3, Records(stack.table), organisation, start_after)
    report = _Report(stack, start_after, as_json=as_json)
    with report, contextlib.closing(map_in_order(comparison.inspect, locations)) as findings:
        for location, finding in findings:
            report.add(finding, location.resume_point)
    if report.needs_a_look:
        context.exit(FOUND)


class _Report:
    """Tells findings as they come, and at the end, whatever ends it, what there was."""

    def __init__(self, stack: Stack, resume_point: Run | None, *, as_json: bool) -> None:
        self._stack = stack
        self._resume_point = resume_point
        self._as_json = as_json
        self._states: Counter[State] = Counter()
        self._repaired = 0
        self._separator = ""
        self.needs_a_look = False
        console = Console(stderr=True, highlight=False)
        # On one terminal with the bar, findings go above it by way of its console.
        self._on_one_terminal = console.is_terminal and sys.stdout.isatty()
        self._progress = Progress(
            TextColumn("{task.completed:,} runs compared"),
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
        if self._as_json:
            click.echo('{"findings":[', nl=False)

    def add(self, finding: Finding, resume_point: Run | None) -> None:
        self._states[finding.state] += 1
        self._repaired += finding.outcome is not None
        self.needs_a_look |= finding.needs_a_look
        self._resume_point = resume_point or self._resume_point
        if resume_point:
            self._progress.update(
                self._task, advance=1, description=printable(f"{resume_point.organisation_id}/{resume_point.run_id}")
            )
        if finding.state is not State.CURRENT:
            self._tell(finding)

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._progress.stop()
        place = f"{self._resume_point.organisation_id}/{self._resume_point.run_id}" if self._resume_point else ""
        if self._as_json:
            summary = {
                "counts": {state.value: self._states[state] for state in State},
                "repaired": self._repaired,
                "aws_calls": dict(self._stack.calls),
                "finished": error_type is None,
                "last": place or None,
            }
            click.echo("]," + encode(summary).removeprefix("{"))
        else:
            counts = ", ".join(f"{self._states[state]:,} {state}" for state in State)
            click.echo(f"{self._states.total():,} compared: {counts}; {self._repaired:,} repaired")
            click.echo(
                "AWS calls: " + ", ".join(f"{count:,} {name}" for name, count in sorted(self._stack.calls.items()))
            )
        if error_type:
            how = f"go on with --start-after {printable(place)}" if place else "nothing was compared yet"
            click.echo(f"stopped early; {how}", err=True)

    def _tell(self, finding: Finding) -> None:
        if self._as_json:
            click.echo(self._separator + encode(finding.as_json()), nl=False)
            self._separator = ","
            return
        uploaded = f"  uploaded {finding.stored.uploaded_at}" if finding.stored else ""
        outcome = f"  → {finding.outcome}" if finding.outcome else ""
        line = f"{finding.state:<12}  {printable(finding.key)}{uploaded}{outcome}"
        if self._on_one_terminal:
            self._progress.console.print(line, markup=False, soft_wrap=True)
        else:
            click.echo(line)
