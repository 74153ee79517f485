"""The writes of an upload in S3's order, and what follows from each refusal."""

from dataclasses import replace
from typing import Any
from unittest.mock import MagicMock

import pytest

from run_recorder.domain import ObjectVersion, Outcome
from run_recorder.errors import FieldError
from run_recorder.ordered_writes import WriteResult, record_in_order, replace_record, replace_source
from run_recorder.record_state import RecordState, record_is
from run_recorder.verdict import RecordUpdate
from tests.support.fake_table import item_of
from tests.support.names import RUN
from tests.support.recorder_bench import RecorderBench

FILE_IS_MISSING = FieldError("/files/0/path", "no object a below the run's prefix")
OTHER_FILE_IS_MISSING = FieldError("/files/1/path", "no object b below the run's prefix")
NAME_IS_WRONG = FieldError("/name", "expected a string, found an integer")
ACCEPTED = RecordUpdate(
    run=RUN,
    status=Outcome.RECORDED,
    is_waiting=False,
    bucket="b",
    key="k",
    version=ObjectVersion("v5", "e5"),
    uploaded_at="2026-11-20T08:30:00Z",
    sequencer="05",
    errors=(),
    errors_truncated=False,
    accepted={"config": {"x": 1}, "source": {"etag": "e5", "sequencer": "05"}, "name": "n", "tags": None},
)
REJECTED = replace(ACCEPTED, status=Outcome.REJECTED, errors=(NAME_IS_WRONG,), accepted={})
INCOMPLETE = replace(REJECTED, errors=(FILE_IS_MISSING,))
"""An upload whose files are late, and are not waited for any more."""
INCOMPLETE_IN_TIME = replace(INCOMPLETE, is_waiting=True)
"""The same while the wait lasts, looked at by an event that cannot be put back."""
PENDING = replace(INCOMPLETE_IN_TIME, status=Outcome.PENDING)
"""The same, looked at by a message of the queue."""
LATEST = {"status", "sequencer", "uploaded_at", "version_id", "etag", "bucket", "key", "recorded_at"}


def record(sequencer: str | None, status: str = "recorded", *errors: FieldError, **attributes: Any) -> dict[str, Any]:
    """Return a record that shows the upload v5, unless the attributes say otherwise."""
    shown = {
        "status": status,
        "errors": [{"path": error.path, "message": error.message} for error in errors] or None,
        "sequencer": sequencer,
        "uploaded_at": "2026-11-20T08:30:00Z",
        "version_id": "v5",
        "etag": "e5",
        "recorded_at": "2026-11-20T08:30:01.000000Z",
        **attributes,
    }
    return {name: value for name, value in shown.items() if value is not None}


class WritesBench(RecorderBench):
    """A table, and an upload with the sequencer 05."""

    def write(self, update: RecordUpdate = ACCEPTED, *refusals: dict[str, Any] | None) -> WriteResult:
        """Record the upload in order, while these refuse the writes."""
        self.refuse(*refusals)
        return record_in_order(self.table, update, "05")


@pytest.fixture
def bench(s3_client: MagicMock, dynamodb_client: MagicMock) -> WritesBench:
    return WritesBench(s3_client, dynamodb_client)


def state(item: dict[str, Any]) -> RecordState:
    return RecordState.of(item_of(item))


def test_accepted_upload_is_written_if_there_is_no_record_or_an_older_one(bench: WritesBench) -> None:
    assert bench.write() is WriteResult.WRITTEN
    assert bench.condition == "(attribute_not_exists(#organisation_id) OR #sequencer < :sequencer)"
    assert bench.writes[0]["ExpressionAttributeValues"][":sequencer"] == {"S": "05"}
    written = bench.written
    assert written.pop("recorded_at") > "2026"
    assert written == {
        "status": "recorded",
        "errors": None,
        "errors_truncated": None,
        "sequencer": "05",
        "uploaded_at": "2026-11-20T08:30:00Z",
        "version_id": "v5",
        "etag": "e5",
        "bucket": "b",
        "key": "k",
        "config": {"x": 1},
        "source": {"etag": "e5", "sequencer": "05"},
        "name": "n",
        "tags": None,
    }
    assert len(bench.writes) == 1
    assert bench.reads == 0


