"""The object events in every envelope in which AWS delivers S3 events. Pure.

The envelope decides how a key is decoded, exactly once: S3 notifications and S3 Batch Operations
carry keys form-encoded (a space is ``+``), EventBridge carries them raw.

`run_recorder.object_events` parses the formats of S3 itself. The formats of SQS, SNS and S3 Batch Operations:
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_plus

from run_recorder.domain import ObjectEvent
from run_recorder.errors import UnknownEventError
from run_recorder.object_events import describe_shape, make_object_event, parse_notification, parse_s3_event

_SQS_BODY, _SNS_MESSAGE = "the message body", "the SNS message"


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One SQS message, or one task of S3 Batch Operations: a part of an event that succeeds or fails alone.

    Attributes:
        item_id: id under which its outcome is reported to SQS or S3 Batch Operations.
        object_events: the object events in it.
        body: the body of the SQS message; None for a task.
        error: the reason why its object events cannot be read; None if they can.
        log_fields: fields of its log lines.
    """

    item_id: str
    object_events: tuple[ObjectEvent, ...] = ()
    body: str | None = None
    error: UnknownEventError | None = None
    log_fields: Mapping[str, str | int] = field(default_factory=dict)


def is_from_sqs(event: object) -> bool:
    """Return whether Lambda's SQS event source sent this event."""
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return True
    return False


def parse_messages(event: Mapping[str, Any], *, can_wait: bool = False) -> list[WorkItem]:
    """Return the messages of an SQS event; an error in one does not affect the others.

    Args:
        event: an event of Lambda's SQS event source.
        can_wait: whether the messages can be put back, as in `ObjectEvent`.

    Raises:
        UnknownEventError: a record has no message id, under which it could be reported.
    """
    return [_parse_message(record, can_wait=can_wait) for record in event["Records"]]


def parse_tasks(event: object) -> list[WorkItem]:
    """Return the tasks of an invocation by S3 Batch Operations; their object events have no sequencer.

    Raises:
        UnknownEventError: the event is not an invocation by S3 Batch Operations, or a task has no id.
    """
    match event:
        case {"invocationSchemaVersion": "1.0" | "2.0", "invocationId": str(), "tasks": [*tasks]}:
            return [_parse_task(task) for task in tasks]
    raise UnknownEventError(f"not an S3 Batch Operations event of schema 1.0 or 2.0: {describe_shape(event)}")


def parse_object_events(event: object) -> list[ObjectEvent]:
    """Return the object events of an event that S3, SNS or EventBridge sent to the function directly.

    Raises:
        UnknownEventError: the event, or one record of it, has none of these formats.
    """
    match event:
        case {"Records": [{"EventSource": "aws:sns"}, *_] as records}:
            return [object_event for record in records for object_event in _parse_sns_record(record)]
    return parse_s3_event(event)


def _parse_message(record: object, *, can_wait: bool) -> WorkItem:
    match record:
        case {"eventSource": "aws:sqs", "messageId": str(message_id), **rest}:
            body = rest.get("body")
            log_fields: dict[str, str | int] = {"message_id": message_id, **_receive_count(rest.get("attributes"))}
            try:
                events = tuple(replace(event, can_wait=can_wait) for event in _unwrap(body, _SQS_BODY))
                return WorkItem(message_id, events, str(body), log_fields=log_fields)
            except UnknownEventError as error:
                return WorkItem(message_id, error=error, log_fields=log_fields)
    raise UnknownEventError(f"not an SQS record with a messageId: {describe_shape(record)}")


def _parse_task(task: object) -> WorkItem:
    match task:
        case (
            {"taskId": str(task_id), "s3Key": str(key), "s3Bucket": str(bucket), **rest}  # schema 2.0
            | {"taskId": str(task_id), "s3Key": str(key), "s3BucketArn": str(bucket), **rest}  # schema 1.0
        ):
            object_event = make_object_event(
                bucket.rpartition(":")[2],
                unquote_plus(key),
                created=True,
                version_id=rest.get("s3VersionId"),
                etag=None,
                sequencer=None,
            )
            return WorkItem(task_id, (object_event,), log_fields={"task_id": task_id})
        case {"taskId": str(task_id)}:
            error = UnknownEventError(f"a task that names no object: {describe_shape(task)}")
            return WorkItem(task_id, error=error, log_fields={"task_id": task_id})
    raise UnknownEventError(f"not a task with a taskId: {describe_shape(task)}")


def _receive_count(attributes: object) -> dict[str, str | int]:
    """Return the field with the number of deliveries of a message, this one included; empty if unknown."""
    match attributes:
        case {"ApproximateReceiveCount": str(count)} if count.isdecimal():
            return {"receive_count": int(count)}
    return {}


def _parse_sns_record(record: object) -> list[ObjectEvent]:
    match record:
        case {"EventSource": "aws:sns", "Sns": {"Message": message}}:
            return _unwrap(message, _SNS_MESSAGE)
    raise UnknownEventError(f"not a record of SNS: {describe_shape(record)}")


def _unwrap(text: object, envelope: str) -> list[ObjectEvent]:
    """Return the object events in the text of an envelope, which may be another envelope.

    An SNS message is an S3 notification. The body of an SQS message is an S3 notification, an event of
    EventBridge, or an SNS notification.
    """
    event = _load(text, envelope)
    if envelope == _SNS_MESSAGE:
        return parse_notification(event)
    match event:
        case {"Type": "Notification", "Message": message}:
            return _unwrap(message, _SNS_MESSAGE)
    return parse_s3_event(event)


def _load(text: object, envelope: str) -> object:
    if not isinstance(text, str):
        raise UnknownEventError(f"{envelope} is not text: {describe_shape(text)}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnknownEventError(f"{envelope} is not JSON: {type(error).__name__}") from error
