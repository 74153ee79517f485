"""The entry point: answers, logs and metrics, over mocked clients."""

import concurrent.futures
import importlib
import io
import json
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

from handler import app
from handler.app import backfill_handler, lambda_handler
from handler.dispatcher import WORKERS
from run_recorder.errors import SettingsError, UnknownEventError, UploadFailedError
from run_recorder.recorder import Recorder
from tests.support.recorder_bench import UPLOADED_AT

DOCUMENT = b'{"model": {"name": "m", "version": "1"}, "name": "confidential"}'


@pytest.fixture(autouse=True)
def make_client(mocker: MockerFixture, s3_client: MagicMock, dynamodb_client: MagicMock) -> MagicMock:
    clients = {"s3": s3_client, "dynamodb": dynamodb_client}
    mock: MagicMock = mocker.patch("boto3.client", autospec=True, side_effect=lambda name, **_: clients[name])
    return mock


@pytest.fixture(autouse=True)
def objects(
    s3_client: MagicMock, dynamodb_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """What S3 answers by key: a body, or an error to raise. Any other key has a good document."""
    answers: dict[str, Any] = {}

    def get_object(*, Bucket: str, Key: str, **version: Any) -> dict[str, Any]:  # noqa: ARG001, N803 - as boto3 has it
        answer = answers.get(Key, DOCUMENT)
        if isinstance(answer, Exception):
            raise answer
        return get_object_response(answer, **version)

    s3_client.get_object.side_effect = get_object

    def list_versions(*, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: ARG001, N803 - as boto3 has it
        if isinstance(answers.get(Prefix), Exception):
            return [{"IsTruncated": False}]
        return [{"IsTruncated": False, "Versions": [{"Key": Prefix, "VersionId": "null", "ETag": '"etag"'}]}]

    s3_client.get_paginator.return_value.paginate.side_effect = list_versions
    dynamodb_client.get_item.return_value = {}
    return answers


@dataclass
class Hang:
    """Reading the run "slow" hangs until it is over; ``begun`` counts such reads."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hang(s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]) -> Iterator[Hang]:
    hang = Hang()

    def get_object(*, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - as boto3 has it
        if Key == key("slow"):
            hang.begun.release()
            hang.over.wait()
        return get_object_response(DOCUMENT)

    s3_client.get_object.side_effect = get_object
    yield hang
    hang.over.set()


def context(milliseconds: object = 300_000, request_id: object = "request-1") -> SimpleNamespace:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds, aws_request_id=request_id)


def key(run_id: str) -> str:
    return f"runs/acme/{run_id}/metadata.json"


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


def test_direct_event_is_answered_with_every_outcome(s3_record: Callable[..., Any], objects: dict[str, Any]) -> None:
    objects[key("bad")] = b'{"model": 1}'
    event = {
        "Records": [
            s3_record(key("good"), sequencer="1", versionId="v1"),
            s3_record(key("bad"), sequencer="1"),
            s3_record("other"),
        ]
    }
    bucket = "run-recorder-runs"
    assert lambda_handler(event, None) == {
        "outcomes": [
            {
                "bucket": bucket,
                "key": key("good"),
                "organisation_id": "acme",
                "run_id": "good",
                "version_id": "v1",
                "outcome": "recorded",
            },
            {
                "bucket": bucket,
                "key": key("bad"),
                "organisation_id": "acme",
                "run_id": "bad",
                "outcome": "rejected",
                "errors": [{"path": "/model", "message": "expected an object, found an integer"}],
            },
            {
                "bucket": bucket,
                "key": "other",
                "outcome": "ignored",
                "reason": "not the key of a run's metadata.json",
            },
        ]
    }


def test_each_upload_is_one_log_line_without_contents(
    s3_record: Callable[..., Any], capsys: pytest.CaptureFixture[str], objects: dict[str, Any]
) -> None:
    objects[key("bad")] = b'{"model": "confidential"}'
    records = [
        s3_record(key("good"), sequencer="1", versionId="v1"),
        s3_record(key("bad"), sequencer="1"),
        s3_record("x"),
    ]
    lambda_handler({"Records": records}, None)
    output = capsys.readouterr().out
    assert "confidential" not in output
    lines = {line["key"]: line for line in log_lines(output)}
    assert {line["message"] for line in lines.values()} == {"Run upload handled"}
    good = lines[key("good")]
    fields = ("level", "service", "organisation_id", "run_id", "outcome", "bucket", "version_id")
    assert [good[field] for field in fields] == [
        "INFO", "run-recorder", "acme", "good", "recorded", "run-recorder-runs", "v1",
    ]  # fmt: skip
    assert (lines[key("bad")]["level"], lines[key("bad")]["outcome"]) == ("INFO", "rejected")
    assert (lines["x"]["level"], lines["x"]["outcome"]) == ("WARNING", "ignored")


def test_log_line_has_the_request_id_and_no_place_in_the_code(
    s3_record: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    records = [s3_record(key("good"), sequencer="1"), s3_record("other")]
    lambda_handler({"Records": records}, context(request_id="request-7"))
    lines = log_lines(capsys.readouterr().out)
    assert [line["function_request_id"] for line in lines] == ["request-7", "request-7"]
    assert not any("location" in line for line in lines)


@pytest.mark.parametrize("unusable", [None, SimpleNamespace(), MagicMock()], ids=["none", "bare", "mock"])
def test_log_line_has_no_request_id_where_there_is_none(
    s3_record: Callable[..., Any], capsys: pytest.CaptureFixture[str], unusable: object
) -> None:
    lambda_handler({"Records": [s3_record(sequencer="1")]}, unusable)
    (line,) = log_lines(capsys.readouterr().out)
    assert "function_request_id" not in line


def test_only_the_first_invocation_of_an_environment_is_a_cold_start(
    s3_record: Callable[..., Any], sqs_event: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    record = s3_record(sequencer="1")
    lambda_handler({"Records": [record, record]}, context())
    lambda_handler({"Records": [record]}, context())
    lambda_handler(sqs_event({"Records": [record]}, "nonsense"), context())
    lines = log_lines(capsys.readouterr().out)
    assert [line["cold_start"] for line in lines] == [True, True, False, False, False]


def test_invocation_without_uploads_is_the_cold_start_too(
    s3_record: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lambda_handler({"Service": "Amazon S3", "Event": "s3:TestEvent"}, context())
    lambda_handler({"Records": [s3_record(sequencer="1")]}, context())
    (line,) = log_lines(capsys.readouterr().out)
    assert line["cold_start"] is False


def test_log_line_of_an_sqs_message_has_its_id_and_how_often_it_was_received(
    s3_record: Callable[..., Any], sqs_event: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    record = s3_record(sequencer="1")
    event = sqs_event({"Records": [record, record]}, "nonsense", {"Records": [record]})
    event["Records"][1]["attributes"]["ApproximateReceiveCount"] = "3"
    del event["Records"][2]["attributes"]
    lambda_handler(event, context())
    lines = log_lines(capsys.readouterr().out)
    assert [(line["message_id"], line.get("receive_count")) for line in lines] == [
        ("0", 1), ("0", 1), ("1", 3), ("2", None),
    ]  # fmt: skip


def test_log_line_of_a_task_has_its_id(objects: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    objects[key("bad")] = b"{}"
    tasks = [{"taskId": f"t{run}", "s3Key": key(run), "s3Bucket": "run-recorder-runs"} for run in ("good", "bad")]
    event = {"invocationSchemaVersion": "2.0", "invocationId": "i", "job": {}, "tasks": [*tasks, {"taskId": "tnone"}]}
    backfill_handler(event, context())
    lines = log_lines(capsys.readouterr().out)
    assert [(line["task_id"], line["outcome"]) for line in lines] == [
        ("tgood", "recorded"), ("tbad", "rejected"), ("tnone", "failed"),
    ]  # fmt: skip
    assert not any("message_id" in line or "receive_count" in line for line in lines)


def test_log_line_of_a_direct_event_names_no_message_and_no_task(
    s3_record: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lambda_handler({"Records": [s3_record(sequencer="1")]}, context())
    (line,) = log_lines(capsys.readouterr().out)
    assert not {"message_id", "receive_count", "task_id"} & set(line)


@pytest.mark.parametrize(("document", "outcome"), [(DOCUMENT, "recorded"), (b'{"model": "confidential"}', "rejected")])
def test_newer_upload_that_was_recorded_instead_is_logged_and_counted_once(
    s3_record: Callable[..., Any],
    s3_client: MagicMock,
    get_object_response: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    document: bytes,
    outcome: str,
) -> None:
    s3_client.get_object.side_effect = lambda **_: get_object_response(document, VersionId="v2")
    listed = {"Key": key("good"), "VersionId": "v2", "ETag": '"etag"'}
    s3_client.get_paginator.return_value.paginate.side_effect = lambda **_: [
        {"IsTruncated": False, "Versions": [listed]}
    ]
    s3_client.head_object.return_value = {"ContentLength": 1, "ETag": '"e1"', "LastModified": UPLOADED_AT}
    answer = lambda_handler({"Records": [s3_record(key("good"), versionId="v1")]}, context())
    assert answer["outcomes"] == [
        {
            "bucket": "run-recorder-runs",
            "key": key("good"),
            "organisation_id": "acme",
            "run_id": "good",
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
    s3_record: Callable[..., Any], s3_client: MagicMock, capsys: pytest.CaptureFixture[str]
) -> None:
    s3_client.head_object.return_value = {"ContentLength": 1, "ETag": '"e1"', "LastModified": UPLOADED_AT}
    s3_client.get_object.side_effect = None
    s3_client.get_object.return_value = {
        "Body": io.BytesIO(DOCUMENT),
        "ContentLength": len(DOCUMENT),
        "ETag": '"etag"',
        "LastModified": UPLOADED_AT,
    }
    lambda_handler({"Records": [s3_record(key("good"), versionId="v1")]}, context())
    of_event, of_newer = log_lines(capsys.readouterr().out)
    assert (of_event["version_id"], of_event["outcome"]) == ("v1", "stale")
    assert of_newer["outcome"] == "recorded"
    assert "version_id" not in of_newer


@pytest.mark.parametrize(("count", "is_truncated"), [(20, False), (21, True)])
def test_answer_states_that_its_errors_are_not_all(
    s3_record: Callable[..., Any], objects: dict[str, Any], count: int, *, is_truncated: bool
) -> None:
    tags = {f"t{index}": index for index in range(count)}
    objects[key("bad")] = json.dumps({"model": {"name": "m", "version": "1"}, "tags": tags}).encode()
    (answer,) = lambda_handler({"Records": [s3_record(key("bad"), sequencer="1")]}, None)["outcomes"]
    assert len(answer["errors"]) == 20
    assert answer.get("errors_truncated") == (True if is_truncated else None)


def test_no_key_can_break_its_log_line(s3_record: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    """There are more ends of a line than ASCII's: forms of Unicode, which `str.splitlines` knows, too."""
    broken = "runs/\u2028/\x85/\u2029/\n\x1e/metadata.json"
    lambda_handler({"source": "aws.s3", "detail-type": "Object Created", "detail": s3_record(broken)["s3"]}, None)
    (line,) = log_lines(capsys.readouterr().out)
    assert line["key"] == broken


def test_outcomes_are_counted(
    s3_record: Callable[..., Any],
    sqs_event: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    objects: dict[str, Any],
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
) -> None:
    objects[key("bad")] = b"{}"
    objects[key("broken")] = client_error("SlowDown")
    found = {"sequencer": {"S": "2".zfill(32)}, "status": {"S": "recorded"}, "etag": {"S": "etag"}}

    def update_item(*, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        if Key["run_id"]["S"] == "known":
            raise client_error("ConditionalCheckFailedException", Item=found)
        return {}

    dynamodb_client.update_item.side_effect = update_item
    runs = [("good", "1"), ("good2", "1"), ("bad", "1"), ("broken", "1"), ("known", "1"), ("known", "2")]
    records = [s3_record(key(run), sequencer=sequencer) for run, sequencer in runs] + [s3_record("other")]
    lambda_handler(sqs_event(*({"Records": [record]} for record in records), "nonsense"), None)
    assert metrics(capsys.readouterr().out) == {
        "RunsRecorded": 2,
        "RunsRejected": 1,
        "DuplicateEvents": 1,
        "StaleEvents": 1,
        "IgnoredEvents": 1,
        "FailedEvents": 2,
    }


def test_nothing_handled_is_nothing_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert lambda_handler({"Service": "Amazon S3", "Event": "s3:TestEvent"}, None) == {"outcomes": []}
    assert capsys.readouterr().out == ""


def test_direct_event_raises_after_all_records_were_tried(
    s3_record: Callable[..., Any],
    objects: dict[str, Any],
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
) -> None:
    objects[key("broken")] = client_error("AccessDenied")
    records = [s3_record(key("broken"), sequencer="1"), s3_record(key("good"), sequencer="1")]
    with pytest.raises(
        UploadFailedError, match=r"^1 of 2 uploads failed, see the log: s3://run-recorder-runs/runs/acme/broken/"
    ):
        lambda_handler({"Records": records}, None)
    dynamodb_client.update_item.assert_called_once()


def test_failure_is_logged_with_its_reason(
    s3_record: Callable[..., Any],
    sqs_event: Callable[..., Any],
    objects: dict[str, Any],
    client_error: Callable[..., ClientError],
    capsys: pytest.CaptureFixture[str],
) -> None:
    objects[key("broken")] = client_error("AccessDenied")
    lambda_handler(sqs_event({"Records": [s3_record(key("broken"), sequencer="1")]}), None)
    (line,) = log_lines(capsys.readouterr().out)
    assert (line["level"], line["outcome"], line["run_id"]) == ("ERROR", "failed", "broken")
    assert "AccessDenied" in line["reason"]


def test_sqs_is_told_the_failed_messages_only(
    s3_record: Callable[..., Any],
    sqs_event: Callable[..., Any],
    objects: dict[str, Any],
    client_error: Callable[..., ClientError],
) -> None:
    objects[key("broken")] = client_error("SlowDown")
    good = s3_record(key("good"), sequencer="1")
    broken = s3_record(key("broken"), sequencer="1")
    event = sqs_event(
        {"Records": [good]},
        {"Records": [good, broken, good]},
        {"Service": "Amazon S3", "Event": "s3:TestEvent"},
        {"Records": [good]},
        "nonsense",
        {"Records": [broken]},
        {"Records": [good]},
    )
    assert lambda_handler(event, None) == {
        "batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "4"}, {"itemIdentifier": "5"}]
    }


def test_sqs_is_told_the_whole_batch_when_all_failed(sqs_event: Callable[..., Any]) -> None:
    assert lambda_handler(sqs_event("a", "b"), None) == {
        "batchItemFailures": [{"itemIdentifier": "0"}, {"itemIdentifier": "1"}]
    }


def test_refused_message_is_logged_with_its_id(
    sqs_event: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    lambda_handler(sqs_event('{"secret": 1}'), None)
    (line,) = log_lines(capsys.readouterr().out)
    assert (line["level"], line["message_id"]) == ("ERROR", "0")
    assert line["reason"] == "not an S3 notification: an object with the names 'secret'"


def test_defect_fails_its_own_message_alone(
    s3_record: Callable[..., Any],
    sqs_event: Callable[..., Any],
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handle = Recorder.handle

    def fail_one(self: Any, upload: Any) -> Any:
        if upload.run.run_id == "defect":
            raise ZeroDivisionError
        return handle(self, upload)

    mocker.patch.object(Recorder, "handle", fail_one)
    records = [s3_record(key(run), sequencer="1") for run in ("good", "defect", "good2")]
    event = sqs_event(*({"Records": [record]} for record in records))
    assert lambda_handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    (line,) = [line for line in log_lines(capsys.readouterr().out) if line["level"] == "ERROR"]
    assert (line["run_id"], line["reason"]) == ("defect", "ZeroDivisionError")
    assert "Traceback" in line["exception"]


@pytest.mark.usefixtures("time_runs_out_last")
def test_message_that_is_not_finished_in_time_fails_alone(
    s3_record: Callable[..., Any],
    sqs_event: Callable[..., Any],
    hang: Hang,  # noqa: ARG001
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = [s3_record(key(run), sequencer="1") for run in ("good", "slow", "good2")]
    event = sqs_event(*({"Records": [record]} for record in records), "nonsense")
    answer = lambda_handler(event, context(1500))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}, {"itemIdentifier": "3"}]}
    output = capsys.readouterr().out
    outcomes = {line["run_id"]: line["outcome"] for line in log_lines(output) if "run_id" in line}
    assert outcomes == {"good": "recorded", "slow": "failed", "good2": "recorded"}
    assert "the invocation's time ran out" in output
    assert metrics(output) == {"RunsRecorded": 2, "FailedEvents": 2}


def test_upload_that_had_not_begun_in_time_never_begins_and_holds_up_no_other_event(
    s3_record: Callable[..., Any], sqs_event: Callable[..., Any], hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(handled: Collection[Future[Any]], timeout: float | None) -> Any:
        """Ends the time when every worker is busy."""
        assert timeout is not None
        for _ in range(WORKERS):
            assert hang.begun.acquire(timeout=300)
        return concurrent.futures.wait(handled, timeout=0)

    event = sqs_event(*[{"Records": [s3_record(key("slow"), sequencer="1")]}] * (WORKERS + 4))
    with monkeypatch.context() as patch:
        patch.setattr("handler.dispatcher.wait", wait)
        assert len(lambda_handler(event, context(500))["batchItemFailures"]) == WORKERS + 4
    next_event = {"Records": [s3_record(key("good"), sequencer="1")]}
    assert lambda_handler(next_event, context(300_000))["outcomes"][0]["outcome"] == "recorded"
    hang.over.set()
    assert not hang.begun.acquire(timeout=0.5)


def test_direct_event_and_task_that_are_not_finished_in_time_fail(
    s3_record: Callable[..., Any],
    hang: Hang,  # noqa: ARG001
) -> None:
    with pytest.raises(UploadFailedError, match=r"^1 of 1 uploads failed"):
        lambda_handler({"Records": [s3_record(key("slow"), sequencer="1")]}, context(100))
    task = {"taskId": "0", "s3Key": key("slow"), "s3Bucket": "run-recorder-runs"}
    event = {"invocationSchemaVersion": "2.0", "invocationId": "i", "job": {}, "tasks": [task]}
    (result,) = backfill_handler(event, context(100))["results"]
    assert result["resultCode"] == "TemporaryFailure"
    assert result["resultString"].startswith("failed: the invocation's time ran out")


@pytest.mark.parametrize("unusable", [None, SimpleNamespace(), MagicMock()], ids=["none", "bare", "mock"])
def test_context_without_a_clock_sets_no_limit(s3_record: Callable[..., Any], unusable: object) -> None:
    answer = lambda_handler({"Records": [s3_record(sequencer="1")]}, unusable)
    assert answer["outcomes"][0]["outcome"] == "recorded"


def test_backfill_answers_each_task(
    objects: dict[str, Any], client_error: Callable[..., ClientError], capsys: pytest.CaptureFixture[str]
) -> None:
    objects[key("bad")] = b"{}"
    objects[key("gone")] = client_error("NoSuchKey")
    objects[key("broken")] = client_error("SlowDown")
    names = [key("good"), key("bad"), key("gone"), key("broken"), "other"]
    tasks: list[dict[str, Any]] = [
        {"taskId": str(number), "s3Key": name, "s3VersionId": None, "s3BucketArn": "arn:aws:s3:::run-recorder-runs"}
        for number, name in enumerate(names)
    ]
    event = {"invocationSchemaVersion": "1.0", "invocationId": "i", "job": {}, "tasks": [*tasks, {"taskId": "5"}]}
    answer = backfill_handler(event, None)
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


def test_result_string_fits_batch_operations(objects: dict[str, Any]) -> None:
    objects[key("long")] = UploadFailedError("x" * 5000)
    task = {"taskId": "0", "s3Key": key("long"), "s3Bucket": "run-recorder-runs"}
    event = {"invocationSchemaVersion": "2.0", "invocationId": "i", "job": {}, "tasks": [task]}
    (result,) = backfill_handler(event, None)["results"]
    assert len(result["resultString"]) == 1024


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": [{"eventSource": "aws:kinesis"}]}])
def test_event_that_is_not_of_s3_raises(event: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError):
        lambda_handler(event, None)


def test_wrong_configuration_fails_before_any_event_is_taken(
    monkeypatch: pytest.MonkeyPatch, s3_record: Callable[..., Any], s3_client: MagicMock
) -> None:
    event = {"Records": [s3_record()]}
    monkeypatch.delenv("RUNS_BUCKET")
    monkeypatch.setenv("DEVELOPMENT", "perhaps")
    with pytest.raises(SettingsError, match=r"DEVELOPMENT is 'perhaps'.*; RUNS_BUCKET is not set"):
        lambda_handler(event, None)
    assert s3_client.method_calls == []


def test_clients_are_made_once_for_an_environment(
    make_client: MagicMock, monkeypatch: pytest.MonkeyPatch, s3_record: Callable[..., Any]
) -> None:
    event = {"Records": [s3_record(sequencer="1")]}
    lambda_handler(event, None)
    lambda_handler(event, None)
    assert [call.args for call in make_client.call_args_list] == [("s3",), ("dynamodb",)]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")
    lambda_handler(event, None)
    assert make_client.call_count == 4


def test_environment_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch, s3_record: Callable[..., Any]) -> None:
    event = {"Records": [s3_record(bucket="run-recorder-runs", sequencer="1")]}
    assert lambda_handler(event, None)["outcomes"][0]["outcome"] == "recorded"
    monkeypatch.setenv("RUNS_BUCKET", "another")
    assert lambda_handler(event, None)["outcomes"][0]["outcome"] == "ignored"


def test_import_makes_clients_in_lambda_only(make_client: MagicMock, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.reload(app)
    make_client.assert_not_called()
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    importlib.reload(app)
    assert make_client.call_count == 2


def test_import_fails_in_lambda_when_misconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.delenv("RUNS_TABLE")
    with pytest.raises(SettingsError, match="RUNS_TABLE is not set"):
        importlib.reload(app)
    monkeypatch.undo()
    importlib.reload(app)