def test_rejected_upload_sets_only_the_attributes_of_the_latest_upload(bench: WritesBench) -> None:
    assert bench.write(REJECTED) is WriteResult.WRITTEN
    assert set(bench.written) == LATEST | {"errors", "errors_truncated"}
    assert bench.written["status"] == "rejected"
    assert bench.written["errors"] == [{"path": "/name", "message": "expected a string, found an integer"}]
    assert bench.written["errors_truncated"] is None


def test_record_states_that_its_errors_are_not_all(bench: WritesBench) -> None:
    bench.write(replace(REJECTED, errors_truncated=True))
    assert bench.written["errors_truncated"] is True


def test_upload_without_a_version_removes_that_of_an_earlier_upload(bench: WritesBench) -> None:
    bench.write(replace(REJECTED, version=ObjectVersion(None, "e5")))
    assert bench.written["version_id"] is None


@pytest.mark.parametrize(
    "refusal", [{}, record("04")], ids=["record is gone since", "record got an older upload since"]
)
def test_record_that_no_longer_refuses_the_write_changed(bench: WritesBench, refusal: dict[str, Any]) -> None:
    assert bench.write(ACCEPTED, refusal) is WriteResult.CHANGED
    assert len(bench.writes) == 1


def test_record_without_a_sequencer_is_incomparable(bench: WritesBench) -> None:
    assert bench.write(ACCEPTED, record(None)) is WriteResult.INCOMPARABLE
    assert len(bench.writes) == 1


@pytest.mark.parametrize("update", [ACCEPTED, REJECTED])
def test_upload_before_an_accepted_one_is_stale(bench: WritesBench, update: RecordUpdate) -> None:
    assert bench.write(update, record("06", version_id="v6")) is WriteResult.STALE
    assert len(bench.writes) == 1


@pytest.mark.parametrize("update", [REJECTED, INCOMPLETE, PENDING])
@pytest.mark.parametrize("newer", ["rejected", "pending"])
@pytest.mark.parametrize(
    ("source", "result"),
    [
        (None, WriteResult.STALE_NOT_ACCEPTED),
        ({"etag": "e4", "sequencer": "04"}, WriteResult.STALE_NOT_ACCEPTED),
        ({"etag": "e4"}, WriteResult.STALE_NOT_ACCEPTED),
        ({"etag": "e5b", "sequencer": "055"}, WriteResult.STALE),
    ],
    ids=["nothing accepted", "an older one accepted", "one of unknown order accepted", "a newer one accepted"],
)
def test_upload_that_is_not_accepted_before_another_such_one_fills_nothing_in(
    bench: WritesBench, update: RecordUpdate, newer: str, source: dict[str, str] | None, result: WriteResult
) -> None:
    assert bench.write(update, record("06", newer, FILE_IS_MISSING, source=source)) is result
    assert len(bench.writes) == 1


def test_pending_upload_is_written_with_its_errors(bench: WritesBench) -> None:
    assert bench.write(PENDING) is WriteResult.WRITTEN
    assert set(bench.written) == LATEST | {"errors", "errors_truncated"}
    assert bench.written["status"] == "pending"
    assert bench.written["errors"] == [{"path": "/files/0/path", "message": "no object a below the run's prefix"}]


@pytest.mark.parametrize(
    ("update", "errors"),
    [
        (PENDING, [FILE_IS_MISSING]),
        (INCOMPLETE_IN_TIME, [FILE_IS_MISSING]),
        (INCOMPLETE_IN_TIME, [FILE_IS_MISSING, OTHER_FILE_IS_MISSING]),
    ],
    ids=["from the queue, nothing new", "without a queue", "without a queue, though a file has arrived"],
)
def test_pending_record_stays_as_it_is(bench: WritesBench, update: RecordUpdate, errors: list[FieldError]) -> None:
    assert bench.write(update, record("05", "pending", *errors)) is WriteResult.PENDING
    assert len(bench.writes) == 1


