"""The entry point: answers, logs and metrics, over mocked clients."""

import concurrent.futures
import gc
import importlib
import json
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import boto3
import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

import handler
from handler import app
from handler.app import backfill_handler, lambda_handler
from handler.dispatcher import WORKERS
from run_recorder._version import __version__
from run_recorder.errors import SettingsError, UnknownEventError, UploadFailedError
from run_recorder.recorder import Recorder
from tests.support.documents import INCOMPLETE, document
from tests.support.events import (
    TEST_EVENT,
    batch_event,
    batch_task,
    eventbridge_event,
    notification,
    s3_record,
    sqs_event,
)
from tests.support.fake_s3 import ANY_VERSION, FakeS3
from tests.support.fake_table import FakeTable
from tests.support.names import BUCKET, key_of

DOCUMENT = document(name="confidential")


@pytest.fixture(autouse=True)
def make_client(
    mocker: MockerFixture, s3_client: MagicMock, dynamodb_client: MagicMock, sqs_client: MagicMock
) -> MagicMock:
    clients = {"s3": s3_client, "dynamodb": dynamodb_client, "sqs": sqs_client}
    mock: MagicMock = mocker.patch("boto3.client", autospec=True, side_effect=lambda name, **_: clients[name])
    return mock


@pytest.fixture(autouse=True)
def bucket(s3_client: MagicMock, dynamodb_client: MagicMock) -> FakeS3:
    """The bucket, with the same document for several runs, in whatever version an event names."""
    FakeTable().answer(dynamodb_client)
    bucket = FakeS3().answer(s3_client)
    for run_id in ("run-0001", "good", "good2", "known", "defect", "slow"):
        bucket.put(DOCUMENT, ANY_VERSION, "etag", key=key_of(run_id))
    return bucket


@pytest.fixture
def fail(s3_client: MagicMock, bucket: FakeS3) -> Callable[[str, Exception], None]:
    """Make the requests for a run's metadata.json fail."""
    errors: dict[str, Exception] = {}

    def get_object(**request: Any) -> dict[str, Any]:
        if request["Key"] in errors:
            raise errors[request["Key"]]
        return bucket.get_object(**request)

    def fail(run_id: str, error: Exception) -> None:
        errors[key_of(run_id)] = error
        s3_client.get_object.side_effect = get_object

    return fail


