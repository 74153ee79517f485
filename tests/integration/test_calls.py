"""How many calls to AWS an upload takes: each is time, and money."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.stack import LocalStack
from run_recorder._version import __version__
from tests.support.documents import BAD, GOOD, document
from tests.support.events import notification, s3_record, sqs_event
from tests.support.names import UPLOADED_AT

pytestmark = pytest.mark.usefixtures("distinct_times")

SEQUENCER = "0055AED6DCD90281E5"
NEWER_SEQUENCER = "0055AED6DCD90281E6"


@pytest.fixture
def session(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:  # noqa: ARG001
    """The session of which the function makes its clients."""
    session = boto3.Session()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return session


@pytest.fixture
def calls(session: boto3.Session) -> list[str]:
    """The operations that the function calls, in their order."""
    made: list[str] = []
    session.events.register("provide-client-params", lambda model, **_: made.append(model.name))
    return made


def test_sequenced_upload_takes_one_read_and_one_write(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    uploaded = put_metadata()
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "UpdateItem"]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(BAD, "rejected"), (document(tags={"a": "b"}), "recorded")],
)
def test_repeated_upload_takes_no_more(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any], body: bytes, outcome: str
) -> None:
    uploaded = put_metadata(body)
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == outcome
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "duplicate"
    assert notify(sequencer="0055", **uploaded)["outcome"] == "stale"
    assert calls == ["GetObject", "UpdateItem"] * 2


def test_unsequenced_upload_reads_the_record_first(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    uploaded = put_metadata()
    calls.clear()
    assert notify(**uploaded)["outcome"] == "recorded"
    assert calls == ["GetItem", "GetObject", "UpdateItem"]


def test_unsequenced_event_of_what_the_record_shows_takes_two_reads(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    uploaded = put_metadata()
    notify(sequencer=SEQUENCER, **uploaded)
    calls.clear()
    assert notify(**uploaded)["outcome"] == "duplicate"
    assert calls == ["GetItem", "GetObject"]


def test_unsequenced_event_of_an_older_upload_looks_for_its_version_last(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    older, _ = put_metadata(), put_metadata(GOOD + b" ")
    calls.clear()
    assert notify(**older)["outcome"] == "stale"
    assert calls == ["GetItem", "GetObject", "UpdateItem", "HeadObject"]


@pytest.mark.parametrize("bad_before", [0, 1, 3])
def test_rejected_unsequenced_upload_is_searched_back_to_the_last_accepted_one(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any], bad_before: int
) -> None:
    for body in [GOOD, GOOD, *[BAD] * bad_before]:
        put_metadata(body)
    uploaded = put_metadata(BAD)
    calls.clear()
    assert notify(**uploaded)["outcome"] == "rejected"
    reads = ["GetObject"] * (bad_before + 1)
    assert calls == ["GetItem", "GetObject", "ListObjectVersions", *reads, "UpdateItem"]


def test_search_ends_at_the_last_accepted_upload_that_the_record_shows(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    """One read for each upload in between, and none for it."""
    notify(sequencer=SEQUENCER, **put_metadata())
    put_metadata(BAD)
    uploaded = put_metadata(BAD)
    calls.clear()
    assert notify(**uploaded)["outcome"] == "rejected"
    assert calls == ["GetItem", "GetObject", "ListObjectVersions", "GetObject", "UpdateItem"]
    calls.clear()
    assert notify(**uploaded)["outcome"] == "duplicate"
    assert calls == ["GetItem", "GetObject", "ListObjectVersions", "GetObject"]


def test_rejected_unsequenced_upload_fills_in_with_one_write(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    put_metadata()
    uploaded = put_metadata(BAD)
    notify(sequencer=SEQUENCER, **uploaded)
    calls.clear()
    assert notify(**uploaded)["outcome"] == "duplicate"
    assert calls == ["GetItem", "GetObject", "ListObjectVersions", "GetObject", "UpdateItem"]


def test_sequenced_event_that_meets_a_record_without_a_sequencer_is_read_again_as_the_current_object(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    """Until then its write was refused. The next one takes a read and a write again."""
    notify(**put_metadata())
    uploaded = put_metadata(GOOD + b" ")
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "UpdateItem", "GetItem", "GetObject", "UpdateItem"]
    uploaded = put_metadata()
    calls.clear()
    assert notify(sequencer=NEWER_SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "UpdateItem"]


def test_stale_upload_is_filled_in_with_a_second_write(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    older, newer = put_metadata(), put_metadata(BAD)
    notify(sequencer=NEWER_SEQUENCER, **newer)
    calls.clear()
    assert notify(sequencer=SEQUENCER, **older)["outcome"] == "stale"
    assert calls == ["GetObject", "UpdateItem", "UpdateItem"]


@pytest.mark.parametrize(
    ("sequencer", "expected"),
    [({"sequencer": SEQUENCER}, ["GetObject"]), ({}, ["GetItem", "GetObject", "ListObjectVersions"])],
    ids=["sequenced", "unsequenced"],
)
def test_gone_object_takes_no_write(
    stack: LocalStack,
    put_metadata: Callable[..., Any],
    calls: list[str],
    notify: Callable[..., Any],
    metadata_key: str,
    sequencer: dict[str, str],
    expected: list[str],
) -> None:
    uploaded = put_metadata()
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key, VersionId=uploaded["versionId"])
    calls.clear()
    assert notify(**sequencer, **uploaded)["outcome"] == "ignored"
    assert calls == expected


def test_upload_behind_a_delete_marker_takes_a_listing_and_a_read_more(
    stack: LocalStack, put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any], metadata_key: str
) -> None:
    uploaded = put_metadata()
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key)
    calls.clear()
    assert notify(**uploaded)["outcome"] == "recorded"
    assert calls == ["GetItem", "GetObject", "ListObjectVersions", "GetObject", "UpdateItem"]


def test_missing_file_that_arrived_takes_a_second_write(
    stack: LocalStack, put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    uploaded = put_metadata(document(files=[{"path": "a.csv"}]))
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "rejected"
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "duplicate"
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem"]
    stack.upload("runs/acme/run-0001/a.csv", b"1")
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem", "UpdateItem"]


def test_file_that_is_late_takes_a_message_at_each_look(
    stack: LocalStack, put_metadata: Callable[..., Any], calls: list[str], mocker: MockerFixture
) -> None:
    """The second look writes nothing: its UpdateItem is refused."""
    clock = mocker.patch("run_recorder.waiting.datetime", autospec=True)
    clock.now.return_value = UPLOADED_AT + timedelta(seconds=100)
    uploaded = put_metadata(document(files=[{"path": "a.csv"}]))
    event = sqs_event(notification(s3_record(sequencer=SEQUENCER, **uploaded)))
    calls.clear()
    assert lambda_handler(event, None) == {"batchItemFailures": []}
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem", "SendMessage"]
    calls.clear()
    lambda_handler(event, None)
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem", "SendMessage"]
    stack.upload("runs/acme/run-0001/a.csv", b"1")
    calls.clear()
    lambda_handler(event, None)
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem", "UpdateItem"]


@pytest.mark.parametrize("files", [[], [{"path": "a.csv"}]], ids=["no files", "a file"])
def test_message_of_a_complete_run_takes_no_more_than_another_event(
    stack: LocalStack, put_metadata: Callable[..., Any], calls: list[str], files: list[dict[str, str]]
) -> None:
    stack.upload("runs/acme/run-0001/a.csv", b"1")
    uploaded = put_metadata(document(files=files))
    calls.clear()
    lambda_handler(sqs_event(notification(s3_record(sequencer=SEQUENCER, **uploaded))), None)
    assert calls == ["GetObject", *["ListObjectsV2"] * len(files), "UpdateItem"]


def test_declared_files_take_one_listing(
    stack: LocalStack, put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    for name in ("a.csv", "b.csv"):
        stack.s3.put_object(Bucket=stack.outputs["RunsBucket"], Key=f"runs/acme/run-0001/{name}", Body=b"1")
    uploaded = put_metadata(document(files=[{"path": "a.csv"}, {"path": "b.csv", "size": 1}]))
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem"]


def test_undeclared_files_before_and_between_the_declared_ones_take_no_listing_of_their_own(
    stack: LocalStack,
    put_metadata: Callable[..., Any],
    calls: list[str],
    notify: Callable[..., Any],
    environment: pytest.MonkeyPatch,
) -> None:
    """At most one LIST request for each declared file, however many others there are."""
    environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")  # a page
    for number in range(100):
        stack.upload(f"runs/acme/run-0001/{number:03}", b"")
    uploaded = put_metadata(document(files=[{"path": "090"}, {"path": "050"}, {"path": "051"}]))
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "ListObjectsV2", "ListObjectsV2", "UpdateItem"]


def test_other_objects_take_no_call(calls: list[str], notify: Callable[..., Any]) -> None:
    assert notify(key="runs/acme/run-0001/readings.csv")["outcome"] == "ignored"
    assert calls == []


def test_calls_name_their_caller(
    put_metadata: Callable[..., Any], session: boto3.Session, notify: Callable[..., Any]
) -> None:
    """CloudTrail and access logs show both versions. AWS announces upgrades to callers by that of boto3."""
    uploaded = put_metadata()
    agents: list[bytes] = []
    session.events.register_first("before-send", lambda request, **_: agents.append(request.headers["User-Agent"]))
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert len(agents) == 2
    expected = f"run-recorder/{__version__} Boto3/{boto3.__version__}"
    assert all(agent.decode().startswith(expected) for agent in agents)