@pytest.mark.parametrize(
    ("update", "recorded"),
    [
        (ACCEPTED, record("05", "pending", FILE_IS_MISSING)),
        (INCOMPLETE, record("05", "pending", FILE_IS_MISSING)),
        (REJECTED, record("05", "pending", FILE_IS_MISSING)),
        (PENDING, record("05", "pending", FILE_IS_MISSING, OTHER_FILE_IS_MISSING)),
        (PENDING, record("05", "rejected", FILE_IS_MISSING)),
    ],
    ids=["files are there", "wait is over", "rules changed", "another file has arrived", "rejected without a queue"],
)
def test_unsettled_record_gets_another_verdict(
    bench: WritesBench, update: RecordUpdate, recorded: dict[str, Any]
) -> None:
    assert bench.write(update, recorded) is WriteResult.WRITTEN
    assert bench.condition == record_is(state(recorded)).expression
    assert bench.written["status"] == update.status


@pytest.mark.parametrize("update", [ACCEPTED, REJECTED, INCOMPLETE])
@pytest.mark.parametrize(
    "other", [{"version_id": "v4"}, {"etag": "e4"}, {"version_id": None}], ids=["version", "etag", "no version"]
)
def test_equal_sequencer_of_another_upload_is_incomparable(
    bench: WritesBench, update: RecordUpdate, other: dict[str, Any]
) -> None:
    assert bench.write(update, record("05", "rejected", FILE_IS_MISSING, **other)) is WriteResult.INCOMPARABLE
    assert len(bench.writes) == 1


@pytest.mark.parametrize(
    ("update", "recorded"),
    [
        (ACCEPTED, record("05")),
        (REJECTED, record("05")),
        (INCOMPLETE, record("05")),
        (PENDING, record("05")),
        (REJECTED, record("05", "rejected", NAME_IS_WRONG)),
        (ACCEPTED, record("05", "rejected", NAME_IS_WRONG)),
        (ACCEPTED, record("05", "rejected", NAME_IS_WRONG, FILE_IS_MISSING)),
        (INCOMPLETE, record("05", "rejected", FILE_IS_MISSING)),
        (INCOMPLETE_IN_TIME, record("05", "rejected", FILE_IS_MISSING)),
        (PENDING, record("05", "rejected", NAME_IS_WRONG)),
    ],
    ids=[
        "accepted twice",
        "rejected after it was accepted",
        "incomplete after it was accepted",
        "pending after it was accepted",
        "rejected twice",
        "accepted after it was rejected for good",
        "accepted after it was rejected for good with a missing file",
        "incomplete twice with the same errors",
        "incomplete twice without a queue",
        "pending after it was rejected for good",
    ],
)
def test_upload_that_the_record_shows_settled_is_a_duplicate(
    bench: WritesBench, update: RecordUpdate, recorded: dict[str, Any]
) -> None:
    assert bench.write(update, recorded) is WriteResult.DUPLICATE
    assert len(bench.writes) == 1


@pytest.mark.parametrize(
    "update", [ACCEPTED, replace(INCOMPLETE, errors=(FILE_IS_MISSING, OTHER_FILE_IS_MISSING)), REJECTED]
)
def test_upload_that_the_record_shows_unsettled_is_written_if_the_record_is_still_the_same(
    bench: WritesBench, update: RecordUpdate
) -> None:
    recorded = record("05", "rejected", FILE_IS_MISSING, recorded_at="2999-01-01T00:00:00.000000Z")
    assert bench.write(update, recorded) is WriteResult.WRITTEN
    assert bench.condition == record_is(state(recorded)).expression
    assert "#sequencer = :seen_sequencer" in bench.condition
    assert "#recorded_at = :seen_recorded_at" in bench.condition
    values = bench.writes[1]["ExpressionAttributeValues"]
    assert (values[":seen_sequencer"], values[":seen_recorded_at"]) == (
        {"S": "05"},
        {"S": "2999-01-01T00:00:00.000000Z"},
    )
    assert bench.written["status"] == update.status
    assert bench.written["sequencer"] == "05"
    assert bench.written["recorded_at"] == "2999-01-01T00:00:00.000001Z"