@dataclass
class Hang:
    """Reading the run "slow" hangs until it is over; ``begun`` counts such reads."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hang(s3_client: MagicMock, bucket: FakeS3) -> Iterator[Hang]:
    hang = Hang()

    def get_object(**request: Any) -> dict[str, Any]:
        if request["Key"] == key_of("slow"):
            hang.begun.release()
            hang.over.wait()
        return bucket.get_object(**request)

    s3_client.get_object.side_effect = get_object
    yield hang
    hang.over.set()


def context(milliseconds: object = 300_000, request_id: object = "request-1") -> SimpleNamespace:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds, aws_request_id=request_id)


def log_lines(output: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in output.splitlines()]
    return [line for line in lines if "_aws" not in line]


def metrics(output: str) -> dict[str, float]:
    (line,) = [line for line in map(json.loads, output.splitlines()) if "_aws" in line]
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "RunRecorder"
    assert directive["Dimensions"] == [["service"]]
    assert line["service"] == "run-recorder"
    return {metric["Name"]: sum(line[metric["Name"]]) for metric in directive["Metrics"]}


def test_direct_event_is_answered_with_every_outcome(bucket: FakeS3) -> None:
    bucket.put(b'{"model": 1}', key=key_of("bad"))
    records = [
        s3_record(key_of("good"), sequencer="1", versionId="v1"),
        s3_record(key_of("bad"), sequencer="1"),
        s3_record("other"),
    ]
    assert lambda_handler(notification(*records), None) == {
        "outcomes": [
            {
                "bucket": BUCKET,
                "key": key_of("good"),
                "organisation_id": "acme",
                "run_id": "good",
                "version_id": "v1",
                "outcome": "recorded",
            },
            {
                "bucket": BUCKET,
                "key": key_of("bad"),
                "organisation_id": "acme",
                "run_id": "bad",
                "outcome": "rejected",
                "errors": [{"path": "/model", "message": "expected an object, found an integer"}],
            },
            {
                "bucket": BUCKET,
                "key": "other",
                "outcome": "ignored",
                "reason": "not the key of a run's metadata.json",
            },
        ]
    }


def test_each_upload_is_one_log_line_without_contents(capsys: pytest.CaptureFixture[str], bucket: FakeS3) -> None:
    bucket.put(b'{"model": "confidential"}', key=key_of("bad"))
    records = [
        s3_record(key_of("good"), sequencer="1", versionId="v1"),
        s3_record(key_of("bad"), sequencer="1"),
        s3_record("x"),
    ]
    lambda_handler(notification(*records), None)
    output = capsys.readouterr().out
    assert "confidential" not in output
    lines = {line["key"]: line for line in log_lines(output)}
    assert {line["message"] for line in lines.values()} == {"Run upload handled"}
    good = lines[key_of("good")]
    fields = ("level", "service", "organisation_id", "run_id", "outcome", "bucket", "version_id")
    assert [good[field] for field in fields] == [
        "INFO", "run-recorder", "acme", "good", "recorded", "run-recorder-runs", "v1",
    ]  # fmt: skip
    assert (lines[key_of("bad")]["level"], lines[key_of("bad")]["outcome"]) == ("INFO", "rejected")
    assert (lines["x"]["level"], lines["x"]["outcome"]) == ("WARNING", "ignored")


def test_log_line_has_the_request_id_and_no_place_in_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    records = [s3_record(key_of("good"), sequencer="1"), s3_record("other")]
    lambda_handler(notification(*records), context(request_id="request-7"))
    lines = log_lines(capsys.readouterr().out)
    assert [line["function_request_id"] for line in lines] == ["request-7", "request-7"]
    assert not any("location" in line for line in lines)


@pytest.mark.parametrize("unusable", [None, SimpleNamespace(), MagicMock()], ids=["none", "bare", "mock"])
def test_log_line_has_no_request_id_where_there_is_none(capsys: pytest.CaptureFixture[str], unusable: object) -> None:
    lambda_handler(notification(s3_record(sequencer="1")), unusable)
    (line,) = log_lines(capsys.readouterr().out)
    assert "function_request_id" not in line


def test_only_the_first_invocation_of_an_environment_is_a_cold_start(capsys: pytest.CaptureFixture[str]) -> None:
    record = s3_record(sequencer="1")
    lambda_handler(notification(record, record), context())
    lambda_handler(notification(record), context())
    lambda_handler(sqs_event(notification(record), "nonsense"), context())
    lines = log_lines(capsys.readouterr().out)
    assert [line["cold_start"] for line in lines] == [True, True, False, False, False]


def test_invocation_without_uploads_is_the_cold_start_too(capsys: pytest.CaptureFixture[str]) -> None:
    lambda_handler(TEST_EVENT, context())
    lambda_handler(notification(s3_record(sequencer="1")), context())
    (line,) = log_lines(capsys.readouterr().out)
    assert line["cold_start"] is False


def test_log_line_of_an_sqs_message_has_its_id_and_how_often_it_was_received(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = s3_record(sequencer="1")
    event = sqs_event(notification(record, record), "nonsense", notification(record))
    event["Records"][1]["attributes"]["ApproximateReceiveCount"] = "3"
    del event["Records"][2]["attributes"]
    lambda_handler(event, context())
    lines = log_lines(capsys.readouterr().out)
    assert [(line["message_id"], line.get("receive_count")) for line in lines] == [
        ("0", 1), ("0", 1), ("1", 3), ("2", None),
    ]  # fmt: skip


def test_log_line_of_a_task_has_its_id(bucket: FakeS3, capsys: pytest.CaptureFixture[str]) -> None:
    bucket.put(b"{}", key=key_of("bad"))
    tasks = [batch_task(key_of(run), task_id=f"t{run}") for run in ("good", "bad")]
    backfill_handler(batch_event(*tasks, {"taskId": "tnone"}), context())
    lines = log_lines(capsys.readouterr().out)
    assert [(line["task_id"], line["outcome"]) for line in lines] == [
        ("tgood", "recorded"), ("tbad", "rejected"), ("tnone", "failed"),
    ]  # fmt: skip
    assert not any("message_id" in line or "receive_count" in line for line in lines)


def test_log_line_of_a_direct_event_names_no_message_and_no_task(capsys: pytest.CaptureFixture[str]) -> None:
    lambda_handler(notification(s3_record(sequencer="1")), context())
    (line,) = log_lines(capsys.readouterr().out)
    assert not {"message_id", "receive_count", "task_id"} & set(line)


@pytest.mark.parametrize(("document", "outcome"), [(DOCUMENT, "recorded"), (b'{"model": "confidential"}', "rejected")])
def test_newer_upload_that_was_recorded_instead_is_logged_and_counted_once(
    bucket: FakeS3,
    capsys: pytest.CaptureFixture[str],
    document: bytes,
    outcome: str,
) -> None:
    bucket.put(b"{}", "v1", key=key_of("twice"))
    bucket.put(document, "v2", key=key_of("twice"))
    answer = lambda_handler(notification(s3_record(key_of("twice"), versionId="v1")), context())
    assert answer["outcomes"] == [
        {
            "bucket": BUCKET,
            "key": key_of("twice"),
            "organisation_id": "acme",
            "run_id": "twice",
            "version_id": "v1",
            "outcome": "stale",
        }
    ]
    output = capsys.readouterr().out
    assert "confidential" not in output
    of_event, of_newer = log_lines(output)
    assert (of_event["version_id"], of_event["outcome"]) == ("v1", "stale")
    assert (of_newer["version_id"], of_newer["outcome"]) == ("v2", outcome)
    assert {name: of_newer[name] for name in ("organisation_id", "run_id", "key")} == {
        name: of_event[name] for name in ("organisation_id", "run_id", "key")
    }
    assert metrics(output) == {"StaleEvents": 1, "RunsRecorded" if outcome == "recorded" else "RunsRejected": 1}


def test_newer_upload_without_a_version_is_not_logged_with_that_of_the_event(
    bucket: FakeS3, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put(b"{}", "v1", key=key_of("suspended"))
    bucket.put(DOCUMENT, "null", key=key_of("suspended"))
    lambda_handler(notification(s3_record(key_of("suspended"), versionId="v1")), context())
    of_event, of_newer = log_lines(capsys.readouterr().out)
    assert (of_event["version_id"], of_event["outcome"]) == ("v1", "stale")
    assert of_newer["outcome"] == "recorded"
    assert "version_id" not in of_newer


@pytest.mark.parametrize(("count", "is_truncated"), [(20, False), (21, True)])
def test_answer_states_that_its_errors_are_not_all(bucket: FakeS3, count: int, *, is_truncated: bool) -> None:
    tags = {f"t{index}": index for index in range(count)}
    bucket.put(document(tags=tags), key=key_of("bad"))
    (answer,) = lambda_handler(notification(s3_record(key_of("bad"), sequencer="1")), None)["outcomes"]
    assert len(answer["errors"]) == 20
    assert answer.get("errors_truncated") == (True if is_truncated else None)


def test_no_key_can_break_its_log_line(capsys: pytest.CaptureFixture[str]) -> None:
    """There are more ends of a line than ASCII's: forms of Unicode, which `str.splitlines` knows, too."""
    broken = "runs/\u2028/\x85/\u2029/\n\x1e/metadata.json"
    lambda_handler(eventbridge_event(broken), None)
    (line,) = log_lines(capsys.readouterr().out)
    assert line["key"] == broken


