"""Object events from every envelope."""

from typing import Any

import pytest

from run_recorder.domain import ObjectEvent, Run
from run_recorder.errors import UnknownEventError
from run_recorder.events import is_from_sqs, parse_messages, parse_object_events, parse_tasks
from tests.support.events import (
    TEST_EVENT,
    batch_event,
    batch_task,
    eventbridge_event,
    notification,
    s3_record,
    sns_body,
    sns_event,
    sqs_event,
)
from tests.support.names import KEY

UNDECODED = "runs/a+b/c d%41/metadata.json"
EVENTBRIDGE = eventbridge_event(UNDECODED, "b", etag="e", version_id="v", sequencer="617f08299329d189")


def test_s3_record_gives_every_field() -> None:
    record = s3_record(KEY, "b", versionId="v", eTag="e", sequencer="1f", size=3)
    assert parse_object_events(notification(record)) == [
        ObjectEvent("b", KEY, Run("acme", "run-0001"), created=True, version_id="v", etag="e", sequencer="1F".zfill(32))
    ]


@pytest.mark.parametrize("version", [{}, {"versionId": None}, {"versionId": ""}, {"versionId": "null"}])
def test_s3_record_of_an_unversioned_bucket_names_no_version(version: dict[str, Any]) -> None:
    (object_event,) = parse_object_events(notification(s3_record(**version)))
    assert object_event.version_id is None


def test_s3_key_is_decoded_once() -> None:
    keys = ["runs/a%2Bb/c%40d%3A%3D/metadata.json", "runs/a+b/r/metadata.json", "runs/a%252Bb/r/metadata.json"]
    object_events = parse_object_events(notification(*map(s3_record, keys)))
    assert [object_event.key for object_event in object_events] == [
        "runs/a+b/c@d:=/metadata.json",
        "runs/a b/r/metadata.json",
        "runs/a%2Bb/r/metadata.json",
    ]
    assert [object_event.run for object_event in object_events] == [Run("a+b", "c@d:="), None, None]


def test_eventbridge_key_is_not_decoded() -> None:
    (object_event,) = parse_object_events(EVENTBRIDGE)
    assert object_event.key == UNDECODED
    assert object_event == ObjectEvent(
        "b", object_event.key, None, created=True, version_id="v", etag="e", sequencer="617F08299329D189".zfill(32)
    )


@pytest.mark.parametrize(
    ("name", "created"),
    [
        ("ObjectCreated:Put", True),
        ("ObjectCreated:CompleteMultipartUpload", True),
        ("s3:ObjectCreated:Copy", True),
        ("ObjectRemoved:Delete", False),
        ("ObjectRestore:Completed", False),
        ("ObjectTagging:Put", False),
        ("LifecycleExpiration:Delete", False),
        ("Replication:OperationFailedReplication", False),
    ],
)
def test_only_object_created_events_are_creations(name: str, *, created: bool) -> None:
    (object_event,) = parse_object_events(notification(s3_record(name=name)))
    assert object_event.created is created


def test_other_detail_types_of_eventbridge_are_not_creations() -> None:
    (object_event,) = parse_object_events({**EVENTBRIDGE, "detail-type": "Object Deleted"})
    assert not object_event.created


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.6", "2.17"])
def test_every_event_version_2_is_accepted(version: str) -> None:
    assert len(parse_object_events({"Records": [{**s3_record(), "eventVersion": version}]})) == 1


def test_every_record_gives_an_object_event() -> None:
    assert [
        object_event.key
        for object_event in parse_object_events(notification(s3_record("a"), s3_record("b"), s3_record("c")))
    ] == list("abc")


def test_s3_notifications_in_sns_are_parsed() -> None:
    event = sns_event(notification(s3_record("a"), s3_record("b")))
    assert [object_event.key for object_event in parse_object_events(event)] == ["a", "b"]


@pytest.mark.parametrize("event", [TEST_EVENT, sns_event(TEST_EVENT)])
def test_test_event_gives_no_object_event(event: dict[str, Any]) -> None:
    assert parse_object_events(event) == []


