"""Files that arrive after metadata.json: the run is pending while they are waited for, or rejected until an event
evaluates it again. Any other verdict is final.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.sqs.models import sqs_backends
from pytest_mock import MockerFixture

from handler.app import backfill_handler, lambda_handler
from local.stack import LocalStack
from local.template import REGION
from run_recorder import waiting
from tests.support.documents import GOOD, document
from tests.support.events import batch_event, batch_task
from tests.support.names import UPLOADED_AT

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
    """Evaluate an upload once more; return the outcome."""

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


class Queue:
    """The queue of uploads, its function, and the clock of both, which begins when the first upload is stored.

    Attributes:
        seconds: the time.
    """

    def __init__(self, stack: LocalStack, mocker: MockerFixture) -> None:
        self.seconds = 0.0
        self._stack = stack
        self._begin = time.time()
        self._milliseconds = itertools.count()
        mocker.patch("moto.sqs.models.unix_time_millis", self._read_milliseconds)
        mocker.patch.object(waiting, "datetime", autospec=True).now.side_effect = self._now

    def pass_time(self, seconds: float) -> None:
        """Deliver each message that is due until then."""
        end = self.seconds + seconds
        while (due := min(self._due_times(), default=end)) < end:
            self.seconds = max(self.seconds, due)
            while self._stack.deliver(lambda_handler):
                pass
        self.seconds = end

    @property
    def is_empty(self) -> bool:
        """Whether no message is left, delayed ones included."""
        return not self._messages

    @property
    def _messages(self) -> list[Any]:
        *_, account, name = self._stack.outputs["UploadsQueue"].split("/")
        messages: list[Any] = sqs_backends[account][REGION].queues[name]._messages  # noqa: SLF001
        return messages

    def _due_times(self) -> Iterator[float]:
        for message in self._messages:
            yield max(message.delayed_until, message.visible_at) / 1000 - self._begin

    def _read_milliseconds(self, _: object = None) -> float:
        return (self._begin + self.seconds) * 1000 + next(self._milliseconds)

    def _now(self, _timezone: object) -> datetime:
        return UPLOADED_AT + timedelta(seconds=self.seconds)


@pytest.fixture
def queue(stack: LocalStack, mocker: MockerFixture) -> Queue:
    queue = Queue(stack, mocker)
    queue.pass_time(1)  # S3's test event
    return queue


@pytest.fixture
def status(record: ReadRecord) -> Callable[[], str]:
    def read_status() -> str:
        shown = record()
        assert shown is not None
        return str(shown["status"])

    return read_status


def test_run_is_pending_until_its_last_file_is_uploaded(
    stack: LocalStack, queue: Queue, put_metadata: PutMetadata, record: ReadRecord, status: Callable[[], str]
) -> None:
    put_metadata(declare("a", "b"))
    queue.pass_time(100)
    assert status() == "pending"
    stack.upload(PREFIX + "a", b"1")
    queue.pass_time(100)
    shown = record()
    assert shown is not None
    assert (shown["status"], shown["errors"]) == ("pending", [missing(1, "b")])
    stack.upload(PREFIX + "b", b"1")
    queue.pass_time(300)
    shown = record()
    assert shown is not None
    assert (shown["status"], "errors" in shown, shown["config"]["model"]["name"]) == ("recorded", False, "m")
    assert queue.is_empty


def test_run_whose_file_never_comes_is_rejected_after_the_wait(
    queue: Queue, put_metadata: PutMetadata, record: ReadRecord, status: Callable[[], str]
) -> None:
    put_metadata(declare("a"))
    queue.pass_time(3590)
    assert status() == "pending"
    before = record()
    assert before is not None
    queue.pass_time(30)
    after = record()
    assert after is not None
    assert (after["status"], after["errors"]) == ("rejected", before["errors"])
    assert queue.is_empty


def test_file_that_is_uploaded_at_the_end_of_the_wait_is_found(
    stack: LocalStack, queue: Queue, put_metadata: PutMetadata, status: Callable[[], str]
) -> None:
    put_metadata(declare("a"))
    queue.pass_time(3590)
    stack.upload(PREFIX + "a", b"1")
    queue.pass_time(30)
    assert status() == "recorded"


def test_back_fill_leaves_a_pending_run_as_it_is_until_the_wait_is_over(
    queue: Queue, put_metadata: PutMetadata, record: ReadRecord
) -> None:
    def back_fill() -> str:
        (result,) = backfill_handler(batch_event(batch_task()), None)["results"]
        assert result["resultCode"] == "Succeeded"
        return str(result["resultString"])

    put_metadata(declare("a"))
    queue.pass_time(100)
    before = record()
    assert back_fill() == "pending"
    assert record() == before
    queue.seconds = 3700
    assert back_fill() == "rejected"
    queue.pass_time(1000)
    after = record()
    assert after is not None
    assert after["status"] == "rejected"
    assert queue.is_empty


def test_last_accepted_config_stays_while_the_next_upload_is_pending(
    stack: LocalStack, queue: Queue, put_metadata: PutMetadata, record: ReadRecord
) -> None:
    first = put_metadata(GOOD)
    queue.pass_time(10)
    put_metadata(declare("a", name="second"))
    queue.pass_time(100)
    shown = record()
    assert shown is not None
    assert (shown["status"], shown["source"]["version_id"], "name" in shown) == ("pending", first["versionId"], False)
    stack.upload(PREFIX + "a", b"1")
    queue.pass_time(300)
    shown = record()
    assert shown is not None
    assert (shown["status"], shown["name"]) == ("recorded", "second")


def test_accepted_upload_ends_the_wait_for_an_older_one(
    stack: LocalStack, queue: Queue, put_metadata: PutMetadata, record: ReadRecord
) -> None:
    put_metadata(declare("a"))
    queue.pass_time(10)
    second = put_metadata(GOOD)
    queue.pass_time(100)
    assert queue.is_empty
    stack.upload(PREFIX + "a", b"1")
    shown = record()
    assert shown is not None
    assert (shown["status"], shown["version_id"]) == ("recorded", second["versionId"])