def test_outcomes_are_counted(
    capsys: pytest.CaptureFixture[str],
    bucket: FakeS3,
    fail: Callable[[str, Exception], None],
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
) -> None:
    bucket.put(b"{}", key=key_of("bad"))
    fail("broken", client_error("SlowDown"))
    found = {"sequencer": {"S": "2".zfill(32)}, "status": {"S": "recorded"}, "etag": {"S": "etag"}}

    def update_item(*, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        if Key["run_id"]["S"] == "known":
            raise client_error("ConditionalCheckFailedException", Item=found)
        return {}

    dynamodb_client.update_item.side_effect = update_item
    runs = [("good", "1"), ("good2", "1"), ("bad", "1"), ("broken", "1"), ("known", "1"), ("known", "2")]
    records = [s3_record(key_of(run), sequencer=sequencer) for run, sequencer in runs] + [s3_record("other")]
    lambda_handler(sqs_event(*(notification(record) for record in records), "nonsense"), None)
    assert metrics(capsys.readouterr().out) == {
        "RunsRecorded": 2,
        "RunsRejected": 1,
        "DuplicateEvents": 1,
        "StaleEvents": 1,
        "IgnoredEvents": 1,
        "FailedEvents": 2,
    }


def test_nothing_handled_is_nothing_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert lambda_handler(TEST_EVENT, None) == {"outcomes": []}
    assert capsys.readouterr().out == ""


def test_direct_event_raises_after_all_records_were_tried(
    fail: Callable[[str, Exception], None],
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
) -> None:
    fail("broken", client_error("AccessDenied"))
    records = [s3_record(key_of("broken"), sequencer="1"), s3_record(key_of("good"), sequencer="1")]
    with pytest.raises(
        UploadFailedError, match=r"^1 of 2 uploads failed, see the log: s3://run-recorder-runs/runs/acme/broken/"
    ):
        lambda_handler(notification(*records), None)
    dynamodb_client.update_item.assert_called_once()


def test_failure_is_logged_with_its_reason(
    fail: Callable[[str, Exception], None],
    client_error: Callable[..., ClientError],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail("broken", client_error("AccessDenied"))
    lambda_handler(sqs_event(notification(s3_record(key_of("broken"), sequencer="1"))), None)
    (line,) = log_lines(capsys.readouterr().out)
    assert (line["level"], line["outcome"], line["run_id"]) == ("ERROR", "failed", "broken")
    assert "AccessDenied" in line["reason"]


def test_sqs_is_told_the_failed_messages_only(
    fail: Callable[[str, Exception], None],
    client_error: Callable[..., ClientError],
) -> None:
    fail("broken", client_error("SlowDown"))
    good = s3_record(key_of("good"), sequencer="1")
    broken = s3_record(key_of("broken"), sequencer="1")
    event = sqs_event(
        notification(good),
        notification(good, broken, good),
        TEST_EVENT,
        notification(good),
        "nonsense",
        notification(broken),
        notification(good),
    )
    assert lambda_handler(event, None) == {
        "batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "4"}, {"itemIdentifier": "5"}]
    }


def test_sqs_is_told_the_whole_batch_when_all_failed() -> None:
    assert lambda_handler(sqs_event("a", "b"), None) == {
        "batchItemFailures": [{"itemIdentifier": "0"}, {"itemIdentifier": "1"}]
    }


def test_refused_message_is_logged_with_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    lambda_handler(sqs_event('{"secret": 1}'), None)
    (line,) = log_lines(capsys.readouterr().out)
    assert (line["level"], line["message_id"]) == ("ERROR", "0")
    assert line["reason"] == "not an S3 notification: an object with the names 'secret'"


def test_defect_fails_its_own_message_alone(
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handle = Recorder.handle

    def fail_one(self: Any, upload: Any) -> Any:
        if upload.run.run_id == "defect":
            raise ZeroDivisionError
        return handle(self, upload)

    mocker.patch.object(Recorder, "handle", fail_one)
    records = [s3_record(key_of(run), sequencer="1") for run in ("good", "defect", "good2")]
    event = sqs_event(*(notification(record) for record in records))
    assert lambda_handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    (line,) = [line for line in log_lines(capsys.readouterr().out) if line["level"] == "ERROR"]
    assert (line["run_id"], line["reason"]) == ("defect", "ZeroDivisionError")
    assert "Traceback" in line["exception"]


@pytest.mark.usefixtures("time_runs_out_last")
def test_message_that_is_not_finished_in_time_fails_alone(
    hang: Hang,  # noqa: ARG001
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = [s3_record(key_of(run), sequencer="1") for run in ("good", "slow", "good2")]
    event = sqs_event(*(notification(record) for record in records), "nonsense")
    answer = lambda_handler(event, context(1500))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "3"}]}
    output = capsys.readouterr().out
    outcomes = {line["run_id"]: line["outcome"] for line in log_lines(output) if "run_id" in line}
    assert outcomes == {"good": "recorded", "slow": "failed", "good2": "recorded"}
    assert "the invocation's time ran out" in output
    assert metrics(output) == {"RunsRecorded": 2, "FailedEvents": 2}


def test_upload_that_had_not_begun_in_time_never_begins_and_holds_up_no_other_event(
    hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(handled: Collection[Future[Any]], timeout: float | None) -> Any:
        """End the time when every worker is busy."""
        assert timeout is not None
        for _ in range(WORKERS):
            assert hang.begun.acquire(timeout=300)
        return concurrent.futures.wait(handled, timeout=0)

    event = sqs_event(*[notification(s3_record(key_of("slow"), sequencer="1"))] * (WORKERS + 4))
    with monkeypatch.context() as patch:
        patch.setattr("handler.dispatcher.wait", wait)
        assert len(lambda_handler(event, context(500))["batchItemFailures"]) == WORKERS + 4
    next_event = notification(s3_record(key_of("good"), sequencer="1"))
    assert lambda_handler(next_event, context(300_000))["outcomes"][0]["outcome"] == "recorded"
    hang.over.set()
    assert not hang.begun.acquire(timeout=0.5)


def test_direct_event_and_task_that_are_not_finished_in_time_fail(
    hang: Hang,  # noqa: ARG001
) -> None:
    with pytest.raises(UploadFailedError, match=r"^1 of 1 uploads failed"):
        lambda_handler(notification(s3_record(key_of("slow"), sequencer="1")), context(100))
    (result,) = backfill_handler(batch_event(batch_task(key_of("slow"))), context(100))["results"]
    assert result["resultCode"] == "TemporaryFailure"
    assert result["resultString"].startswith("failed: the invocation's time ran out")


@pytest.mark.parametrize("unusable", [None, SimpleNamespace(), MagicMock()], ids=["none", "bare", "mock"])
def test_context_without_a_clock_sets_no_limit(unusable: object) -> None:
    answer = lambda_handler(notification(s3_record(sequencer="1")), unusable)
    assert answer["outcomes"][0]["outcome"] == "recorded"


def test_backfill_answers_each_task(
    bucket: FakeS3,
    fail: Callable[[str, Exception], None],
    client_error: Callable[..., ClientError],
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket.put(b"{}", key=key_of("bad"))
    fail("broken", client_error("SlowDown"))
    names = [key_of("good"), key_of("bad"), key_of("gone"), key_of("broken"), "other"]
    tasks = [batch_task(name, task_id=str(number), schema="1.0") for number, name in enumerate(names)]
    answer = backfill_handler(batch_event(*tasks, {"taskId": "5"}, schema="1.0"), None)
    results = [(result["taskId"], result["resultCode"], result["resultString"][:9]) for result in answer.pop("results")]
    assert results == [
        ("0", "Succeeded", "recorded"),
        ("1", "Succeeded", "rejected"),
        ("2", "Succeeded", "ignored"),
        ("3", "TemporaryFailure", "failed: r"),
        ("4", "Succeeded", "ignored"),
        ("5", "PermanentFailure", "failed: a"),
    ]
    assert answer == {"invocationSchemaVersion": "1.0", "invocationId": "i", "treatMissingKeysAs": "PermanentFailure"}
    assert metrics(capsys.readouterr().out) == {
        "RunsRecorded": 1,
        "RunsRejected": 1,
        "IgnoredEvents": 2,
        "FailedEvents": 2,
    }


def test_result_string_fits_batch_operations(fail: Callable[[str, Exception], None]) -> None:
    fail("long", UploadFailedError("x" * 5000))
    (result,) = backfill_handler(batch_event(batch_task(key_of("long"))), None)["results"]
    assert len(result["resultString"]) == 1024


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": [{"eventSource": "aws:kinesis"}]}])
def test_event_that_is_not_of_s3_raises(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError):
        lambda_handler(event, None)


def test_wrong_configuration_fails_before_any_event_is_taken(
    monkeypatch: pytest.MonkeyPatch, s3_client: MagicMock
) -> None:
    event = notification(s3_record())
    monkeypatch.delenv("RUNS_BUCKET")
    monkeypatch.setenv("DEVELOPMENT", "perhaps")
    with pytest.raises(SettingsError, match=r"DEVELOPMENT is 'perhaps'.*; RUNS_BUCKET is not set"):
        lambda_handler(event, None)
    assert s3_client.method_calls == []


def test_clients_are_made_once_for_an_environment(make_client: MagicMock, monkeypatch: pytest.MonkeyPatch) -> None:
    event = notification(s3_record(sequencer="1"))
    lambda_handler(event, None)
    lambda_handler(event, None)
    assert [call.args for call in make_client.call_args_list] == [("s3",), ("dynamodb",)]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    lambda_handler(event, None)
    assert make_client.call_count == 4


@pytest.fixture
def late(bucket: FakeS3, set_age: Callable[[float], None]) -> None:
    """A run whose file is late, a hundred seconds after its upload."""
    bucket.put(INCOMPLETE, "v1", key=key_of("late"))
    set_age(100)


@pytest.mark.usefixtures("late")
def test_message_of_a_run_whose_file_is_late_is_put_back_into_the_queue(
    sqs_client: MagicMock, make_client: MagicMock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPLOADS_QUEUE_URL", "https://sqs/1/uploads")
    event = sqs_event(notification(s3_record(key_of("late"), sequencer="1", versionId="v1")))
    assert lambda_handler(event, context()) == {"batchItemFailures": []}
    sqs_client.send_message.assert_called_once_with(
        QueueUrl="https://sqs/1/uploads", MessageBody=event["Records"][0]["body"], DelaySeconds=100
    )
    assert [call.args for call in make_client.call_args_list] == [("s3",), ("dynamodb",), ("sqs",)]
    assert metrics(capsys.readouterr().out) == {"RunsPending": 1}


@pytest.mark.usefixtures("late")
def test_run_whose_file_is_late_is_rejected_at_once_where_nothing_can_be_put_back(
    make_client: MagicMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = s3_record(key_of("late"), sequencer="1", versionId="v1")
    lambda_handler(sqs_event(notification(record)), context())  # no queue
    monkeypatch.setenv("UPLOADS_QUEUE_URL", "https://sqs/1/uploads")
    (answer,) = lambda_handler(notification(record), context())["outcomes"]
    assert (answer["outcome"], [error["path"] for error in answer["errors"]]) == ("rejected", ["/files/0/path"])
    (result,) = backfill_handler(batch_event(batch_task(key_of("late"))), context())["results"]
    assert (result["resultCode"], result["resultString"]) == ("Succeeded", "duplicate")
    assert ("sqs",) not in [call.args for call in make_client.call_args_list]


def test_environment_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    event = notification(s3_record(bucket="run-recorder-runs", sequencer="1"))
    assert lambda_handler(event, None)["outcomes"][0]["outcome"] == "recorded"
    monkeypatch.setenv("RUNS_BUCKET", "another")
    assert lambda_handler(event, None)["outcomes"][0]["outcome"] == "ignored"


def test_import_makes_clients_in_lambda_only(make_client: MagicMock, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.reload(app)
    make_client.assert_not_called()
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    importlib.reload(app)
    assert make_client.call_count == 2


def test_start_in_lambda_is_logged_with_the_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.reload(app)
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    importlib.reload(app)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line).items() >= {"level": "INFO", "message": "Function started", "version": __version__}.items()


def test_garbage_collector_runs_again_once_the_function_has_started_in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.reload(handler)
    assert gc.isenabled()
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    importlib.reload(handler)
    assert not gc.isenabled()
    importlib.reload(app)
    assert gc.isenabled()


def test_calls_to_aws_name_the_version(make_client: MagicMock) -> None:
    lambda_handler({"Service": "Amazon S3", "Event": "s3:TestEvent"}, None)
    agents = {call.kwargs["config"].user_agent for call in make_client.call_args_list}
    assert agents == {f"run-recorder/{__version__} Boto3/{boto3.__version__}"}


def test_import_fails_in_lambda_when_misconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.delenv("RUNS_TABLE")
    with pytest.raises(SettingsError, match="RUNS_TABLE is not set"):
        importlib.reload(app)
    monkeypatch.undo()
    importlib.reload(app)
