"""The two formats of S3's object events: a record of an S3 notification, and an EventBridge event. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from collections.abc import Mapping
from urllib.parse import unquote_plus

from run_recorder.domain import ObjectEvent
from run_recorder.errors import UnknownEventError
from run_recorder.keys import parse_key, parse_sequencer


def parse_s3_event(event: object) -> list[ObjectEvent]:
    """Return the object events of an S3 notification or of an event that S3 sends to EventBridge.

    Raises:
        UnknownEventError: the event, or one record of it, has neither format.
    """
    match event:
        case {"source": "aws.s3"}:
            return [_parse_eventbridge(event)]
    return parse_notification(event)


def parse_notification(event: object) -> list[ObjectEvent]:
    """Return the object events of an S3 notification; none for S3's test event.

    Raises:
        UnknownEventError: the event, or one record of it, has another format.
    """
    match event:
        case {"Records": [_, *_] as records}:
            return [_parse_s3_record(record) for record in records]
        case {"Service": "Amazon S3", "Event": "s3:TestEvent"}:
            return []
    raise UnknownEventError(f"not an S3 notification: {describe_shape(event)}")


def _parse_s3_record(record: object) -> ObjectEvent:
    match record:
        case {
            "eventSource": "aws:s3",
            "eventName": str(name),
            "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)} as s3_object},
            **rest,
        } if str(rest.get("eventVersion", "2.1")).startswith("2."):
            return make_object_event(
                bucket,
                unquote_plus(key),
                # S3 omits the prefix "s3:"; emulators such as MinIO include it.
                created=name.removeprefix("s3:").startswith("ObjectCreated:"),
                version_id=s3_object.get("versionId"),
                etag=s3_object.get("eTag"),
                sequencer=s3_object.get("sequencer"),
            )
    raise UnknownEventError(f"not an S3 record of event version 2.x: {describe_shape(record)}")


def _parse_eventbridge(event: object) -> ObjectEvent:
    match event:
        case {
            "source": "aws.s3",
            "detail-type": str(name),
            "detail": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)} as s3_object},
        }:
            return make_object_event(
                bucket,
                key,
                created=name == "Object Created",
                version_id=s3_object.get("version-id"),
                etag=s3_object.get("etag"),
                sequencer=s3_object.get("sequencer"),
            )
    raise UnknownEventError(f"not an S3 event of EventBridge: {describe_shape(event)}")


def make_object_event(
    bucket: str, key: str, *, created: bool, version_id: object, etag: object, sequencer: object
) -> ObjectEvent:
    """Return an object event with its values in normal form; a value of another type counts as absent.

    Args:
        bucket: bucket name.
        key: object key, decoded.
        created: whether the event reports that the object was created.
        version_id: version ID; the version ``null`` counts as absent.
        etag: entity tag, with or without quotes.
        sequencer: S3's sequencer, in any spelling.

    Raises:
        UnknownEventError: the bucket, the key or the version is not Unicode text.
    """
    object_event = ObjectEvent(
        bucket=bucket,
        key=key,
        run=parse_key(key),
        created=created,
        version_id=version_id if isinstance(version_id, str) and version_id not in ("", "null") else None,
        etag=etag.strip('"') if isinstance(etag, str) and etag else None,
        sequencer=parse_sequencer(sequencer),
    )
    try:  # JSON can escape a lone surrogate, which neither S3 nor the log accepts
        f"{object_event.bucket}{object_event.key}{object_event.version_id}".encode()
    except UnicodeEncodeError as error:
        raise UnknownEventError("a bucket, key or version that is not Unicode text") from error
    return object_event


def describe_shape(event: object) -> str:
    """Return a description of the shape of an event, to help find its sender; none of its contents."""
    if isinstance(event, Mapping):
        names = ", ".join(repr(str(name)[:40]) for name in list(event)[:10])
        return f"an object with the names {names}" if names else "an empty object"
    return f"a {type(event).__name__}"
