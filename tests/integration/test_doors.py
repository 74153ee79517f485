"""Every envelope leads to the same record."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from handler.app import backfill_handler, lambda_handler
from local.stack import LocalStack
from tests.support.stack_fixtures import GOOD, delete_records, plain

RUN_ID = "2026-11-20T08:30+01:00=a@b~c_d"
KEY = f"runs/acme/{RUN_ID}/metadata.json"
SEQUENCER = "0055AED6DCD90281E5"


@pytest.fixture
def s3_notification(s3_record: Callable[..., Any], put_metadata: Callable[..., dict[str, str]]) -> dict[str, Any]:
    return {"Records": [s3_record(quote_plus(KEY, safe="/"), sequencer=SEQUENCER, **put_metadata(GOOD, KEY))]}


@pytest.fixture
def eventbridge_event(s3_notification: dict[str, Any]) -> dict[str, Any]:
    s3 = s3_notification["Records"][0]["s3"]
    uploaded = s3["object"]
    return {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": s3["bucket"],
            "object": {
                "key": KEY,
                "etag": uploaded["eTag"],
                "version-id": uploaded["versionId"],
                "sequencer": SEQUENCER.lower().removeprefix("00"),
            },
        },
    }


def through_batch_operations(stack: LocalStack, encode: Callable[[str], str]) -> dict[str, Any]:
    arn = f"arn:aws:s3:::{stack.outputs['RunsBucket']}"
    task = {"taskId": "t", "s3Key": encode(KEY), "s3VersionId": None, "s3BucketArn": arn}
    event = {"invocationSchemaVersion": "1.0", "invocationId": "i", "job": {"id": "j"}, "tasks": [task]}
    return backfill_handler(event, None)


def test_every_door_leads_to_the_same_record(
    stack: LocalStack,
    s3_notification: dict[str, Any],
    eventbridge_event: dict[str, Any],
    sqs_event: Callable[..., Any],
) -> None:
    sns_record = {"EventSource": "aws:sns", "Sns": {"Message": json.dumps(s3_notification)}}
    sns_body = {"Type": "Notification", "Message": json.dumps(s3_notification)}
    doors = {
        "S3": s3_notification,
        "S3 in SQS": sqs_event(s3_notification),
        "SNS": {"Records": [sns_record]},
        "SNS in SQS": sqs_event(sns_body),
        "EventBridge": eventbridge_event,
        "EventBridge in SQS": sqs_event(eventbridge_event),
    }
    records = {}
    for door, event in doors.items():
        lambda_handler(event, None)
        (item,) = stack.records()
        record = plain(item)
        del record["recorded_at"], record["first_recorded_at"]
        records[door] = record
        delete_records(stack)
    expected = records["S3"]
    assert (expected["organisation_id"], expected["run_id"]) == ("acme", RUN_ID)
    assert expected["sequencer"] == SEQUENCER.rjust(32, "0")
    assert records == dict.fromkeys(doors, expected)

    for encode in (quote, quote_plus):
        through_batch_operations(stack, encode)
        unsequenced = plain(stack.records()[0])
        assert "sequencer" not in unsequenced
        assert unsequenced["config"] == expected["config"]
        assert unsequenced["version_id"] == expected["version_id"]


def test_same_upload_through_two_doors_is_a_duplicate(
    stack: LocalStack, s3_notification: dict[str, Any], eventbridge_event: dict[str, Any]
) -> None:
    assert lambda_handler(eventbridge_event, None)["outcomes"][0]["outcome"] == "recorded"
    assert lambda_handler(s3_notification, None)["outcomes"][0]["outcome"] == "duplicate"
    assert through_batch_operations(stack, quote)["results"][0]["resultString"] == "duplicate"
