"""One upload to one outcome, over mocked clients of S3 and DynamoDB."""

import functools
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

from handler.config import build_model_config, load_settings
from handler.domain import ObjectEvent, Outcome, Run
from handler.errors import AWSCallError, ContentionError
from handler.recorder import Recorder, Result
from handler.runs import RunTable
from handler.s3 import S3

MODEL = {"model": {"name": "m", "version": "1"}}
SEQUENCER = "0" * 31 + "5"


@pytest.fixture
def recorder(s3_client: MagicMock, dynamodb_client: MagicMock) -> Recorder:
    dynamodb_client.get_item.return_value = {}
    return Recorder(load_settings(), S3(s3_client), RunTable("table", dynamodb_client))


@pytest.fixture
def upload(run: Run, metadata_key: str) -> Callable[..., ObjectEvent]:
    def make(**fields: Any) -> ObjectEvent:
        return ObjectEvent(
            **{"bucket": "run-recorder-runs", "key": metadata_key, "run": run, "created": True, **fields}
        )

    return make


@pytest.fixture
def store(s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Lets S3 answer with this document, every time anew."""

    def put(document: Any = MODEL, **fields: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        s3_client.get_object.side_effect = lambda **_: get_object_response(body, **fields)

    return put


def values(dynamodb_client: MagicMock) -> dict[str, Any]:
    written: dict[str, Any] = dynamodb_client.update_item.call_args.kwargs["ExpressionAttributeValues"]
    return written


def errors(result: Result) -> dict[str, str]:
    assert result.outcome is Outcome.REJECTED
    return {error.path: error.message for error in result.errors}


def test_model_config_may_be_that_of_another_environment(
    s3_client: MagicMock, dynamodb_client: MagicMock, upload: Callable[..., ObjectEvent], store: Callable[..., None]
) -> None:
    store({})
    dynamodb_client.get_item.return_value = {}
    deployed = {"DEVELOPMENT": "true", "RUNS_BUCKET": "run-recorder-runs", "RUNS_TABLE": "t", "MODEL_NAME": "deployed"}
    configure = functools.partial(build_model_config, env=deployed)
    recorder = Recorder(load_settings(deployed), S3(s3_client), RunTable("t", dynamodb_client), configure)
    assert recorder.handle(upload()).outcome is Outcome.RECORDED
    model = values(dynamodb_client)[":config"]["M"]["model"]["M"]
    assert model == {"name": {"S": "deployed"}, "version": {"S": "latest"}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"created": False}, "not the creation of an object"),
        ({"bucket": "other"}, "not the bucket of runs"),
        ({"run": None}, "not the key of a run's metadata.json"),
    ],
)
def test_what_is_no_upload_of_a_run_is_ignored_without_a_call(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    fields: dict[str, Any],
    reason: str,
) -> None:
    assert recorder.handle(upload(sequencer=SEQUENCER, **fields)) == Result(Outcome.IGNORED, reason=reason)
    assert s3_client.method_calls == []
    assert dynamodb_client.method_calls == []


def test_sequenced_upload_takes_one_read_and_one_write(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    metadata_key: str,
) -> None:
    store(VersionId="v1")
    assert recorder.handle(upload(sequencer=SEQUENCER, version_id="v1")) == Result(Outcome.RECORDED)
    s3_client.get_object.assert_called_once_with(Bucket="run-recorder-runs", Key=metadata_key, VersionId="v1")
    assert [call[0] for call in s3_client.method_calls] == ["get_object"]
    assert [call[0] for call in dynamodb_client.method_calls] == ["update_item"]


def test_record_holds_the_config_its_hash_and_its_source(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None], dynamodb_client: MagicMock
) -> None:
    body = b'{"model": {"name": "m", "version": "1"}, "parameters": {"b": 1.50, "a": "\xc3\xa9"}, "tags": {}}'
    store(body, VersionId="v1")
    recorder.handle(upload(sequencer=SEQUENCER, version_id="v1"))
    written = values(dynamodb_client)
    canonical = (
        '{"environment":"production","input":"s3://run-recorder-runs/runs/acme/run-0001/",'
        '"model":{"name":"m","version":"1"},"output":"s3://results/results/acme/run-0001/",'
        '"parameters":{"a":"é","b":1.5}}'
    )
    assert written[":config_sha256"] == {"S": hashlib.sha256(canonical.encode()).hexdigest()}
    assert written[":config"]["M"]["parameters"] == {"M": {"a": {"S": "é"}, "b": {"N": "1.5"}}}
    assert written[":source"] == {
        "M": {
            "version_id": {"S": "v1"},
            "etag": {"S": "etag"},
            "sequencer": {"S": SEQUENCER},
            "size": {"N": str(len(body))},
            "sha256": {"S": hashlib.sha256(body).hexdigest()},
        }
    }
    assert written[":tags"] == {"M": {}}


@pytest.mark.parametrize("answer", [{"VersionId": "v2"}, {"VersionId": "v1", "ETag": '"other"'}, {}])
def test_answer_with_another_object_than_the_event_names_is_not_recorded(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
    answer: dict[str, str],
) -> None:
    store(**answer)
    with pytest.raises(AWSCallError, match="was answered with"):
        recorder.handle(upload(sequencer=SEQUENCER, version_id="v1", etag="etag"))
    dynamodb_client.update_item.assert_not_called()


def test_object_without_a_version_may_have_been_overwritten_since_the_event(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None], dynamodb_client: MagicMock
) -> None:
    store(ETag='"newer"')
    assert recorder.handle(upload(sequencer=SEQUENCER, etag="older")) == Result(Outcome.RECORDED)
    assert values(dynamodb_client)[":etag"] == {"S": "newer"}


@pytest.mark.parametrize("sequencer", [SEQUENCER, None])
def test_upload_that_is_gone_is_ignored(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    sequencer: str | None,
) -> None:
    s3_client.get_object.side_effect = client_error("NoSuchKey")
    result = recorder.handle(upload(sequencer=sequencer))
    assert result == Result(Outcome.IGNORED, reason="the object or this version of it is gone")
    dynamodb_client.update_item.assert_not_called()


def test_document_over_1_mib_is_rejected_unread(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None]
) -> None:
    store(ContentLength=1_048_577)
    assert errors(recorder.handle(upload(sequencer=SEQUENCER))) == {"": "1048577 bytes; at most 1048576 are read"}


def test_document_that_is_not_json_is_rejected(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None]
) -> None:
    store(b"{")
    assert list(errors(recorder.handle(upload(sequencer=SEQUENCER)))) == [""]


def test_document_of_1_mib_is_read(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None]
) -> None:
    store(json.dumps(MODEL).encode().ljust(1_048_576))
    assert recorder.handle(upload(sequencer=SEQUENCER)).outcome is Outcome.RECORDED


def test_errors_of_the_document_its_files_and_its_model_come_at_once(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None], s3_client: MagicMock
) -> None:
    store(
        {
            "name": 1,
            "model": {"name": "m"},
            "files": [{"path": "a", "size": 1}, {"path": "b"}, {"path": "c", "size": 3}, {"path": "d", "size": -1}],
        }
    )
    prefix = "runs/acme/run-0001/"
    listed = [{"Key": prefix + "a", "Size": 2}, {"Key": prefix + "c", "Size": 3}, {"Key": prefix + "d", "Size": 1}]
    s3_client.list_objects_v2.return_value = {"IsTruncated": False, "Contents": listed}
    assert errors(recorder.handle(upload(sequencer=SEQUENCER))) == {
        "/name": "expected a string, found an integer",
        "/files/3/size": "expected at least 0",
        "/files/0/size": "the object has 2 bytes, not 1",
        "/files/1/path": "no object b below the run's prefix",
        "/model/version": "production needs a pinned version, other than 'latest'",
    }


def test_model_that_is_wrong_in_itself_is_not_missing_as_well(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None]
) -> None:
    store({"model": {"name": 1}})
    assert errors(recorder.handle(upload(sequencer=SEQUENCER))) == {
        "/model/name": "expected a string, found an integer"
    }


@pytest.mark.parametrize(("files", "is_truncated"), [(50, True), (20, True), (19, False)])
def test_first_20_errors_are_recorded(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    files: int,
    *,
    is_truncated: bool,
) -> None:
    store({"name": 1, "files": [{"path": f"{index}"} for index in range(files)], **MODEL})
    s3_client.list_objects_v2.return_value = {"IsTruncated": False}
    result = recorder.handle(upload(sequencer=SEQUENCER))
    assert [error.path for error in result.errors] == ["/name", *(f"/files/{index}/path" for index in range(19))]
    assert result.errors_truncated is is_truncated
    assert values(dynamodb_client).get(":errors_truncated") == ({"BOOL": True} if is_truncated else None)


def test_files_are_not_listed_for_errors_that_would_be_left_out(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None], s3_client: MagicMock
) -> None:
    store({"tags": dict.fromkeys(map(str, range(21)), 1), "files": [{"path": "a"}]})
    result = recorder.handle(upload(sequencer=SEQUENCER))
    assert (len(result.errors), result.errors_truncated) == (20, True)
    s3_client.list_objects_v2.assert_not_called()


def test_errors_of_files_come_last(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None], s3_client: MagicMock
) -> None:
    """So that the first 20 show whether anything else is wrong."""
    store({"files": [{"path": ".."}, {"path": "a"}], "run_id": "other"})
    s3_client.list_objects_v2.return_value = {"IsTruncated": False}
    paths = [error.path for error in recorder.handle(upload(sequencer=SEQUENCER)).errors]
    assert paths == ["/run_id", "/model", "/files/0/path", "/files/1/path"]


@pytest.mark.parametrize(("length", "outcome"), [(390_000, Outcome.RECORDED), (393_216, Outcome.REJECTED)])
def test_record_over_the_item_size_is_rejected(
    recorder: Recorder, upload: Callable[..., ObjectEvent], store: Callable[..., None], length: int, outcome: Outcome
) -> None:
    store({**MODEL, "parameters": {"p": "x" * length}})
    result = recorder.handle(upload(sequencer=SEQUENCER))
    assert result.outcome is outcome
    assert all("of the record, which holds 393216" in error.message for error in result.errors)


def test_unsequenced_upload_reads_the_record_before_the_object(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    metadata_key: str,
) -> None:
    order = []
    store(VersionId="v2")
    answer = s3_client.get_object.side_effect
    s3_client.get_object.side_effect = lambda **call: order.append("object") or answer(**call)
    dynamodb_client.get_item.side_effect = lambda **_: order.append("record") or {}
    assert recorder.handle(upload(version_id="v2")).outcome is Outcome.RECORDED
    assert order == ["record", "object"]
    s3_client.get_object.assert_called_once_with(Bucket="run-recorder-runs", Key=metadata_key)


def seen(version_id: str = "v1", etag: str = "e1") -> dict[str, Any]:
    return {
        "Item": {
            "status": {"S": "recorded"},
            "recorded_at": {"S": "2026-11-20T08:30:01.000000Z"},
            "etag": {"S": etag},
            "version_id": {"S": version_id},
        }
    }


def test_swap_starts_over_when_the_record_changed(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
) -> None:
    store(VersionId="v3")
    dynamodb_client.get_item.side_effect = [{}, seen("v1"), seen("v2")]
    failure = client_error("ConditionalCheckFailedException", **seen("v2"))
    dynamodb_client.update_item.side_effect = [failure, failure, {}]
    assert recorder.handle(upload()).outcome is Outcome.RECORDED
    assert dynamodb_client.update_item.call_count == 3


def test_swap_gives_up_to_be_delivered_again(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
) -> None:
    store()
    dynamodb_client.update_item.side_effect = client_error("ConditionalCheckFailedException")
    with pytest.raises(ContentionError, match="changed under each of 10 attempts"):
        recorder.handle(upload())


@pytest.mark.parametrize(
    ("recorded", "outcome"),
    [
        (seen("v1", "etag"), Outcome.DUPLICATE),
        (seen("v0", "etag"), Outcome.RECORDED),
        (seen("v1", "e0"), Outcome.RECORDED),
    ],
)
def test_same_version_and_entity_tag_as_the_record_is_a_duplicate(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
    recorded: dict[str, Any],
    outcome: Outcome,
) -> None:
    store(VersionId="v1")
    dynamodb_client.get_item.return_value = recorded
    assert recorder.handle(upload()).outcome is outcome


@pytest.mark.parametrize(
    ("recorded_upload", "outcome"),
    [("2026-11-20T08:30:00Z", Outcome.DUPLICATE), ("2026-11-20T08:29:59Z", Outcome.RECORDED)],
)
def test_same_bytes_uploaded_again_without_versions_move_the_record_on(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
    recorded_upload: str,
    outcome: Outcome,
) -> None:
    """Or an invocation that holds what was uploaded in between could still write it."""
    store()
    item = {
        "status": "recorded",
        "recorded_at": "2026-11-20T08:30:01.000000Z",
        "etag": "etag",
        "uploaded_at": recorded_upload,
    }
    dynamodb_client.get_item.return_value = {"Item": {name: {"S": value} for name, value in item.items()}}
    assert recorder.handle(upload()).outcome is outcome
    assert dynamodb_client.update_item.call_count == (outcome is Outcome.RECORDED)


@pytest.mark.parametrize(
    ("named", "stored", "expected"),
    [
        ({"version_id": "v1", "etag": "other"}, {"VersionId": "v1"}, SEQUENCER),
        ({"version_id": "v0", "etag": "etag"}, {"VersionId": "v1"}, None),
        ({"etag": "etag"}, {"VersionId": "v1"}, None),
        ({"version_id": "v1", "etag": "etag"}, {}, None),
        ({"etag": "etag"}, {}, SEQUENCER),
        ({"etag": "other"}, {}, None),
        ({}, {}, None),
    ],
)
def test_sequencer_is_kept_if_the_event_named_the_object_that_was_read(
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    named: dict[str, str],
    stored: dict[str, str],
    expected: str | None,
) -> None:
    """A sequenced event that meets a record without a sequencer."""
    store(**stored)
    answer = s3_client.get_object.side_effect

    def get_object(**call: str) -> dict[str, Any]:
        other = {"VersionId": call["VersionId"], "ETag": named["etag"]} if "VersionId" in call else {}
        return {**answer(**call), **other}

    s3_client.get_object.side_effect = get_object
    without_sequencer = seen("v9", "e9")
    dynamodb_client.get_item.return_value = without_sequencer
    failure = client_error("ConditionalCheckFailedException", **without_sequencer)
    dynamodb_client.update_item.side_effect = [failure, {}]
    result = recorder.handle(upload(sequencer=SEQUENCER, **named))
    assert Outcome.RECORDED in (result.outcome, result.newer and result.newer.outcome)
    written = values(dynamodb_client)
    assert written.get(":sequencer") == ({"S": expected} if expected else None)
    assert written[":source"]["M"].get("sequencer") == ({"S": expected} if expected else None)


@pytest.fixture
def patience(mocker: MockerFixture) -> None:
    mocker.patch("handler.recorder._PATIENCE", 300)


@pytest.mark.parametrize("sequencer", [SEQUENCER, None])
def test_large_documents_take_turns_and_others_do_not_wait(
    patience: None,  # noqa: ARG001
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
    sequencer: str | None,
) -> None:
    written: list[str] = []
    others: list[threading.Thread] = []

    def handle(name: str, size: int) -> threading.Thread:
        store(json.dumps(MODEL).encode().ljust(size))
        thread = threading.Thread(target=recorder.handle, args=(upload(key=name, sequencer=sequencer),))
        thread.start()
        return thread

    def write(ExpressionAttributeValues: dict[str, Any], **_: object) -> dict[str, Any]:  # noqa: N803 - boto3's name
        name = ExpressionAttributeValues[":key"]["S"]
        if name == "first":
            handle("small", 1000).join(timeout=300)
            others.append(handle("second", 100_000))
            others[0].join(timeout=1)
        written.append(name)
        return {}

    dynamodb_client.update_item.side_effect = write
    handle("first", 100_000).join(timeout=300)
    others[0].join(timeout=300)
    assert written == ["small", "first", "second"]


@pytest.fixture
def impatience(mocker: MockerFixture) -> None:
    mocker.patch("handler.recorder._PATIENCE", 0.1)


def test_write_of_a_large_document_that_hangs_does_not_hold_up_another(
    impatience: None,  # noqa: ARG001
    recorder: Recorder,
    upload: Callable[..., ObjectEvent],
    store: Callable[..., None],
    dynamodb_client: MagicMock,
) -> None:
    store(json.dumps(MODEL).encode().ljust(100_000))
    hangs, over = threading.Event(), threading.Event()

    def write(**_: object) -> dict[str, Any]:
        if not hangs.is_set():
            hangs.set()
            over.wait(timeout=300)
        return {}

    dynamodb_client.update_item.side_effect = write
    hanging = threading.Thread(target=recorder.handle, args=(upload(sequencer=SEQUENCER),))
    hanging.start()
    assert hangs.wait(timeout=300)
    assert recorder.handle(upload(sequencer=SEQUENCER)) == Result(Outcome.RECORDED)
    assert hanging.is_alive()
    over.set()
    hanging.join()
