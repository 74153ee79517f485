"""`dead-letters`: the messages in the dead-letter queue, listed with their reasons, put back, or deleted."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.progress import Progress

from run_recorder.cli.command import (
    Command,
    ExitCode,
    confirm,
    json_lines_option,
    json_option,
    stack_options,
    yes_option,
)
from run_recorder.cli.dead_letter_actions import Discard, Redrive
from run_recorder.cli.dead_letter_queue import DeadLetterQueue, Message, send
from run_recorder.cli.dead_letter_reports import Report, describe_messages, echo_report, echo_reports, show_letters
from run_recorder.cli.output import count, echo_json, printable
from run_recorder.cli.stack import Stack
from run_recorder.cli.undelivered_events import describe_events

_NOT_RECEIVED = "it is deleted already, another reader has it, or --limit ended the search"
_LOG_QUERY = 'filter outcome = "failed" | display @timestamp, key, message_id, reason | sort @timestamp desc'

_HELP_OF_LIMIT = "Greatest number of messages to receive"


@click.group("dead-letters", short_help="List, put back or delete the messages that failed.")
def dead_letters() -> None:
    """List, put back or delete the messages in the dead-letter queue.

    A message is there because it failed five times, or because EventBridge could not deliver it.
    """


@dead_letters.command(
    "list", cls=Command, short_help="List the messages and their reasons.", attention="there are messages"
)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help=f"{_HELP_OF_LIMIT}.")
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
    short_help="Put the messages that can succeed back into the queue of uploads.",
    attention="there are messages that were not put back",
)
@click.option("--rate", type=click.IntRange(1, 500), help="Messages per second; by default as fast as SQS answers.")
@yes_option
@stack_options
@json_option
@click.pass_context
def redrive(context: click.Context, stack: Stack, *, rate: int | None, yes: bool, as_json: bool) -> None:
    """Put the messages that can succeed back into the queue of uploads, and leave the others with their reasons.

    A message is left if no upload can come of it, if its metadata.json is no longer there, or if AWS still
    fails. Each message is sent to the queue of uploads, and then deleted. If this command is interrupted, run
    it again. A message whose upload is already recorded changes nothing.
    """
    queue, sqs = _queue(stack), stack.client("sqs")
    send_back = functools.partial(send, sqs, stack.output("UploadsQueue"))
    action = Redrive(queue, stack, send_back, rate)
    shown = set[str]()
    movable = 0
    if not yes:
        movable = action.survey()
        shown = set() if as_json else echo_reports(action.left.values())
        if movable:
            click.echo(f"{movable:,} can succeed, {len(action.left):,} cannot, or not yet", err=True)
            question = f"Put {count(movable, 'message', 'messages')} back into the queue of uploads?"
            if not confirm(question, yes=yes):
                context.exit(ExitCode.ATTENTION)
    if yes or movable:
        _put_back(action, queue.count())
    if as_json:
        echo_json({"moved": action.moved, "left": list(action.left.values())})
    else:
        echo_reports(report for report in action.left.values() if report["message_id"] not in shown)
        left = f"; {len(action.left):,} left" if action.left else ""
        click.echo(f"{action.moved:,} put back into the queue of uploads{left}")
    if action.left:
        context.exit(ExitCode.ATTENTION)


@dead_letters.command(
    cls=Command, short_help="Delete messages for good.", attention="a message was not found, or not deleted"
)
@click.argument("message_ids", metavar="[MESSAGE_ID…]", nargs=-1)
@click.option("--unrecordable", is_flag=True, help="Delete the messages that cannot succeed, and no others.")
@click.option("--limit", type=click.IntRange(min=1), help=f"{_HELP_OF_LIMIT}; by default all.")
@yes_option
@stack_options
@json_option
@click.pass_context
def discard(
    context: click.Context,
    stack: Stack,
    *,
    message_ids: tuple[str, ...],
    unrecordable: bool,
    limit: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete messages of the dead-letter queue for good.

    Each MESSAGE_ID is one that `dead-letters list` prints. --unrecordable deletes exactly the messages that
    `dead-letters redrive` would leave because they cannot succeed; those for which AWS still fails remain.
    """
    if unrecordable == bool(message_ids):
        raise click.UsageError("name messages by their ids, or give --unrecordable")
    action = Discard(_queue(stack), stack, set(message_ids) or None, unrecordable, limit)
    shown = set[str]()
    if not yes:
        action.wanted = shown = show_letters(action.find(), silent=as_json)
        if shown and not confirm(f"Delete {count(len(shown), 'message', 'messages')} for good?", yes=yes):
            context.exit(ExitCode.ATTENTION)
    if yes or shown:
        with _telling_where_it_ends(lambda: f"{len(action.deleted):,} deleted"):
            show_letters(action.run(), silent=as_json or not yes)
    kept = {*message_ids, *action.refused} - action.deleted
    for message_id in sorted(kept):
        click.echo(f"not deleted: {printable(message_id)}: {action.refused.get(message_id, _NOT_RECEIVED)}", err=True)
    echo_json({"discarded": sorted(action.deleted)}) if as_json else click.echo(f"{len(action.deleted):,} deleted")
    if kept:
        context.exit(ExitCode.ATTENTION)


def _queue(stack: Stack) -> DeadLetterQueue:
    return DeadLetterQueue(stack.client("sqs"), stack.output("DeadLetterQueue"))


def _put_back(action: Redrive, total: int) -> None:
    console = Console(stderr=True)
    with (
        _telling_where_it_ends(lambda: f"{action.moved:,} put back"),
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        bar = progress.add_task("putting back", total=total)
        for handled in action.run():
            progress.update(bar, completed=handled)


@contextlib.contextmanager
def _telling_where_it_ends(describe: Callable[[], str]) -> Iterator[None]:
    """Print how much was done if the command is interrupted, or if AWS fails."""
    try:
        yield
    except BaseException:
        click.echo(f"{describe()} before the end; run the command again for the others", err=True)
        raise


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
    listed = set[str]()
    with queue.hold() as held:
        for messages in held.receive(limit):
            for report in describe(messages, stack):
                if report["message_id"] not in listed:
                    listed.add(report["message_id"])
                    echo_json({"queue": name, **report}) if as_json else echo_report(report)
    left = max(total, len(listed))  # the number that SQS returns is approximate
    more = f", {len(listed):,} of them listed" if len(listed) < left else ""
    click.echo(f"{left:,} in the {name}{more}", err=True)
    return left
