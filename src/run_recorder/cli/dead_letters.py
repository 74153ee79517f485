"""`dead-letters`: the messages in the dead-letter queue, the reason of each, and the way back into the queue."""

from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from run_recorder.cli.command import (
    AWSFailure,
    Command,
    ExitCode,
    confirm,
    json_lines_option,
    json_option,
    stack_options,
    yes_option,
)
from run_recorder.cli.comparison import Comparison, State
from run_recorder.cli.concurrency import map_in_order
from run_recorder.cli.dead_letter_queue import DeadLetterQueue, Message
from run_recorder.cli.output import echo_json, printable
from run_recorder.cli.stack import Stack
from run_recorder.domain import JSON, ObjectEvent
from run_recorder.errors import UploadFailedError
from run_recorder.events import parse_messages

_NOTHING_TO_RECORD = "AWS failed, and metadata.json is no longer there: put back, it is ignored"
_REASONS = {
    State.CURRENT: "AWS failed, but the upload is recorded now: put back, it changes nothing",
    State.MISSING: "AWS failed, and there is no record yet: put it back",
    State.OUTDATED: "AWS failed, and the record shows another upload: put it back",
    State.UNSETTLED: "AWS failed, and listed files were missing: put it back to look for them again",
    State.ORPHANED: _NOTHING_TO_RECORD,
    State.INCOMPLETE: _NOTHING_TO_RECORD,
}
_LOG_QUERY = 'filter outcome = "failed" | display @timestamp, key, message_id, reason | sort @timestamp desc'

Report = dict[str, JSON]
"""A message: its id, times, keys, and the reasons why it failed."""

_limit_option = click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(min=1), help="The most messages to receive."
)


@click.group("dead-letters", short_help="List, put back or delete the messages that failed.")
def dead_letters() -> None:
    """List, put back or delete the messages in the dead-letter queue.

    A message is there because it failed five times, or because EventBridge could not deliver it.
    """


@dead_letters.command(
    "list", cls=Command, short_help="List the messages and their reasons.", attention="there are messages"
)
@_limit_option
@stack_options
@json_lines_option
@click.pass_context
def list_messages(context: click.Context, stack: Stack, *, limit: int, as_json: bool) -> None:
    """List the messages in the dead-letter queue, and why each of them failed.

    The reason is what the message, the bucket and the table show now. The messages are received,
    which adds to their receive count, and become visible again at once.
    """
    queue = _queue(stack)
    total = queue.count()
    reports = _describe_all(queue.peek(limit), stack)
    for report in reports:
        echo_json(report) if as_json else _print(report)
    left = max(total, len(reports))  # SQS counts with some delay
    _print_count(left, len(reports))
    if left:
        context.exit(ExitCode.ATTENTION)


@dead_letters.command(
    cls=Command,
    short_help="Put all messages back into the queue of uploads.",
    attention="there are messages that were not put back",
)
@click.option("--rate", type=click.IntRange(1, 500), help="Messages a second; by default SQS decides.")
@yes_option
@stack_options
@json_option
@click.pass_context
def redrive(context: click.Context, stack: Stack, *, rate: int | None, yes: bool, as_json: bool) -> None:
    """Put all messages back into the queue of uploads, and wait until all are moved.

    SQS moves them, by a message move task. It goes on if this command is interrupted; the same
    command then follows it. A message whose upload is recorded already changes nothing. A message
    that no upload can come of fails again: delete it with `dead-letters discard`.
    """
    queue = _queue(stack)
    total = queue.count()
    moved = 0
    if total:
        click.echo(f"{total:,} in the dead-letter queue", err=True)
        if not confirm(f"Put {total:,} messages back into the queue of uploads?", yes=yes):
            context.exit(ExitCode.ATTENTION)
        moved = _move(queue, stack.output("UploadsQueue"), rate)
    if as_json:
        echo_json({"moved": moved})
    else:
        click.echo(f"{moved:,} put back into the queue of uploads")


