"""An upload that is rejected for missing files alone is evaluated again by each event; any other verdict is final."""

from collections.abc import Callable
from typing import Any

import pytest

from handler.app import backfill_handler
from local.stack import LocalStack
from tests.support.documents import GOOD, document
from tests.support.events import batch_event, batch_task

pytestmark = pytest.mark.usefixtures("distinct_times")

Notify = Callable[..., dict[str, Any]]
PutMetadata = Callable[..., dict[str, str]]
ReadRecord = Callable[[], dict[str, Any] | None]
Look = Callable[[dict[str, str]], str]

PREFIX = "runs/acme/run-0001/"
SEQUENCER = "5".zfill(32)


def declare(*paths: str, size: int = 1, **fields: Any) -> bytes:
    """A document that declares files of this size, and states these fields besides."""
    return document(files=[{"path": path, "size": size} for path in paths], **fields)


def missing(index: int, path: str) -> dict[str, str]:
    return {"path": f"/files/{index}/path", "message": f"no object {path} below the run's prefix"}


@pytest.fixture(params=["same event", "event without a sequencer", "back-fill"])
def look(request: pytest.FixtureRequest, notify: Notify) -> Look:
    """Evaluates an upload once more; returns the outcome."""

    def send_again(upload: dict[str, str]) -> str:
        match request.param:
            case "same event":
                return str(notify(sequencer="5", **upload)["outcome"])
            case "event without a sequencer":
                return str(notify(**upload)["outcome"])
        (result,) = backfill_handler(batch_event(batch_task()), None)["results"]
        assert result["resultCode"] == "Succeeded"
        return str(result["resultString"])

    return send_again


