"""`show`: the record of a run, its uploads, and the function's log lines about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from run_recorder.cli.command import Command, ExitCode, json_option, parse_time, run_argument, stack_options
from run_recorder.cli.comparison import Finding, State, compare
from run_recorder.cli.history import History
from run_recorder.cli.inspection import may_be_complete
from run_recorder.cli.next_step import explain
from run_recorder.cli.output import echo_json
from run_recorder.cli.run_logs import read_logs
from run_recorder.cli.show_screen import print_attributes, print_log, print_record, print_uploads
from run_recorder.cli.stack import Stack
from run_recorder.consumer.run_reader import RunRecord
from run_recorder.domain import JSON, Run
from run_recorder.dynamodb_value import deserialize
from run_recorder.record_state import RecordState
from run_recorder.uploads import Uploads

_UPLOADS = 20
_LOG_AGE = timedelta(days=1)


@click.command(cls=Command, short_help="Show the record of a run.", attention="there is no record")
@run_argument
@click.option("--history", is_flag=True, help="Show the uploads of the run, each with the verdict it would get now.")
@click.option("--limit", type=click.IntRange(min=1), help=f"With --history: number of uploads, {_UPLOADS} by default.")
@click.option("--logs", is_flag=True, help="Show the function's log lines about the run.")
@click.option(
    "--since",
    metavar="TIME",
    callback=parse_time,
    help="With --logs: lines of this time or later: ISO 8601, or an age such as 36h; 24h by default.",
)
@stack_options
@json_option
@click.pass_context
def show(
    context: click.Context,
    stack: Stack,
    *,
    run: Run,
    history: bool,
    limit: int | None,
    logs: bool,
    since: datetime | None,
    as_json: bool,
) -> None:
    """Show the record of the run ORG/RUN, whether it is the record of the current upload, and what to do next.

    --history shows the uploads of the run instead of the other attributes: when S3 stored each of them, the verdict
    that it would get now, with the deployed function's settings, its size, and the fields that changed. `record` marks
    the upload whose status the record shows, `source` the one whose config it shows.
    """
    if limit and not history:
        raise click.UsageError("--limit needs --history")
    if since and not logs:
        raise click.UsageError("--since needs --logs")
    item = stack.table.read(run)
    record = RunRecord.of(item) if item else None
    finding = _compare(stack, run, RecordState.of(item) if item else None)
    advice = explain(run, finding, record)
    past = _read_history(stack, run, finding) if history else None
    lines = read_logs(stack, run, since or datetime.now(UTC) - _LOG_AGE) if logs else iter(())
    if as_json:
        more: dict[str, JSON] = {}
        if past:
            more["history"] = [upload.as_json() for upload in past.read(limit or _UPLOADS)]
        if logs:
            more["logs"] = [line.as_json() for line in lines]
        whole = deserialize({"M": item}) if item else None
        echo_json({**finding.as_json(), "advice": advice, "record": whole, **more})
    else:
        print_record(run, record, advice)
        if past:
            print_uploads(past, limit or _UPLOADS)
        elif item and not logs:
            print_attributes(deserialize({"M": item}))
        if logs:
            print_log(lines)
    if record is None:
        context.exit(ExitCode.ATTENTION)


def _compare(stack: Stack, run: Run, state: RecordState | None) -> Finding:
    """Compare a record with the current upload, and if files were missing, with the files that are there now."""
    stored = stack.s3.head_object(stack.bucket, run.document_key)
    finding = Finding(run.document_key, compare(state, stored), state, stored)
    if finding.state is State.UNSETTLED and not may_be_complete(stack.s3, stack.bucket, run, finding):
        return replace(finding, state=State.LACKS_FILES)
    return finding


def _read_history(stack: Stack, run: Run, finding: Finding) -> History:
    return History(Uploads(stack.s3, stack.bucket), stack.evaluator(), run, finding.key, finding.record)
