"""Events as AWS delivers them, with the fields that the function reads; the folder events/ has complete ones.

The bucket is the one of the function's environment unless another one is named.
"""

import json
import os
from typing import Any

from tests.support.names import KEY

Event = dict[str, Any]

NO_S3_EVENT = "no S3 event"

TEST_EVENT: Event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}
"""The event by which S3 tests that it may send events."""


def s3_record(key: str = KEY, bucket: str | None = None, name: str = "ObjectCreated:Put", **s3_object: Any) -> Event:
    """Return a record of an S3 notification.

    Args:
        key: the object's key, encoded as S3 does.
        bucket: the object's bucket.
        name: what happened to the object.
        s3_object: ``eTag``, ``versionId``, ``sequencer`` and so on, as S3 spells them.
    """
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": bucket or os.environ["RUNS_BUCKET"]}, "object": {"key": key, **s3_object}},
    }


def notification(*records: Event) -> Event:
    """Return an S3 notification of these records."""
    return {"Records": [*records]}


def eventbridge_event(
    key: str = KEY, bucket: str | None = None, detail_type: str = "Object Created", **s3_object: Any
) -> Event:
    """Return an event of EventBridge.

    Args:
        key: the object's key as it is.
        bucket: the object's bucket.
        detail_type: what happened to the object.
        s3_object: ``etag``, ``version_id``, ``sequencer`` and so on.
    """
    fields = {name.replace("_", "-"): value for name, value in s3_object.items()}
    return {
        "source": "aws.s3",
        "detail-type": detail_type,
        "detail": {"bucket": {"name": bucket or os.environ["RUNS_BUCKET"]}, "object": {"key": key, **fields}},
    }


def sns_event(message: Any) -> Event:
    """Return an event of SNS; a message that is no string is encoded as JSON."""
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": _encode(message)}}]}


def sns_body(message: Any) -> Event:
    """Return the body of an SQS message that SNS sent; a message that is no string is encoded as JSON."""
    return {"Type": "Notification", "Message": _encode(message)}


def sqs_record(body: Any, message_id: str = "0") -> Event:
    """Return an SQS message that is received for the first time; a body that is no string is encoded as JSON."""
    return {
        "eventSource": "aws:sqs",
        "messageId": message_id,
        "body": _encode(body),
        "attributes": {"ApproximateReceiveCount": "1"},
    }


def sqs_event(*bodies: Any) -> Event:
    """Return an SQS event of messages with these bodies, whose ids are "0", "1" and so on."""
    return {"Records": [sqs_record(body, str(number)) for number, body in enumerate(bodies)]}


def batch_task(
    key: str = KEY,
    bucket: str | None = None,
    task_id: str = "0",
    version_id: str | None = None,
    schema: str = "2.0",
) -> Event:
    """Return a task of S3 Batch Operations; its key is encoded as S3 does."""
    name = bucket or os.environ["RUNS_BUCKET"]
    named = {"s3BucketArn": f"arn:aws:s3:::{name}"} if schema == "1.0" else {"s3Bucket": name}
    return {"taskId": task_id, "s3Key": key, "s3VersionId": version_id, **named}


def batch_event(*tasks: Event, schema: str = "2.0") -> Event:
    """Return an invocation by S3 Batch Operations, whose tasks must be of the same schema."""
    return {"invocationSchemaVersion": schema, "invocationId": "i", "job": {"id": "j"}, "tasks": [*tasks]}


def name_envelope(event: Any) -> str:
    """Return the name of the envelope of an event, as in docs/outcomes.md."""
    match event:
        case {"invocationSchemaVersion": version}:
            return f"S3 Batch Operations, schema {version}"
        case {"source": "aws.s3"}:
            return "EventBridge event"
        case {"Records": [{"eventSource": "aws:sqs", "body": body}, *_]}:
            return f"{name_envelope(json.loads(body))} in SQS"
        case {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message}}, *_]} | {
            "Type": "Notification",
            "Message": message,
        }:
            return f"{name_envelope(json.loads(message))} in SNS"
        case {"Records": [{"eventSource": "aws:s3"}, *_]} | {"Event": "s3:TestEvent"}:
            return "S3 notification"
    return NO_S3_EVENT


def _encode(message: Any) -> str:
    return message if isinstance(message, str) else json.dumps(message)
