"""`replay`: evaluate uploads again, with the rules and settings of now."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import TextIO

import click

from run_recorder.cli.command import (
    Command,
    ExitCode,
    confirm,
    json_lines_option,
    name_run,
    parse_run,
    stack_options,
    yes_option,
)
from run_recorder.cli.pacing import pace
from run_recorder.cli.record_options import since_option, status_option
from run_recorder.cli.records import Records
from run_recorder.cli.replay_report import Replayed, ReplayReport
from run_recorder.cli.selection import Filter, select_of_list, select_of_organisations
from run_recorder.cli.stack import Stack
from run_recorder.concurrency import map_in_order
from run_recorder.domain import Run
from run_recorder.errors import AWSCallError, ContentionError
from run_recorder.replay import ReplayingRecorder


def _parse_pointer(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith("/"):
        raise click.BadParameter(f"{value!r} is not a JSON Pointer: expected a path such as /model")
    return value


@click.command(
    cls=Command,
    short_help="Evaluate uploads again, with the rules and settings of now.",
    attention="a run would change and was not changed, was left, has no metadata.json, or failed",
)
@click.argument("names", metavar="[ORG or ORG/RUN]…", nargs=-1)
@click.option(
    "--from", "file", metavar="FILE", type=click.File(encoding="utf-8"), help="Read lines ORG/RUN; - is standard input."
)
@status_option
@click.option(
    "--error-path", metavar="POINTER", callback=_parse_pointer, help="Only records with an error here, or below."
)
@since_option
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Runs per second, at most.")
@click.option(
    "--start-after", metavar="ORG/RUN", callback=parse_run, help="Continue an interrupted replay after this run."
)
@yes_option
@stack_options
@json_lines_option
@click.pass_context
def replay(
    context: click.Context,
    stack: Stack,
    *,
    names: tuple[str, ...],
    file: TextIO | None,
    status: str | None,
    error_path: str | None,
    since: str | None,
    rate: float | None,
    start_after: Run | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Evaluate the current upload of each run again, though its verdict is final, and record what changes.

    Use it after the deployment was corrected, for example when runs were rejected because there was no default model.
    Each name is an organisation or a run; without names and --from, all organisations are meant. Without --yes, the
    command shows what would change, and asks at the terminal.

    \b
    changed    the record gets another verdict, config or name
    unchanged  the record is right already; not listed
    left       accepted, and would be rejected now: the config is never withdrawn
    waiting    listed files are not there yet, and may still arrive
    gone       there is no metadata.json
    failed     AWS refuses to return the upload, for the reason that is printed

    Takes a GetItem and a GET request for each run, and LIST requests for its files; a second GetItem request for a run
    that is accepted. No event is sent for a run that does not change.
    """
    wanted = Filter(status, error_path, since)
    runs = _select(stack, names, file, wanted, start_after)
    report = ReplayReport(is_preview=not yes, as_json=as_json, last=start_after)
    _replay(stack.recorder() if yes else stack.previewing_recorder(), pace(runs, rate), report)
    needs_attention = report.needs_attention
    if report.changed and not yes:
        needs_attention = True
        if confirm(f"Change {len(report.changed):,} records?", yes=False):
            done = ReplayReport(is_preview=False, as_json=as_json, last=None)
            _replay(stack.recorder(), pace(report.changed, rate), done)
            needs_attention = report.needs_attention or done.needs_attention
    if needs_attention:
        context.exit(ExitCode.ATTENTION)


def _select(
    stack: Stack, names: tuple[str, ...], file: TextIO | None, wanted: Filter, after: Run | None
) -> Iterator[Run]:
    if file and names:
        raise click.UsageError("name runs, or read them with --from, not both")
    listed = [name for name in names if "/" in name]
    if listed and len(listed) < len(names):
        raise click.UsageError("name organisations or runs, not both")
    if listed or file:
        return select_of_list(stack.table, map(name_run, listed or _lines(file)), wanted, after)
    return select_of_organisations(Records(stack.table), names, wanted, after)


def _lines(file: TextIO | None) -> Iterator[str]:
    return filter(None, map(str.strip, file or ()))


def _replay(recorder: ReplayingRecorder, runs: Iterable[Run], report: ReplayReport) -> None:
    def evaluate(run: Run) -> Replayed:
        try:
            return Replayed(run, recorder.replay(run))
        except ContentionError as error:
            return Replayed(run, None, str(error))
        except AWSCallError as error:
            if not error.is_of_one_object:
                raise
            return Replayed(run, None, str(error))

    with report, contextlib.closing(map_in_order(evaluate, runs)) as replayed:
        for _, each in replayed:
            report.add(each)
