"""What comes together in a batch has nothing to do with each other."""

import json
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handler.app import backfill_handler, lambda_handler
from handler.dispatcher import WORKERS
from local.stack import LocalStack
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from tests.support.stack_fixtures import GOOD, plain

PutMetadata = Callable[..., dict[str, str]]


def key(run_id: str) -> str:
    return f"runs/acme/{run_id}/metadata.json"


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Reading the run "denied" fails, "defect" meets a bug, "hanging" does not return during the test."""
    over = threading.Event()
    read_object = S3.read_object

    def read(self: S3, bucket: str, name: str, *arguments: Any, **options: Any) -> Any:
        match name.split("/"):
            case [_, _, "denied", _]:
                raise AWSCallError("access denied")
            case [_, _, "defect", _]:
                raise ZeroDivisionError
            case [_, _, "hanging", _]:
                over.wait()
                raise AWSCallError("no answer")
        return read_object(self, bucket, name, *arguments, **options)

    monkeypatch.setattr(S3, "read_object", read)
    yield
    over.set()


@pytest.mark.usefixtures("trouble", "time_runs_out_last")
def test_every_kind_of_message_in_one_batch_ends_as_its_own(
    stack: LocalStack, put_metadata: PutMetadata, s3_record: Callable[..., Any], sqs_event: Callable[..., Any]
) -> None:
    good = ("good", "known", "newer", "sns", "rule", "one", "two")
    uploads = {run_id: put_metadata(GOOD, key(run_id)) for run_id in good} | {"bad": put_metadata(b"[", key("bad"))}

    def notification(*run_ids: str, sequencer: str = "5", **fields: Any) -> dict[str, Any]:
        return {
            "Records": [
                s3_record(key(run_id), sequencer=sequencer, **uploads.get(run_id, {}), **fields) for run_id in run_ids
            ]
        }

    lambda_handler(notification("known", "newer"), None)
    rule = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": stack.outputs["RunsBucket"]},
            "object": {"key": key("rule"), "version-id": uploads["rule"]["versionId"], "sequencer": "5"},
        },
    }
    messages: dict[str, tuple[Any, bool]] = {
        "recorded": (notification("good"), True),
        "rejected": (notification("bad"), True),
        "duplicate": (notification("known"), True),
        "stale": (notification("newer", sequencer="4"), True),
        "gone": (notification("gone"), True),
        "removed": (notification("good", name="ObjectRemoved:Delete"), True),
        "elsewhere": (notification("good", bucket="elsewhere"), True),
        "no key of ours": ({"Records": [s3_record("runs/acme/metadata.json")]}, True),
        "test event": ({"Service": "Amazon S3", "Event": "s3:TestEvent"}, True),
        "through SNS": ({"Type": "Notification", "Message": json.dumps(notification("sns"))}, True),
        "through EventBridge": (rule, True),
        "denied": (notification("denied"), False),
        "defect": (notification("defect"), False),
        "hanging": (notification("hanging"), False),
        "one of three denied": (notification("one", "denied", "two"), False),
        "not JSON": ("{", False),
        "not of S3": ({"Records": [{"eventSource": "aws:kinesis"}]}, False),
        "nothing": ("", False),
    }
    event = sqs_event(*(body for body, _ in messages.values()))
    for record, name in zip(event["Records"], messages, strict=True):
        record["messageId"] = name
    answer = lambda_handler(event, SimpleNamespace(get_remaining_time_in_millis=lambda: 10_000))
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert failed == {name for name, (_, succeeds) in messages.items() if not succeeds}
    statuses = {record["run_id"]: record["status"] for record in map(plain, stack.records())}
    assert statuses == {**dict.fromkeys(good, "recorded"), "bad": "rejected"}


@pytest.mark.parametrize("run_ids", [["same"] * WORKERS, [f"run-{n}" for n in range(WORKERS)]], ids=["same", "many"])
@pytest.mark.parametrize("door", ["sqs", "direct", "backfill"])
def test_uploads_of_one_event_are_handled_at_the_same_time(
    stack: LocalStack,
    put_metadata: PutMetadata,
    s3_record: Callable[..., Any],
    sqs_event: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    run_ids: list[str],
    door: str,
) -> None:
    """Each is let read its object only when all others have come as far."""
    for run_id in set(run_ids):
        put_metadata(key=key(run_id))
    all_are_reading, done = threading.Barrier(len(run_ids)), threading.Event()
    read_object = S3.read_object

    def read(*arguments: Any, **options: Any) -> Any:
        if not done.is_set():
            all_are_reading.wait(timeout=300)  # seconds after which a test that hangs fails
            done.set()
        return read_object(*arguments, **options)

    monkeypatch.setattr(S3, "read_object", read)
    records = [s3_record(key(run_id), sequencer="5") for run_id in run_ids]
    match door:
        case "sqs":
            assert lambda_handler(sqs_event(*({"Records": [record]} for record in records)), None) == {
                "batchItemFailures": []
            }
        case "direct":
            lambda_handler({"Records": records}, None)
        case "backfill":
            tasks = [
                {"taskId": str(number), "s3Key": key(run_id), "s3Bucket": stack.outputs["RunsBucket"]}
                for number, run_id in enumerate(run_ids)
            ]
            event = {"invocationSchemaVersion": "2.0", "invocationId": "i", "job": {}, "tasks": tasks}
            assert {result["resultCode"] for result in backfill_handler(event, None)["results"]} == {"Succeeded"}
    assert len(stack.records()) == len(set(run_ids))
