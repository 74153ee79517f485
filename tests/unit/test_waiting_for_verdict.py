"""The wait for a verdict: which record shows the upload, and when the wait ends."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

from run_recorder.consumer.run_reader import RunReader, RunRecord
from run_recorder.errors import AWSCallError, RunNotFoundError
from run_recorder.producer import waiting_for_verdict
from run_recorder.producer.destination import Destination
from run_recorder.producer.waiting_for_verdict import AwaitedUpload, Verdict, wait_for_current, wait_for_upload
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject
from tests.support.names import BUCKET, KEY, RUN, UPLOADED_AT

OURS = AwaitedUpload("v1", "e1")


def shown(status: str = "recorded", **attributes: Any) -> RunRecord:
    return RunRecord("acme", "run-0001", status, **{"version_id": "v1", "etag": "e1", **attributes})


def stored(version_id: str | None = "v1", etag: str = "e1", at: datetime = UPLOADED_AT) -> StoredObject:
    return StoredObject(version_id, etag, at, 2, None)


def denied() -> AWSCallError:
    error = AWSCallError("no")
    error.__cause__ = ClientError({"Error": {"Code": "403"}}, "HeadObject")
    return error


class WaitingBench:
    """What the record and the current object are at each look, and a clock that only waiting moves."""

    def __init__(self, mocker: MockerFixture) -> None:
        self.reader = mocker.create_autospec(RunReader, instance=True)
        self.s3 = mocker.create_autospec(S3, instance=True)
        self.s3.head_object.return_value = stored()
        self.destination = Destination(BUCKET, self.s3, self.reader)
        self.pauses: list[float] = []
        clock: MagicMock = mocker.patch.object(waiting_for_verdict, "time", autospec=True)
        clock.monotonic.side_effect = lambda: sum(self.pauses)
        clock.sleep.side_effect = self.pauses.append

    def wait(self, *records: RunRecord | None, awaited: AwaitedUpload = OURS, timeout: float = 300) -> Verdict:
        """Wait while the record is each of these in turn, and then stays the last one."""
        last = records[-1]
        self.reader.read.side_effect = [*records, *[last] * 1000]
        return wait_for_upload(self.destination, RUN, awaited, timeout=timeout)


@pytest.fixture
def bench(mocker: MockerFixture) -> WaitingBench:
    return WaitingBench(mocker)


@pytest.mark.parametrize("status", ["recorded", "rejected"])
def test_wait_ends_when_the_record_shows_the_upload(bench: WaitingBench, status: str) -> None:
    older = shown(version_id="v0", etag="e0")
    assert bench.wait(None, older, shown("pending"), shown(status)) == Verdict(status, shown(status))  # type: ignore[arg-type]
    assert len(bench.pauses) == 3
    bench.reader.read.assert_called_with("acme", "run-0001")


@pytest.mark.parametrize(
    ("record", "state"),
    [(None, "unknown"), (shown(version_id="v0"), "unknown"), (shown("pending"), "pending")],
    ids=["no record", "older record", "pending"],
)
def test_wait_ends_with_its_time(bench: WaitingBench, record: RunRecord | None, state: str) -> None:
    verdict = bench.wait(record, timeout=60)
    assert (verdict.state, verdict.record) == (state, record)
    assert sum(bench.pauses) == 60
    assert max(bench.pauses) == 5


def test_wait_of_no_time_is_one_look(bench: WaitingBench) -> None:
    assert bench.wait(shown(), timeout=0).state == "recorded"
    assert bench.wait(None, timeout=0).state == "unknown"
    assert bench.pauses == []


@pytest.mark.parametrize("current", [stored("v2"), stored("v2", "e2")], ids=["same bytes", "other bytes"])
def test_newer_upload_supersedes(bench: WaitingBench, current: StoredObject) -> None:
    bench.s3.head_object.return_value = current
    assert bench.wait(shown(version_id="v0")).state == "superseded"
    bench.s3.head_object.assert_called_with(BUCKET, KEY)


def test_upload_that_the_record_shows_is_not_superseded_although_a_newer_one_is_there(bench: WaitingBench) -> None:
    bench.s3.head_object.return_value = stored("v2")
    assert bench.wait(shown()).state == "recorded"


def test_deleted_document_does_not_supersede(bench: WaitingBench) -> None:
    bench.s3.head_object.return_value = None
    assert bench.wait(None, shown()).state == "recorded"


def test_without_permission_to_read_a_record_of_a_later_second_supersedes(bench: WaitingBench) -> None:
    bench.s3.head_object.side_effect = denied()
    awaited = AwaitedUpload("v1", "e1", stored_by=UPLOADED_AT)
    other = {"version_id": "v2", "etag": "e2"}
    same_second = shown(**other, uploaded_at="2026-11-20T08:30:00Z")
    assert bench.wait(same_second, awaited=awaited).state == "unknown"
    later = shown(**other, uploaded_at="2026-11-20T08:30:01Z")
    assert bench.wait(same_second, later, awaited=awaited).state == "superseded"


def test_failure_of_aws_ends_the_wait(bench: WaitingBench) -> None:
    bench.s3.head_object.side_effect = AWSCallError("throttled")
    with pytest.raises(AWSCallError, match="throttled"):
        bench.wait(None)


@pytest.mark.parametrize(
    ("awaited", "record", "is_shown"),
    [
        (AwaitedUpload(None, "e1"), shown(version_id=None), True),
        (AwaitedUpload(None, "e2"), shown(version_id=None), False),
        (AwaitedUpload(None, "e1", "t1"), shown(version_id=None, uploaded_at="t1"), True),
        (AwaitedUpload(None, "e1", "t2"), shown(version_id=None, uploaded_at="t1"), False),
        (AwaitedUpload("v1", "e1", "t2"), shown(uploaded_at="t1"), True),
        (AwaitedUpload("v1", "e1"), shown(version_id=None), False),
        (AwaitedUpload(None, "e1"), shown(), True),
        (AwaitedUpload(), shown(), True),
        (AwaitedUpload(None, "e1", before=shown(version_id=None, recorded_at="r")),
         shown(version_id=None, recorded_at="r"), False),
        (AwaitedUpload(None, "e1", before=shown(version_id=None, recorded_at="r")),
         shown(version_id=None, recorded_at="s"), True),
    ],
)  # fmt: skip
def test_record_shows_the_upload_of_its_version_or_without_versions_of_its_entity_tag_and_time(
    awaited: AwaitedUpload, record: RunRecord, *, is_shown: bool
) -> None:
    assert awaited.is_shown_by(record) is is_shown


def test_without_versions_another_object_supersedes(bench: WaitingBench) -> None:
    awaited = AwaitedUpload(None, "e1", "2026-11-20T08:30:00Z")
    bench.s3.head_object.return_value = stored(None)
    assert bench.wait(None, awaited=awaited).state == "unknown"
    bench.s3.head_object.return_value = stored(None, at=UPLOADED_AT + timedelta(seconds=1))
    assert bench.wait(None, awaited=awaited).state == "superseded"


def test_verdict_on_the_current_upload_is_waited_for(bench: WaitingBench) -> None:
    bench.reader.read.side_effect = [shown(version_id="v0"), shown()]
    assert wait_for_current(bench.destination, RUN, timeout=300) == Verdict("recorded", shown())  # type: ignore[arg-type]


def test_without_permission_to_read_the_verdict_of_the_record_is_waited_for(bench: WaitingBench) -> None:
    bench.s3.head_object.side_effect = denied()
    bench.reader.read.side_effect = [None, shown("pending"), shown("rejected")]
    verdict = wait_for_current(bench.destination, RUN, timeout=300)
    assert (verdict.state, verdict.is_of_current) == ("rejected", False)


def test_run_that_is_not_there_is_not_waited_for(bench: WaitingBench) -> None:
    bench.s3.head_object.return_value = None
    with pytest.raises(RunNotFoundError, match=f"there is no s3://{BUCKET}/{KEY}"):
        wait_for_current(bench.destination, RUN, timeout=300)


def test_current_upload_that_cannot_be_looked_for_is_a_failure(bench: WaitingBench) -> None:
    bench.s3.head_object.side_effect = AWSCallError("throttled")
    with pytest.raises(AWSCallError, match="throttled"):
        wait_for_current(bench.destination, RUN, timeout=300)


def test_time_of_a_record_without_fractions_is_compared_with_that_of_s3() -> None:
    awaited = AwaitedUpload(stored_by=datetime(2026, 11, 20, 8, 30, tzinfo=UTC))
    assert not awaited.is_older_than(None)
    assert not awaited.is_older_than(shown())
    assert not AwaitedUpload().is_older_than(shown(uploaded_at="2026-11-20T08:30:01Z"))
    assert awaited.is_older_than(shown(uploaded_at="2026-11-20T08:30:01Z"))
