"""What comes together in a batch has nothing to do with each other."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handler.app import backfill_handler, lambda_handler
from handler.dispatcher import WORKERS
from local.show import plain
from local.stack import LocalStack
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from tests.support.documents import GOOD
from tests.support.events import (
    TEST_EVENT,
    Event,
    batch_event,
    batch_task,
    eventbridge_event,
    notification,
    s3_record,
    sns_body,
    sqs_event,
    sqs_record,
)
from tests.support.names import key_of

PutMetadata = Callable[..., dict[str, str]]


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
def test_every_kind_of_message_in_one_batch_ends_as_its_own(stack: LocalStack, put_metadata: PutMetadata) -> None:
    good = ("good", "known", "newer", "sns", "rule", "one", "two")
    uploads = {run_id: put_metadata(GOOD, key_of(run_id)) for run_id in good}
    uploads["bad"] = put_metadata(b"[", key_of("bad"))

    def notification_of(*run_ids: str, sequencer: str = "5", **fields: Any) -> Event:
        records = (
            s3_record(key_of(run_id), sequencer=sequencer, **uploads.get(run_id, {}), **fields) for run_id in run_ids
        )
        return notification(*records)

    lambda_handler(notification_of("known", "newer"), None)
    version_id = uploads["rule"]["versionId"]
    messages: dict[str, tuple[Any, bool]] = {
        "recorded": (notification_of("good"), True),
        "rejected": (notification_of("bad"), True),
        "duplicate": (notification_of("known"), True),
        "stale": (notification_of("newer", sequencer="4"), True),
        "gone": (notification_of("gone"), True),
        "removed": (notification_of("good", name="ObjectRemoved:Delete"), True),
        "elsewhere": (notification_of("good", bucket="elsewhere"), True),
        "no key of ours": (notification(s3_record("runs/acme/metadata.json")), True),
        "test event": (TEST_EVENT, True),
        "by SNS": (sns_body(notification_of("sns")), True),
        "by EventBridge": (eventbridge_event(key_of("rule"), version_id=version_id, sequencer="5"), True),
        "denied": (notification_of("denied"), False),
        "defect": (notification_of("defect"), False),
        "hanging": (notification_of("hanging"), False),
        "one of three denied": (notification_of("one", "denied", "two"), False),
        "not JSON": ("{", False),
        "not of S3": ({"Records": [{"eventSource": "aws:kinesis"}]}, False),
        "nothing": ("", False),
    }
    event = {"Records": [sqs_record(body, name) for name, (body, _) in messages.items()]}
    answer = lambda_handler(event, SimpleNamespace(get_remaining_time_in_millis=lambda: 10_000))
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert failed == {name for name, (_, succeeds) in messages.items() if not succeeds}
    statuses = {record["run_id"]: record["status"] for record in map(plain, stack.records())}
    assert statuses == {**dict.fromkeys(good, "recorded"), "bad": "rejected"}


@pytest.mark.parametrize("run_ids", [["same"] * WORKERS, [f"run-{n}" for n in range(WORKERS)]], ids=["same", "many"])
@pytest.mark.parametrize("envelope", ["SQS", "S3", "S3 Batch Operations"])
def test_uploads_of_one_event_are_handled_at_the_same_time(
    stack: LocalStack,
    put_metadata: PutMetadata,
    monkeypatch: pytest.MonkeyPatch,
    run_ids: list[str],
    envelope: str,
) -> None:
    """Each is let read its object only when all others have come as far."""
    for run_id in set(run_ids):
        put_metadata(key=key_of(run_id))
    all_are_reading, done = threading.Barrier(len(run_ids)), threading.Event()
    read_object = S3.read_object

    def read(*arguments: Any, **options: Any) -> Any:
        if not done.is_set():
            all_are_reading.wait(timeout=300)  # seconds after which a test that hangs fails
            done.set()
        return read_object(*arguments, **options)

    monkeypatch.setattr(S3, "read_object", read)
    records = [s3_record(key_of(run_id), sequencer="5") for run_id in run_ids]
    match envelope:
        case "SQS":
            answer = lambda_handler(sqs_event(*map(notification, records)), None)
            assert answer == {"batchItemFailures": []}
        case "S3":
            lambda_handler(notification(*records), None)
        case "S3 Batch Operations":
            tasks = [batch_task(key_of(run_id), task_id=str(number)) for number, run_id in enumerate(run_ids)]
            results = backfill_handler(batch_event(*tasks), None)["results"]
            assert {result["resultCode"] for result in results} == {"Succeeded"}
    assert len(stack.records()) == len(set(run_ids))
