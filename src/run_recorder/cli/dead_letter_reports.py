"""The messages in the dead-letter queue as the commands print them, each with its reasons."""

from datetime import UTC, datetime

from run_recorder.cli.comparison import State
from run_recorder.cli.dead_letter_queue import Message
from run_recorder.cli.inspection import Inspection
from run_recorder.cli.stack import Stack
from run_recorder.concurrency import map_in_order
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

Report = dict[str, JSON]
"""A message in the output: its id, when it was sent, how often it was received, its keys, and its reasons."""


def describe_messages(messages: list[Message], stack: Stack) -> list[Report]:
    """Return a report of each message, in their order, from what the bucket and the table show now."""
    inspection = Inspection(stack.bucket, stack.s3, stack.table)
    return [report for _, report in map_in_order(lambda message: _report(message, inspection, stack), messages)]


def make_report(message: Message, keys: list[str], reasons: list[str]) -> Report:
    """Return the report of a message that stands for the objects at `keys`."""
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return {
        "message_id": message["MessageId"],
        "sent_at": sent.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "received": int(message["Attributes"]["ApproximateReceiveCount"]),
        "keys": [*keys],
        "reasons": [*reasons],
    }


def _report(message: Message, inspection: Inspection, stack: Stack) -> Report:
    record = {"eventSource": "aws:sqs", "messageId": message["MessageId"], "body": message["Body"]}
    (item,) = parse_messages({"Records": [record]})
    attributes = message.get("MessageAttributes", {})
    if item.error:
        reasons = {f"{item.error}: no upload can come of the message, discard it"}
    elif "ERROR_CODE" in attributes:  # set by EventBridge on an event that it could not deliver
        texts = [attributes[name]["StringValue"] for name in ("ERROR_CODE", "ERROR_MESSAGE") if name in attributes]
        reasons = {f"EventBridge could not deliver it ({': '.join(texts)}): put it back"}
    else:
        reasons = {_explain(object_event, inspection, stack.bucket) for object_event in item.object_events}
    return make_report(message, [object_event.key for object_event in item.object_events], sorted(reasons))


def _explain(object_event: ObjectEvent, inspection: Inspection, bucket: str) -> str:
    if object_event.run is None or object_event.bucket != bucket or not object_event.created:
        return f"not the upload of a run's metadata.json to {bucket}: put back, it is ignored"
    try:
        return _REASONS[inspection.look(object_event.run).state]
    except UploadFailedError as error:
        return f"AWS still fails: {error}"
