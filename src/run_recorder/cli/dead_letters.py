"""`dead-letters`: the messages in the dead-letter queue, listed with their reasons, put back, or deleted."""

from collections.abc import Callable
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
from run_recorder.cli.dead_letter_queue import DeadLetterQueue, Message
from run_recorder.cli.dead_letter_reports import Report, describe_messages
from run_recorder.cli.output import count, echo_json, printable
from run_recorder.cli.stack import Stack
from run_recorder.cli.undelivered_events import describe_events

_LOG_QUERY = 'filter outcome = "failed" | display @timestamp, key, message_id, reason | sort @timestamp desc'

_limit_option = click.option(
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    help="Greatest number of messages to receive.",
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
    """List the messages in the dead-letter queue and the undelivered events, and why each of them failed.

    The reasons come from the message, and from the bucket and the table as they are now. The command
    receives the messages, which raises their receive count, and makes them visible again at once.
    """
    left = _list_queue(_queue(stack), "dead-letter queue", describe_messages, stack, limit, as_json=as_json)
    if left:
        click.echo(f"the function's log has AWS's answers; a query for Logs Insights: {_LOG_QUERY}", err=True)
    events = DeadLetterQueue(stack.client("sqs"), stack.output("UndeliveredEventsQueue"))
    left += _list_queue(events, "queue of undelivered events", describe_events, stack, limit, as_json=as_json)
    if left:
        context.exit(ExitCode.ATTENTION)


@dead_letters.command(
    cls=Command,
    short_help="Put all messages back into the queue of uploads.",
    attention="there are messages that were not put back",
)
@click.option("--rate", type=click.IntRange(1, 500), help="Messages per second; by default SQS sets the rate.")
@yes_option
@stack_options
@json_option
@click.pass_context
def redrive(context: click.Context, stack: Stack, *, rate: int | None, yes: bool, as_json: bool) -> None:
    """Put all messages back into the queue of uploads, and wait until all are moved.

    SQS moves them with a message move task. If this command is interrupted, the task continues; run the
    command again to follow it. A message whose upload is already recorded changes nothing. A message
    that is not an S3 event fails again: delete it with `dead-letters discard`.
    """
    queue = _queue(stack)
    total = queue.count()
    moved = 0
    if total:
        click.echo(f"{total:,} in the dead-letter queue", err=True)
        if not confirm(f"Put {count(total, 'message', 'messages')} back into the queue of uploads?", yes=yes):
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
        received = count(limit, "message that was", "messages that were")
        click.echo(f"not among the {received} received at most: {unknown}", err=True)
    if not found:
        context.exit(ExitCode.ATTENTION)
    if not as_json:
        for report in describe_messages(found, stack):
            _print(report)
    if not confirm(f"Delete {count(len(found), 'message', 'messages')} for good?", yes=yes):
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


def _print(report: dict[str, Any]) -> None:
    click.echo(f"{report['message_id']}  sent {report['sent_at']}, received {report['received']}×")
    for text in [*report["keys"], *report["reasons"]]:
        click.echo(f"    {printable(text)}")


def _list_queue(
    queue: DeadLetterQueue,
    name: str,
    describe: Callable[[list[Message], Stack], list[Report]],
    stack: Stack,
    limit: int,
    *,
    as_json: bool,
) -> int:
    """Print the messages of a queue; return how many it has."""
    total = queue.count()
    reports = describe(queue.peek(limit), stack)
    for report in reports:
        echo_json({"queue": name, **report}) if as_json else _print(report)
    left = max(total, len(reports))  # the number that SQS returns is approximate
    more = f", {len(reports):,} of them listed" if len(reports) < left else ""
    click.echo(f"{left:,} in the {name}{more}", err=True)
    return left


def _move(queue: DeadLetterQueue, destination_url: str, rate: int | None) -> int:
    """Move the messages, show the progress, and return the number of messages that were moved."""
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