@dead_letters.command(
    cls=Command, short_help="Delete messages for good.", attention="a message was not found, or not deleted"
)
@click.argument("message_ids", metavar="MESSAGE_ID…", nargs=-1, required=True)
@_limit_option
@yes_option
@stack_options
@json_option
@click.pass_context
def discard(
    context: click.Context, stack: Stack, *, message_ids: tuple[str, ...], limit: int, yes: bool, as_json: bool
) -> None:
    """Delete messages of the dead-letter queue for good, by the ids that `dead-letters list` prints."""
    queue = _queue(stack)
    wanted = set(message_ids)
    found = [message for message in queue.peek(limit) if message["MessageId"] in wanted]
    for unknown in sorted(wanted - {message["MessageId"] for message in found}):
        click.echo(f"not among the {limit:,} messages that were received at most: {unknown}", err=True)
    if not found:
        context.exit(ExitCode.ATTENTION)
    if not as_json:
        for report in _describe_all(found, stack):
            _print(report)
    if not confirm(f"Delete {len(found):,} messages for good?", yes=yes):
        context.exit(ExitCode.ATTENTION)
    _, deleted = queue.discard(limit, wanted)
    if as_json:
        echo_json({"discarded": sorted(deleted)})
    else:
        click.echo(f"{len(deleted):,} deleted")
    if deleted != wanted:
        context.exit(ExitCode.ATTENTION)


def _queue(stack: Stack) -> DeadLetterQueue:
    return DeadLetterQueue(stack.client("sqs"), stack.output("DeadLetterQueue"))


def _describe_all(messages: list[Message], stack: Stack) -> list[Report]:
    comparison = Comparison(stack.bucket, stack.s3, stack.table)
    return [report for _, report in map_in_order(lambda message: _report(message, comparison, stack), messages)]


def _report(message: Message, comparison: Comparison, stack: Stack) -> Report:
    record = {"eventSource": "aws:sqs", "messageId": message["MessageId"], "body": message["Body"]}
    (item,) = parse_messages({"Records": [record]})
    attributes = message.get("MessageAttributes", {})
    if item.error:
        reasons = {f"{item.error}: no upload can come of the message, discard it"}
    elif "ERROR_CODE" in attributes:  # set by EventBridge, on what it could not deliver to the queue
        texts = [attributes[name]["StringValue"] for name in ("ERROR_CODE", "ERROR_MESSAGE") if name in attributes]
        reasons = {f"EventBridge could not deliver it ({': '.join(texts)}): put it back"}
    else:
        reasons = {_explain(object_event, comparison, stack.bucket) for object_event in item.object_events}
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return {
        "message_id": message["MessageId"],
        "sent_at": sent.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "received": int(message["Attributes"]["ApproximateReceiveCount"]),
        "keys": [object_event.key for object_event in item.object_events],
        "reasons": sorted(reasons),
    }


def _explain(object_event: ObjectEvent, comparison: Comparison, bucket: str) -> str:
    if object_event.run is None or object_event.bucket != bucket or not object_event.created:
        return f"not the upload of a run's metadata.json to {bucket}: put back, it is ignored"
    try:
        return _REASONS[comparison.look(object_event.run).state]
    except UploadFailedError as error:
        return f"AWS still fails: {error}"


def _print(report: dict[str, Any]) -> None:
    click.echo(f"{report['message_id']}  sent {report['sent_at']}, received {report['received']}×")
    for text in [*report["keys"], *report["reasons"]]:
        click.echo(f"    {printable(text)}")


def _print_count(left: int, listed: int) -> None:
    more = f", {listed:,} of them listed" if listed < left else ""
    click.echo(f"{left:,} in the dead-letter queue{more}", err=True)
    if left:
        click.echo(f"the function's log has AWS's answers; a query for Logs Insights: {_LOG_QUERY}", err=True)


def _move(queue: DeadLetterQueue, destination_url: str, rate: int | None) -> int:
    """Move the messages, show the progress, and return how many were moved."""
    task: dict[str, Any] = {}
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("putting back", total=None)
            for task in queue.move(destination_url, rate):
                to_move = task.get("ApproximateNumberOfMessagesToMove")
                progress.update(bar, completed=task.get("ApproximateNumberOfMessagesMoved", 0), total=to_move)
    except KeyboardInterrupt:
        click.echo("SQS goes on moving the messages; `dead-letters redrive --yes` follows it", err=True)
        raise
    if task["Status"] != "COMPLETED":
        raise AWSFailure(f"the move ended as {task['Status']}: {task.get('FailureReason', 'SQS gives no reason')}")
    moved: int = task["ApproximateNumberOfMessagesMoved"]
    return moved
