"""`redrive`: what is in the dead-letter queue and why, and the way back into the queue."""

from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from run_recorder.cli.command import FOUND, Command, Failure, json_option, of_stack
from run_recorder.cli.comparison import Comparison, State
from run_recorder.cli.concurrency import map_in_order
from run_recorder.cli.dead_letters import DeadLetters, Message
from run_recorder.cli.output import echo_json, printable
from run_recorder.cli.stack import Stack
from run_recorder.domain import JSON, ObjectEvent
from run_recorder.errors import UploadFailedError
from run_recorder.events import parse_messages

_NOTHING_TO_RECORD = "AWS failed, and metadata.json is gone by now: put back, it is ignored"
_REASONS = {
    State.CURRENT: "AWS failed, but the upload is recorded by now: put back, it changes nothing",
    State.MISSING: "AWS failed, and there is no record yet: put it back",
    State.OUTDATED: "AWS failed, and the record shows another upload: put it back",
    State.UNSETTLED: "AWS failed, and the record says that files are missing: put it back to look for them again",
    State.ORPHANED: _NOTHING_TO_RECORD,
    State.INCOMPLETE: _NOTHING_TO_RECORD,
}
_LOG_QUERY = 'filter outcome = "failed" | display @timestamp, key, message_id, reason | sort @timestamp desc'


@click.command(
    cls=Command, short_help="Show dead letters, and put them back.", found="there are messages that were not put back"
)
@click.option("--start", is_flag=True, help="Put all messages back into the queue of uploads, and wait for the end.")
@click.option("--rate", type=click.IntRange(1, 500), help="With --start, messages a second; else SQS decides.")
@click.option("--discard", metavar="MESSAGE_ID", multiple=True, help="Delete this message for good; may be repeated.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="How many to look at.")
@of_stack
@json_option
@click.pass_context
def redrive(
    context: click.Context,
    stack: Stack,
    *,
    start: bool,
    rate: int | None,
    discard: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Show the messages in the dead-letter queue and why each failed, and put them back.

    Looking leaves them where they are. What AWS failed for can be put back at any time: if it
    has been recorded meanwhile, it is a duplicate. What is not an S3 event would only come
    again: --discard it.
    """
    letters = DeadLetters(stack.client("sqs"), stack.output("DeadLetterQueue"))
    comparison = Comparison(stack.bucket, stack.s3, stack.table)
    total = letters.count()
    messages = letters.peek(limit, frozenset(discard))
    reports = [report for _, report in map_in_order(lambda message: _report(message, comparison, stack), messages)]
    seen = {message["MessageId"] for message in messages}
    discarded = seen.intersection(discard)
    left = max(total, len(messages)) - len(discarded)  # SQS counts with some delay
    if not as_json:
        _tell(reports, discarded, left)
    moved = None
    if start and left:
        moved = _move(letters, stack.output("UploadsQueue"), rate)
        left = 0
    if as_json:
        echo_json({"messages": reports, "discarded": sorted(discarded), "moved": moved, "left": left})
    elif moved is not None:
        click.echo(f"{moved:,} put back into the queue of uploads")
    for unknown in sorted(set(discard) - discarded):
        click.echo(f"not among the messages that were looked at: {unknown}", err=True)
    if left or discarded != set(discard):
        context.exit(FOUND)


def _report(message: Message, comparison: Comparison, stack: Stack) -> dict[str, JSON]:
    """What a message is about, and why it failed as far as it, the bucket and the table tell."""
    record = {"eventSource": "aws:sqs", "messageId": message["MessageId"], "body": message["Body"]}
    (parsed,) = parse_messages({"Records": [record]})
    attributes = message.get("MessageAttributes", {})
    if parsed.error:
        reasons = {f"{parsed.error}: it can never be recorded, discard it"}
    elif "ERROR_CODE" in attributes:  # EventBridge's, of what it could not deliver to the queue
        texts = [attributes[name]["StringValue"] for name in ("ERROR_CODE", "ERROR_MESSAGE") if name in attributes]
        reasons = {f"EventBridge could not deliver it ({': '.join(texts)}): put it back"}
    else:
        reasons = {_explain(upload, comparison, stack.bucket) for upload in parsed.uploads}
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return {
        "message_id": message["MessageId"],
        "sent_at": sent.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "received": int(message["Attributes"]["ApproximateReceiveCount"]),
        "keys": [upload.key for upload in parsed.uploads],
        "reasons": sorted(reasons),
    }


def _explain(upload: ObjectEvent, comparison: Comparison, bucket: str) -> str:
    if upload.run is None or upload.bucket != bucket or not upload.created:
        return f"not the upload of a run's metadata.json to {bucket}: put back, it is ignored"
    try:
        return _REASONS[comparison.look(upload.run).state]
    except UploadFailedError as error:
        return f"AWS fails still: {error}"


def _tell(reports: list[dict[str, Any]], discarded: set[str], left: int) -> None:
    for report in reports:
        click.echo(f"{report['message_id']}  sent {report['sent_at']}, received {report['received']}×")
        for text in [*report["keys"], *report["reasons"]]:
            click.echo(f"    {printable(text)}")
        if report["message_id"] in discarded:
            click.echo("    discarded")
    click.echo(f"{left:,} in the dead-letter queue")
    if left:
        click.echo(f"what AWS said is in the function's log group; Logs Insights: {_LOG_QUERY}", err=True)


def _move(letters: DeadLetters, destination_url: str, rate: int | None) -> int:
    """Moves the messages, and shows how far that is; returns how many were moved."""
    task: dict[str, Any] = {}
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task("putting back", total=None)
            for task in letters.move(destination_url, rate):
                to_move = task.get("ApproximateNumberOfMessagesToMove")
                progress.update(bar, completed=task.get("ApproximateNumberOfMessagesMoved", 0), total=to_move)
    except KeyboardInterrupt:
        click.echo("SQS goes on without you; `redrive --start` follows it", err=True)
        raise
    if task["Status"] != "COMPLETED":
        raise Failure(f"the move ended as {task['Status']}: {task.get('FailureReason', 'SQS gives no reason')}")
    moved: int = task["ApproximateNumberOfMessagesMoved"]
    return moved
