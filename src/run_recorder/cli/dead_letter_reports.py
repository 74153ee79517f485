"""The messages in the dead-letter queue: why each failed, and whether it can succeed if it is put back."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from run_recorder.cli.comparison import State
from run_recorder.cli.dead_letter_queue import Message
from run_recorder.cli.inspection import Inspection
from run_recorder.cli.output import printable
from run_recorder.cli.stack import Stack
from run_recorder.concurrency import map_in_order
from run_recorder.domain import JSON, ObjectEvent
from run_recorder.errors import AWSCallError
from run_recorder.events import parse_messages
from run_recorder.s3_objects import StoredObject
from run_recorder.uploads import Uploads

_REASONS = {
    State.CURRENT: "AWS failed, but the upload is recorded now: put back, it changes nothing",
    State.MISSING: "AWS failed, and there is no record yet: put it back",
    State.OUTDATED: "AWS failed, and the record shows another upload: put it back",
    State.UNSETTLED: "AWS failed, and listed files were missing: put it back to look for them again",
    State.ORPHANED: "AWS failed, and a delete marker hides metadata.json, whose versions are there: put it back",
    State.INCOMPLETE: "AWS failed, there is no record yet, and a delete marker hides metadata.json: put it back",
}

Report = dict[str, JSON]
"""A message in the output: its id, when it was sent, how often it was received, its keys, and its reasons."""


class Prospect(enum.Enum):
    """Whether a message names an upload that the function can record, or has recorded, if it is put back."""

    RECORDABLE = True
    UNRECORDABLE = False
    UNKNOWN = None
    """AWS still fails."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The prospect of an object event, why, and the failure of AWS because of which it is unknown."""

    prospect: Prospect
    reason: str
    failure: AWSCallError | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in the dead-letter queue.

    Attributes:
        message: the message.
        keys: keys of the objects that it names.
        judgements: one for each of its object events, or one for all.
    """

    message: Message
    keys: list[str]
    judgements: list[Judgement]

    @property
    def message_id(self) -> str:
        """The id of the message."""
        return str(self.message["MessageId"])

    @property
    def prospect(self) -> Prospect:
        """Whether the message can succeed: recordable if one of its object events is."""
        prospects = {judgement.prospect for judgement in self.judgements}
        return next(
            each for each in (Prospect.RECORDABLE, Prospect.UNKNOWN, Prospect.UNRECORDABLE) if each in prospects
        )

    def report(self) -> Report:
        """Return the message for the output."""
        reasons = sorted({judgement.reason for judgement in self.judgements})
        return {**make_report(self.message, self.keys, reasons), "recordable": self.prospect.value}


def judge_messages(messages: list[Message], stack: Stack) -> list[DeadLetter]:
    """Return the messages in their order, judged by what the bucket and the table show now."""
    judge = _Judge(stack)
    return [letter for _, letter in map_in_order(judge.judge, messages)]


def describe_messages(messages: list[Message], stack: Stack) -> list[Report]:
    """Return a report of each message, in their order, from what the bucket and the table show now."""
    return [letter.report() for letter in judge_messages(messages, stack)]


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


def echo_report(report: Report) -> None:
    """Print a report, for a person."""
    click.echo(f"{report['message_id']}  sent {report['sent_at']}, received {report['received']}×")
    for text in [*report["keys"], *report["reasons"]]:
        click.echo(f"    {printable(text)}")


def echo_reports(reports: Iterable[Report]) -> set[str]:
    """Print reports, and return the ids of their messages."""
    shown = set[str]()
    for report in reports:
        echo_report(report)
        shown.add(report["message_id"])
    return shown


def show_letters(chunks: Iterable[list[DeadLetter]], *, silent: bool) -> set[str]:
    """Print messages, unless silent, and return their ids."""
    reports = (letter.report() for letters in chunks for letter in letters)
    return {report["message_id"] for report in reports} if silent else echo_reports(reports)


class _Judge:
    """Judges messages; safe to share between threads."""

    def __init__(self, stack: Stack) -> None:
        self._bucket = stack.bucket
        self._inspection = Inspection(stack.bucket, stack.s3, stack.table)
        self._uploads = Uploads(stack.s3, stack.bucket)

    def judge(self, message: Message) -> DeadLetter:
        record = {"eventSource": "aws:sqs", "messageId": message["MessageId"], "body": message["Body"]}
        (item,) = parse_messages({"Records": [record]})
        if item.error:
            reason = f"{item.error}: no upload can come of the message, discard it"
            return DeadLetter(message, [], [Judgement(Prospect.UNRECORDABLE, reason)])
        judgements = [*map(self._judge_event, item.object_events)]
        if not judgements:
            judgements = [Judgement(Prospect.UNRECORDABLE, "it names no object: put back, it changes nothing")]
        attributes = message.get("MessageAttributes", {})
        if "ERROR_CODE" in attributes and judgements[0].prospect is Prospect.RECORDABLE:
            # Set by EventBridge on an event that it could not deliver; such an event has one object.
            texts = [attributes[name]["StringValue"] for name in ("ERROR_CODE", "ERROR_MESSAGE") if name in attributes]
            reason = f"EventBridge could not deliver it ({': '.join(texts)}): put it back"
            judgements = [Judgement(Prospect.RECORDABLE, reason)]
        return DeadLetter(message, [event.key for event in item.object_events], judgements)

    def _judge_event(self, event: ObjectEvent) -> Judgement:
        if event.run is None or event.bucket != self._bucket or not event.created:
            reason = f"not the upload of a run's metadata.json to {self._bucket}: put back, it is ignored"
            return Judgement(Prospect.UNRECORDABLE, reason)
        try:
            finding = self._inspection.look(event.run)
            if self._is_gone(event, finding.stored):
                reason = "AWS failed, and metadata.json is no longer there: put back, it is ignored"
                return Judgement(Prospect.UNRECORDABLE, reason)
            return Judgement(Prospect.RECORDABLE, _REASONS[finding.state])
        except AWSCallError as error:
            return Judgement(Prospect.UNKNOWN, f"AWS still fails: {error}", error)

    def _is_gone(self, event: ObjectEvent, current: StoredObject | None) -> bool:
        """Return whether the recorder finds no upload for an event: neither the version that it names, nor any."""
        if event.version_id and event.sequencer:
            is_current = current is not None and current.version_id == event.version_id
            return not is_current and not self._uploads.has_version(event.key, event.version_id)
        # A delete marker only hides the versions before it.
        return current is None and next(self._uploads.list_versions(event.key), None) is None