def test_sqs_messages_are_parsed_by_their_bodies() -> None:
    by_s3, by_sns = notification(s3_record("a+b"), s3_record("c")), sns_body(notification(s3_record("d%2Be")))
    messages = parse_messages(sqs_event(by_s3, by_sns, EVENTBRIDGE, TEST_EVENT))
    assert [message.item_id for message in messages] == ["0", "1", "2", "3"]
    assert [[object_event.key for object_event in message.object_events] for message in messages] == [
        ["a b", "c"],
        ["d+e"],
        [UNDECODED],
        [],
    ]
    assert all(message.error is None for message in messages)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "[" * 100_000,
        "null",
        "[]",
        "{}",
        '{"Records": []}',
        '{"Records": [{"eventSource": "aws:sqs"}]}',
        '{"Type": "SubscriptionConfirmation", "Message": "x"}',
        '{"Type": "Notification", "Message": "x"}',
        '{"Type": "Notification", "Message": 1}',
        '{"source": "aws.s3", "detail-type": "Object Created", "detail": {}}',
    ],
)
def test_invalid_sqs_message_does_not_affect_others(body: str) -> None:
    bad, good = parse_messages(sqs_event(body, notification(s3_record())))
    assert isinstance(bad.error, UnknownEventError)
    assert bad.object_events == ()
    assert good.error is None
    assert len(good.object_events) == 1


@pytest.mark.parametrize(
    "fields", [{"key": "runs/\ud800"}, {"bucket": "b\udfff"}, {"versionId": "\udc00\ud800"}], ids=str
)
def test_message_with_a_lone_surrogate_does_not_affect_others(fields: dict[str, str]) -> None:
    """JSON can escape a lone surrogate, but neither a request to S3 nor a log line can contain one."""
    bad, good = parse_messages(sqs_event(notification(s3_record(**fields)), notification(s3_record("\ud83d\ude00"))))
    assert str(bad.error) == "a bucket, key or version that is not Unicode text"
    assert good.error is None


def test_sqs_record_without_an_id_raises() -> None:
    with pytest.raises(UnknownEventError, match="messageId"):
        parse_messages({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]})


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"Records": []},
        {"Records": [None]},
        {"Records": [{"eventSource": "aws:dynamodb"}]},
        {"Records": [{"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {}}]},
        {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
        {"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": {"eventName": "PutObject"}},
    ],
)
def test_event_that_is_not_an_s3_event_raises(event: Any) -> None:
    with pytest.raises(UnknownEventError, match="not a"):
        parse_object_events(event)


def test_event_version_3_raises() -> None:
    with pytest.raises(UnknownEventError, match=r"event version 2\.x"):
        parse_object_events({"Records": [{**s3_record(), "eventVersion": "3.0"}]})


def test_error_names_the_shape_of_the_event_but_not_its_contents() -> None:
    with pytest.raises(UnknownEventError) as raised:
        parse_object_events({"password": "secret", "x" * 100: 1})
    assert "'password'" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "x" * 41 not in str(raised.value)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"Records": [{"eventSource": "aws:sqs"}]}, True),
        ({"Records": [{"eventSource": "aws:s3"}]}, False),
        ({"Records": []}, False),
        ({}, False),
        (None, False),
    ],
)
def test_sqs_event_is_recognised_by_its_event_source(event: Any, *, expected: bool) -> None:
    assert is_from_sqs(event) is expected


@pytest.mark.parametrize("schema", ["1.0", "2.0"])
def test_task_of_batch_operations_gives_an_unsequenced_object_event(schema: str) -> None:
    task = batch_task("runs/a%2Bb/c%40d%3A%3D/metadata.json", "b", "t", "v", schema=schema)
    (message,) = parse_tasks(batch_event(task, schema=schema))
    assert message.item_id == "t"
    assert message.object_events == (
        ObjectEvent("b", "runs/a+b/c@d:=/metadata.json", Run("a+b", "c@d:="), created=True, version_id="v"),
    )


def test_task_that_names_no_object_does_not_affect_others() -> None:
    good = batch_task("k", task_id="1")
    messages = parse_tasks(batch_event({"taskId": "0", "s3Key": "k"}, good, {"taskId": "2"}))
    assert [message.error is None for message in messages] == [False, True, False]


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        batch_event(schema="3.0"),
        {**batch_event(), "tasks": None},
        batch_event({"s3Key": "k"}),
        notification(),
    ],
)
def test_event_that_is_not_of_batch_operations_raises(event: Any) -> None:
    with pytest.raises(UnknownEventError, match="not a"):
        parse_tasks(event)
