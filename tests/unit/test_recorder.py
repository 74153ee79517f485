"""One object event to one outcome; sequenced events take one read and one write."""

import hashlib
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_mock import MockerFixture

from run_recorder.config import load_settings
from run_recorder.domain import Outcome
from run_recorder.errors import AWSCallError, ContentionError, FieldError
from run_recorder.record_state import RECORD_ATTRIBUTES
from run_recorder.recorder import Recorder
from run_recorder.s3 import S3
from run_recorder.verdict import MISSING_FILES, Result
from run_recorder.waiting import Look, Wait
from tests.support.documents import BAD, GOOD, INCOMPLETE, document
from tests.support.names import BUCKET, KEY, UPLOADED_AT, key_of
from tests.support.recorder_bench import RecorderBench

SEQUENCER = "0" * 31 + "5"
HIGHER = "0" * 31 + "6"
FILE_IS_MISSING = FieldError("/files/0/path", "no object late.csv below the run's prefix")
INCOMPLETE_RECORD = {
    "status": "rejected",
    "errors": [{"path": FILE_IS_MISSING.path, "message": FILE_IS_MISSING.message}],
}


def test_model_config_may_be_that_of_another_environment(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(b"{}", "v1")
    deployed = {"DEVELOPMENT": "true", "RUNS_BUCKET": BUCKET, "RUNS_TABLE": "table", "MODEL_NAME": "deployed"}
    recorder = Recorder(load_settings(deployed), S3(recorder_bench.s3_client), recorder_bench.table)
    assert recorder.handle(recorder_bench.event()).outcome is Outcome.RECORDED
    assert recorder_bench.written["config"]["model"] == {"name": "deployed", "version": "latest"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"created": False}, "not the creation of an object"),
        ({"bucket": "other"}, "not the bucket of runs"),
        ({"run": None}, "not the key of a run's metadata.json"),
    ],
)
@pytest.mark.parametrize("sequencer", [SEQUENCER, None])
def test_event_of_anything_but_an_upload_of_a_run_is_ignored_without_a_call(
    recorder_bench: RecorderBench, fields: dict[str, Any], reason: str, sequencer: str | None
) -> None:
    assert recorder_bench.handle(sequencer=sequencer, **fields) == Result(Outcome.IGNORED, reason=reason)
    assert recorder_bench.s3_client.method_calls == []
    assert recorder_bench.dynamodb_client.method_calls == []


def test_sequenced_upload_takes_one_read_and_one_write(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.RECORDED)
    recorder_bench.s3_client.get_object.assert_called_once_with(Bucket=BUCKET, Key=KEY, VersionId="v1")
    assert [call[0] for call in recorder_bench.s3_client.method_calls] == ["get_object"]
    assert [call[0] for call in recorder_bench.dynamodb_client.method_calls] == ["update_item"]


