"""The screens of `show`."""

from collections.abc import Iterator

import click

from run_recorder.cli.history import History, PastUpload
from run_recorder.cli.output import (
    describe_errors,
    echo_attributes,
    echo_folded,
    echo_indented,
    flatten,
    line_of,
    name_of,
    printable,
)
from run_recorder.cli.run_logs import LogLine
from run_recorder.consumer.run_reader import RunRecord
from run_recorder.domain import JSON, Run
from run_recorder.record_state import RECORD_ATTRIBUTES

_MAX_ERRORS = 5
_UPLOAD = "{:<20}  {:<10}  {:>9}  {}"
# `print_record` prints these.
_PRINTED = {"organisation_id", "run_id", "status", "errors", "errors_truncated"}
_ORDER = {name: place for place, name in enumerate(RECORD_ATTRIBUTES)}
_LOG_FIELDS = ("version_id", "message_id", "receive_count", "task_id", "function_request_id")


def print_record(run: Run, record: RunRecord | None, advice: str) -> None:
    """Print the status, the first errors, and what to do next."""
    click.echo(f"{name_of(run)}: {printable(record.status) if record else 'no record'}")
    if record:
        for error in record.errors[:_MAX_ERRORS]:
            echo_indented(line_of(error))
        if len(record.errors) > _MAX_ERRORS:
            further = f"{len(record.errors) - _MAX_ERRORS}{' or more' if record.errors_truncated else ''}"
            echo_indented(f"… {further} further errors; --json has them")
    echo_folded(advice)


def print_attributes(record: dict[str, JSON]) -> None:
    """Print the attributes of a record that `print_record` does not print."""
    names = sorted(record.keys() - _PRINTED, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
    click.echo()
    echo_attributes(flatten({name: record[name] for name in names}))


def print_uploads(history: History, limit: int) -> None:
    """Print the uploads of a run."""
    click.echo()
    click.echo(_UPLOAD.format("uploaded_at", "verdict", "bytes", "").rstrip())
    for upload in history.read(limit):
        _print_upload(upload)
    if not history.is_complete:
        click.echo(f"more with --limit {2 * limit}", err=True)


def _print_upload(upload: PastUpload) -> None:
    evaluation = upload.evaluation
    marks = [mark for mark, is_set in (("record", upload.is_recorded), ("source", upload.is_source)) if is_set]
    time, size = (evaluation.uploaded_at, f"{evaluation.size:,}") if evaluation else ("", "")
    click.echo(_UPLOAD.format(time, upload.verdict, size, ", ".join(marks)).rstrip())
    version = upload.version
    echo_indented(f"version {version.version_id}" if version.version_id else f"etag {version.etag}")
    if upload.failure:
        echo_indented(upload.failure)
    if evaluation and evaluation.errors:
        echo_indented(describe_errors(evaluation.errors, is_truncated=evaluation.errors_truncated))
    if upload.changed is not None:
        echo_indented("changed: " + (", ".join(name or "the whole document" for name in upload.changed) or "nothing"))


def print_log(lines: Iterator[LogLine]) -> None:
    """Print the function's log lines about a run."""
    click.echo()
    is_empty = True
    for line in lines:
        is_empty = False
        click.echo(f"{line.time}  {printable(str(line.fields.get('outcome') or line.fields.get('message', '')))}")
        if "reason" in line.fields:
            echo_indented(str(line.fields["reason"]))
        echo_indented(", ".join(f"{name} {line.fields[name]}" for name in _LOG_FIELDS if name in line.fields))
    if is_empty:
        click.echo("the log has no line about this run since then; --since looks further back", err=True)