def test_upload_is_recorded_once_its_file_has_arrived(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    upload = put_metadata(declare("a"))
    assert notify(sequencer="5", **upload)["outcome"] == "rejected"
    before = record()
    assert before is not None
    assert (before["errors"], "config" in before) == ([missing(0, "a")], False)
    stack.upload(PREFIX + "a", b"1")
    assert look(upload) == "recorded"
    after = record()
    assert after is not None
    assert (after["status"], after["version_id"], "errors" in after) == ("recorded", upload["versionId"], False)
    assert after["source"]["version_id"] == upload["versionId"]
    assert after["config"]["model"]["name"] == "m"
    assert after["first_recorded_at"] == before["first_recorded_at"]
    assert after["recorded_at"] > before["recorded_at"]
    assert look(upload) == "duplicate"
    assert record() == after


def test_same_event_records_the_upload_under_its_sequencer(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    upload = put_metadata(declare("a"))
    notify(sequencer="5", **upload)
    stack.upload(PREFIX + "a", b"1")
    assert notify(sequencer="5", **upload)["outcome"] == "recorded"
    after = record()
    assert after is not None
    assert (after["sequencer"], after["source"]["sequencer"]) == (SEQUENCER, SEQUENCER)


def test_look_before_the_file_arrives_is_a_duplicate_and_writes_nothing(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    upload = put_metadata(declare("a"))
    notify(sequencer="5", **upload)
    before = record()
    assert look(upload) == "duplicate"
    assert record() == before


def test_errors_follow_the_files_that_arrive(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    upload = put_metadata(declare("a", "b"))
    notify(sequencer="5", **upload)
    stack.upload(PREFIX + "a", b"1")
    assert look(upload) == "rejected"
    after = record()
    assert after is not None
    assert (after["status"], after["errors"]) == ("rejected", [missing(1, "b")])
    stack.upload(PREFIX + "b", b"12")
    assert look(upload) == "rejected"
    after = record()
    assert after is not None
    assert after["errors"] == [{"path": "/files/1/size", "message": "the object has 2 bytes, not 1"}]
    stack.upload(PREFIX + "b", b"1")
    assert look(upload) == "recorded"


def test_upload_with_another_error_beside_a_missing_file_is_settled(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    upload = put_metadata(declare("a", name=""))
    notify(sequencer="5", **upload)
    before = record()
    assert before is not None
    assert [error["path"] for error in before["errors"]] == ["/name", "/files/0/path"]
    stack.upload(PREFIX + "a", b"1")
    assert look(upload) == "duplicate"
    assert record() == before


def test_other_error_is_stored_before_more_than_20_missing_files(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    """It must not be among those that are left out, or the upload would seem unsettled."""
    paths = [str(number) for number in range(30)]
    upload = put_metadata(declare(*paths, model={"name": "m", "version": "latest"}))
    notify(sequencer="5", **upload)
    before = record()
    assert before is not None
    assert before["errors"][0]["path"] == "/model/version"
    for path in paths:
        stack.upload(PREFIX + path, b"1")
    assert look(upload) == "duplicate"
    assert record() == before


def test_error_of_another_place_is_stored_before_20_errors_of_files(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    assert notify(sequencer="5", **put_metadata(declare(*[""] * 20, run_id="another")))["outcome"] == "rejected"
    after = record()
    assert after is not None
    assert [error["path"] for error in after["errors"]] == ["/run_id", *(f"/files/{n}/path" for n in range(19))]
    assert after["errors_truncated"] is True


def test_accepted_upload_stays_accepted_when_a_file_is_deleted(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    stack.upload(PREFIX + "a", b"1")
    upload = put_metadata(declare("a"))
    assert notify(sequencer="5", **upload)["outcome"] == "recorded"
    before = record()
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=PREFIX + "a")
    assert look(upload) == "duplicate"
    assert record() == before


def test_unsettled_upload_leaves_the_last_accepted_one_until_its_file_arrives(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    first, second = put_metadata(GOOD), put_metadata(declare("a"))
    notify(sequencer="4", **first)
    assert notify(sequencer="5", **second)["outcome"] == "rejected"
    before = record()
    assert before is not None
    assert before["source"]["version_id"] == first["versionId"]
    stack.upload(PREFIX + "a", b"1")
    assert look(second) == "recorded"
    after = record()
    assert after is not None
    assert after["source"]["version_id"] == second["versionId"]


def test_event_of_an_older_upload_is_stale_whatever_has_arrived(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    older, newer = put_metadata(declare("a")), put_metadata(declare("b"))
    assert notify(sequencer="4", **older)["outcome"] == "rejected"
    assert notify(sequencer="5", **newer)["outcome"] == "rejected"
    stack.upload(PREFIX + "a", b"1")
    assert notify(sequencer="4", **older)["outcome"] == "stale"
    after = record()
    assert after is not None
    assert (after["status"], after["version_id"]) == ("rejected", newer["versionId"])
    assert after["source"]["version_id"] == older["versionId"]


@pytest.mark.parametrize(("count", "is_truncated"), [(20, False), (21, True)])
def test_record_states_20_errors_and_whether_there_are_more(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord, count: int, is_truncated: bool
) -> None:
    outcome = notify(sequencer="4", **put_metadata(declare(*map(str, range(count)))))
    before = record()
    assert before is not None
    assert len(outcome["errors"]) == len(before["errors"]) == 20
    assert (outcome.get("errors_truncated"), before.get("errors_truncated")) == (is_truncated or None,) * 2
    assert notify(sequencer="5", **put_metadata())["outcome"] == "recorded"
    after = record()
    assert after is not None
    assert after.keys().isdisjoint({"errors", "errors_truncated"})


def test_mark_of_truncated_errors_goes_when_the_file_that_was_left_out_arrives(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, look: Look
) -> None:
    upload = put_metadata(declare(*map(str, range(21))))
    notify(sequencer="5", **upload)
    before = record()
    assert before is not None
    assert before["errors_truncated"] is True
    stack.upload(PREFIX + "20", b"1")
    assert look(upload) == "rejected"
    after = record()
    assert after is not None
    assert after["errors"] == before["errors"]
    assert "errors_truncated" not in after