def test_sequenced_upload_that_is_rejected_takes_one_read_and_one_write(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(BAD, "v1")
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1").outcome is Outcome.REJECTED
    assert recorder_bench.written["sequencer"] == SEQUENCER
    assert [call[0] for call in recorder_bench.s3_client.method_calls] == ["get_object"]
    assert [call[0] for call in recorder_bench.dynamodb_client.method_calls] == ["update_item"]


def test_record_holds_the_config_its_hash_and_its_source(recorder_bench: RecorderBench) -> None:
    body = b'{"model": {"name": "m", "version": "1"}, "parameters": {"b": 1.50, "a": "\xc3\xa9"}, "tags": {}}'
    recorder_bench.put(body, "v1", "etag")
    recorder_bench.handle(sequencer=SEQUENCER, version_id="v1")
    values = recorder_bench.writes[0]["ExpressionAttributeValues"]
    canonical = (
        '{"environment":"production","input":"s3://run-recorder-runs/runs/acme/run-0001/",'
        '"model":{"name":"m","version":"1"},"output":"s3://results/results/acme/run-0001/",'
        '"parameters":{"a":"é","b":1.5}}'
    )
    assert values[":config_sha256"] == {"S": hashlib.sha256(canonical.encode()).hexdigest()}
    assert values[":config"]["M"]["parameters"] == {"M": {"a": {"S": "é"}, "b": {"N": "1.5"}}}
    assert values[":source"] == {
        "M": {
            "version_id": {"S": "v1"},
            "etag": {"S": "etag"},
            "sequencer": {"S": SEQUENCER},
            "size": {"N": str(len(body))},
            "sha256": {"S": hashlib.sha256(body).hexdigest()},
        }
    }
    assert values[":tags"] == {"M": {}}


def test_accepted_upload_sets_or_removes_every_attribute_of_a_record_and_no_other(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.handle(sequencer=SEQUENCER, version_id="v1")
    (write,) = recorder_bench.writes
    assert {*write["Key"], *re.findall(r"#(\w+)", write["UpdateExpression"])} == set(RECORD_ATTRIBUTES)
    assert len(set(RECORD_ATTRIBUTES)) == len(RECORD_ATTRIBUTES)


def test_record_states_where_the_upload_is_and_when_s3_stored_it(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1", "etag", UPLOADED_AT + timedelta(microseconds=999_999))
    recorder_bench.handle(sequencer=SEQUENCER, version_id="v1")
    written = recorder_bench.written
    assert {name: written[name] for name in ("bucket", "key", "version_id", "etag", "uploaded_at")} == {
        "bucket": BUCKET,
        "key": KEY,
        "version_id": "v1",
        "etag": "etag",
        "uploaded_at": "2026-11-20T08:30:00Z",
    }


@pytest.mark.parametrize(
    "answer",
    [{"version_id": "v2", "etag": "etag"}, {"version_id": "v1", "etag": "other"}, {"etag": "etag"}],
    ids=["other version", "other entity tag", "no version"],
)
def test_answer_with_another_object_than_the_event_names_is_not_recorded(
    recorder_bench: RecorderBench, answer: dict[str, Any]
) -> None:
    recorder_bench.put(GOOD, **answer)
    get_object = recorder_bench.s3_client.get_object
    get_any_object = get_object.side_effect
    get_object.side_effect = lambda VersionId, **request: get_any_object(**request)  # noqa: ARG005, N803
    with pytest.raises(AWSCallError, match="was answered with"):
        recorder_bench.handle(sequencer=SEQUENCER, version_id="v1", etag="etag")
    assert recorder_bench.writes == []


def test_object_without_a_version_may_have_been_overwritten_since_the_event(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, etag="newer")
    assert recorder_bench.handle(sequencer=SEQUENCER, etag="older") == Result(Outcome.RECORDED)
    assert (recorder_bench.written["etag"], recorder_bench.written["version_id"]) == ("newer", None)


@pytest.mark.parametrize("event", [{}, {"version_id": "v0"}], ids=["current object", "version"])
def test_sequenced_upload_that_is_gone_is_ignored(recorder_bench: RecorderBench, event: dict[str, str]) -> None:
    if event:
        recorder_bench.put(GOOD, "v1")
    result = recorder_bench.handle(sequencer=SEQUENCER, **event)
    assert result == Result(Outcome.IGNORED, reason="the object or this version of it is gone")
    assert recorder_bench.writes == []


def test_sequenced_event_without_a_version_reads_below_a_delete_marker(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.bucket.put_delete_marker("d1")
    assert recorder_bench.handle(sequencer=SEQUENCER) == Result(Outcome.RECORDED)
    assert recorder_bench.written["version_id"] == "v1"


def test_document_over_1_mib_is_rejected_unread(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD.ljust(1_048_577), "v1")
    error = FieldError("", "1048577 bytes; at most 1048576 are read")
    assert recorder_bench.handle(sequencer=SEQUENCER) == Result(Outcome.REJECTED, (error,))


def test_document_of_1_mib_is_read(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD.ljust(1_048_576), "v1")
    assert recorder_bench.handle(sequencer=SEQUENCER) == Result(Outcome.RECORDED)


def test_errors_that_are_reported_are_those_that_are_recorded(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(document(tags={f"t{index}": index for index in range(30)}), "v1")
    result = recorder_bench.handle(sequencer=SEQUENCER, version_id="v1")
    assert (result.outcome, len(result.errors), result.errors_truncated) == (Outcome.REJECTED, 20, True)
    assert recorder_bench.written["errors"] == [
        {"path": error.path, "message": error.message} for error in result.errors
    ]
    assert recorder_bench.written["errors_truncated"] is True


def test_event_that_is_delivered_again_is_a_duplicate(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.refuse(recorder_bench.show("v1", sequencer=SEQUENCER))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.DUPLICATE)
    assert len(recorder_bench.writes) == 1


def test_event_of_an_upload_before_the_one_of_the_record_is_stale(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.refuse(recorder_bench.show("v2", sequencer=HIGHER))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.STALE)
    assert len(recorder_bench.writes) == 1


def test_incomplete_upload_whose_files_are_there_now_is_recorded(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.bucket.put_files("runs/acme/run-0001/late.csv")
    recorder_bench.refuse(recorder_bench.show("v1", sequencer=SEQUENCER, **INCOMPLETE_RECORD))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.RECORDED)
    assert recorder_bench.written["status"] == "recorded"
    assert recorder_bench.reads == 0


def test_incomplete_upload_whose_files_are_still_missing_is_a_duplicate(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.refuse(recorder_bench.show("v1", sequencer=SEQUENCER, **INCOMPLETE_RECORD))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.DUPLICATE)
    assert len(recorder_bench.writes) == 1


@pytest.mark.parametrize("shown", [None, INCOMPLETE_RECORD | {"status": "pending"}], ids=["first look", "next look"])
def test_sequenced_upload_whose_files_are_late_is_pending(
    recorder_bench: RecorderBench, set_age: Callable[[float], None], shown: dict[str, Any] | None
) -> None:
    set_age(100)
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.refuse(shown and recorder_bench.show("v1", sequencer=SEQUENCER, **shown))
    result = recorder_bench.handle(sequencer=SEQUENCER, version_id="v1", can_wait=True)
    look = Look(Wait(100, 3500), is_latest=True)
    assert result == Result(Outcome.PENDING, (FILE_IS_MISSING,), reason=MISSING_FILES, looks=(look,))
    assert recorder_bench.writes[0]["ExpressionAttributeValues"][":status"] == {"S": "pending"}
    assert len(recorder_bench.writes) == 1


@pytest.mark.parametrize(
    ("newer", "is_newer_accepted"),
    [
        ({"status": "recorded"}, True),
        ({"status": "pending"}, False),
        ({"status": "rejected", "source": {"etag": "e", "sequencer": HIGHER}}, True),
        ({"status": "rejected", "source": {"etag": "e", "sequencer": SEQUENCER[:-1] + "4"}}, False),
    ],
    ids=["accepted", "pending", "rejected after an accepted one", "rejected"],
)
def test_older_upload_whose_files_are_late_is_stale(
    recorder_bench: RecorderBench,
    set_age: Callable[[float], None],
    newer: dict[str, Any],
    *,
    is_newer_accepted: bool,
) -> None:
    set_age(100)
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.refuse(recorder_bench.show("v2", sequencer=HIGHER[:-1] + "7", **newer))
    result = recorder_bench.handle(sequencer=SEQUENCER, version_id="v1", can_wait=True)
    look = Look(Wait(100, 3500), is_latest=False, is_newer_accepted=is_newer_accepted)
    assert result == Result(Outcome.STALE, looks=(look,))


def test_fill_in_that_meets_a_record_without_a_sequencer_turns_to_the_order_of_the_bucket(
    recorder_bench: RecorderBench,
) -> None:
    """A back-fill recorded the rejected upload v2 between the two writes for v1."""
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    rejected = {"status": "rejected", "errors": [{"path": "/name", "message": "…"}]}
    without_sequencer = recorder_bench.show("v2", **rejected)
    recorder_bench.refuse({**without_sequencer, "sequencer": HIGHER}, without_sequencer)
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.STALE)
    assert recorder_bench.written["source"]["version_id"] == "v1"
    assert len(recorder_bench.writes) == 3
    assert recorder_bench.bucket.reads == ["v1", None]


def test_write_starts_over_where_the_record_changed_and_reads_nothing_again(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.refuse({}, recorder_bench.show("v0", sequencer="0" * 31 + "4"))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1") == Result(Outcome.RECORDED)
    assert len(recorder_bench.writes) == 3
    assert recorder_bench.bucket.reads == ["v1"]


def test_write_ends_after_10_attempts_so_that_the_event_is_delivered_again(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.refuse(*[recorder_bench.show("v0", sequencer="0" * 31 + "4")] * 11)
    message = r"^the record of acme/run-0001/ changed under each of 10 attempts to write it$"
    with pytest.raises(ContentionError, match=message):
        recorder_bench.handle(sequencer=SEQUENCER, version_id="v1")
    assert len(recorder_bench.writes) == 10


@pytest.fixture
def patience(mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.recorder._PATIENCE", 300)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("sequencer", [SEQUENCER, None])
def test_large_documents_are_written_one_at_a_time_and_others_do_not_wait(
    recorder_bench: RecorderBench, sequencer: str | None
) -> None:
    written: list[str] = []
    others: list[threading.Thread] = []

    def handle(name: str, size: int) -> threading.Thread:
        key = key_of(name)
        recorder_bench.put(GOOD.ljust(size), key=key)
        event = recorder_bench.event(key=key, sequencer=sequencer)
        thread = threading.Thread(target=recorder_bench.recorder.handle, args=(event,))
        thread.start()
        return thread

    def write(ExpressionAttributeValues: dict[str, Any], **_: object) -> dict[str, Any]:  # noqa: N803 - boto3's name
        key = ExpressionAttributeValues[":key"]["S"]
        if key == key_of("first"):
            handle("small", 1000).join(timeout=300)
            others.append(handle("second", 100_000))
            others[0].join(timeout=1)
        written.append(key)
        return {}

    recorder_bench.dynamodb_client.update_item.side_effect = write
    handle("first", 100_000).join(timeout=300)
    others[0].join(timeout=300)
    assert written == [key_of("small"), key_of("first"), key_of("second")]


def test_write_of_a_large_document_waits_at_most_5_seconds_for_another(
    recorder_bench: RecorderBench, mocker: MockerFixture
) -> None:
    make_gate = mocker.patch("run_recorder.recorder.LargeDocumentGate", autospec=True)
    Recorder(load_settings(), S3(recorder_bench.s3_client), recorder_bench.table)
    make_gate.assert_called_once_with(5)


@pytest.fixture
def impatience(mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.recorder._PATIENCE", 0.1)


@pytest.mark.usefixtures("impatience")
def test_write_of_a_large_document_that_hangs_does_not_hold_up_another(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD.ljust(100_000), "v1")
    hangs, over = threading.Event(), threading.Event()

    def write(**_: object) -> dict[str, Any]:
        if not hangs.is_set():
            hangs.set()
            over.wait(timeout=300)
        return {}

    recorder_bench.dynamodb_client.update_item.side_effect = write
    hanging = threading.Thread(target=recorder_bench.handle, kwargs={"sequencer": SEQUENCER})
    hanging.start()
    assert hangs.wait(timeout=300)
    assert recorder_bench.handle(sequencer=SEQUENCER) == Result(Outcome.RECORDED)
    assert hanging.is_alive()
    over.set()
    hanging.join()