def test_unsettled_record_that_changed_under_the_settling_write_changed(bench: WritesBench) -> None:
    unsettled = record("05", "rejected", FILE_IS_MISSING)
    assert bench.write(ACCEPTED, unsettled, record("05")) is WriteResult.CHANGED
    assert len(bench.writes) == 2


def test_accepted_upload_fills_in_what_a_rejected_newer_one_left_out(bench: WritesBench) -> None:
    assert bench.write(ACCEPTED, record("06", "rejected", NAME_IS_WRONG)) is WriteResult.STALE
    assert bench.condition == (
        "#sequencer > :sequencer AND (attribute_not_exists(#source) OR #source.#sequencer < :sequencer)"
    )
    assert bench.writes[1]["ExpressionAttributeValues"][":sequencer"] == {"S": "05"}
    written = bench.written
    del written["recorded_at"]
    assert written == {"config": {"x": 1}, "source": {"etag": "e5", "sequencer": "05"}, "name": "n", "tags": None}


@pytest.mark.parametrize(
    ("refusal", "result"),
    [
        (record("06", "rejected", NAME_IS_WRONG, source={"etag": "e5b", "sequencer": "055"}), WriteResult.STALE),
        (record("07", source={"etag": "e7", "sequencer": "07"}), WriteResult.STALE),
        ({}, WriteResult.CHANGED),
        (record(None, "rejected", NAME_IS_WRONG), WriteResult.INCOMPARABLE),
        (record(None, source={"etag": "e7", "sequencer": "07"}), WriteResult.INCOMPARABLE),
        (record("06", "rejected", NAME_IS_WRONG, source={"etag": "e4"}), WriteResult.INCOMPARABLE),
    ],
    ids=[
        "a newer source",
        "a newer accepted upload",
        "no record",
        "a record that lost its sequencer",
        "an accepted record that lost its sequencer",
        "a source without a sequencer",
    ],
)
def test_refused_fill_in(bench: WritesBench, refusal: dict[str, Any], result: WriteResult) -> None:
    assert bench.write(ACCEPTED, record("06", "rejected", NAME_IS_WRONG), refusal) is result
    assert len(bench.writes) == 2


def test_record_is_replaced_only_where_there_still_is_none(bench: WritesBench) -> None:
    assert replace_record(bench.table, None, replace(ACCEPTED, sequencer=None))
    assert bench.condition == "attribute_not_exists(#organisation_id)"
    assert bench.written["sequencer"] is None
    assert ":sequencer" not in bench.writes[0]["ExpressionAttributeValues"]


def test_record_is_replaced_only_if_it_is_still_the_one_that_was_seen(bench: WritesBench) -> None:
    seen = state(record(None, "rejected", NAME_IS_WRONG, recorded_at="2999-01-01T00:00:00.000000Z"))
    assert replace_record(bench.table, seen, ACCEPTED)
    assert bench.condition == record_is(seen).expression
    assert bench.written["status"] == "recorded"
    assert bench.written["recorded_at"] == "2999-01-01T00:00:00.000001Z"


def test_source_is_replaced_without_the_verdict_on_the_latest_upload(bench: WritesBench) -> None:
    seen = state(record("06", "rejected", NAME_IS_WRONG, recorded_at="2999-01-01T00:00:00.000000Z"))
    assert replace_source(bench.table, seen, RUN, {"config": {"x": 1}, "tags": None})
    assert bench.condition == record_is(seen).expression
    assert bench.written == {
        "config": {"x": 1},
        "recorded_at": "2999-01-01T00:00:00.000001Z",
        "tags": None,
        "sequencer": None,
    }


@pytest.mark.parametrize("seen", [None, state(record("05"))], ids=["no record", "a record"])
def test_replacement_of_a_record_that_changed_is_refused(bench: WritesBench, seen: RecordState | None) -> None:
    bench.refuse(record("06"), record("06"))
    assert not replace_record(bench.table, seen, ACCEPTED)
    assert not replace_source(bench.table, seen, RUN, ACCEPTED.accepted)
