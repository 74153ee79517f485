"""What a reader sees of a record, and the conditions of a write."""

from typing import Any

import pytest

from run_recorder.domain import ObjectVersion
from run_recorder.errors import FieldError
from run_recorder.record_state import (
    NO_RECORD,
    NO_SOURCE,
    STATE_ATTRIBUTES,
    Condition,
    RecordState,
    record_is,
    record_is_newer_than,
    record_is_older_than,
    source_is_older_than,
)
from tests.support.fake_table import item_of

FILE_IS_MISSING = FieldError("/files/0/path", "no object a below the run's prefix")
FILE_HAS_ANOTHER_SIZE = FieldError("/files/10/size", "the object has 1 bytes, not 2")
NAME_IS_WRONG = FieldError("/name", "expected a string, found an integer")
RECORD: dict[str, Any] = {
    "organisation_id": "acme",
    "run_id": "run-0001",
    "status": "rejected",
    "errors": [{"path": "/name", "message": "expected a string, found an integer"}],
    "errors_truncated": True,
    "sequencer": "06",
    "uploaded_at": "2026-11-20T08:30:00Z",
    "version_id": "v2",
    "etag": "e2",
    "source": {"version_id": "v1", "etag": "e1", "sequencer": "05", "size": 2, "sha256": "0"},
    "recorded_at": "2026-11-20T08:30:01.000000Z",
    "config": {},
}
STATE = RecordState(
    status="rejected",
    sequencer="06",
    uploaded_at="2026-11-20T08:30:00Z",
    version_id="v2",
    etag="e2",
    source_version_id="v1",
    source_etag="e1",
    source_sequencer="05",
    recorded_at="2026-11-20T08:30:01.000000Z",
    errors=(NAME_IS_WRONG,),
    errors_truncated=True,
)


def test_state_is_read_from_an_item() -> None:
    assert RecordState.of(item_of(RECORD)) == STATE
    assert STATE.version == ObjectVersion("v2", "e2")
    assert STATE.source == ObjectVersion("v1", "e1")


def test_state_needs_no_other_attributes_than_the_listed_ones() -> None:
    assert RecordState.of(item_of({name: RECORD[name] for name in STATE_ATTRIBUTES})) == STATE


@pytest.mark.parametrize("name", STATE_ATTRIBUTES)
def test_each_listed_attribute_changes_the_state(name: str) -> None:
    assert RecordState.of(item_of({other: RECORD[other] for other in RECORD if other != name})) != STATE


def test_record_that_another_program_wrote_may_lack_any_attribute() -> None:
    state = RecordState.of(item_of({"organisation_id": "acme", "run_id": "run-0001"}))
    assert state == RecordState()
    assert state.version == ObjectVersion(None, "")
    assert state.source is None
    assert not state.is_accepted


def test_source_without_a_version_is_the_null_version() -> None:
    assert RecordState.of(item_of({"source": {"etag": "e"}})).source == ObjectVersion(None, "e")


@pytest.mark.parametrize(("status", "is_accepted"), [("recorded", True), ("rejected", False), (None, False)])
def test_record_is_accepted_by_its_status(status: str | None, *, is_accepted: bool) -> None:
    assert RecordState(status=status).is_accepted is is_accepted


@pytest.mark.parametrize(
    ("status", "errors", "is_settled"),
    [
        ("recorded", (), True),
        ("rejected", (FILE_IS_MISSING,), False),
        ("rejected", (FILE_IS_MISSING, FILE_HAS_ANOTHER_SIZE), False),
        ("rejected", (NAME_IS_WRONG,), True),
        ("rejected", (NAME_IS_WRONG, FILE_IS_MISSING), True),
        ("rejected", (FieldError("/files/0/sha256", "…"),), True),
        ("rejected", (FieldError("/files/0", "…"),), True),
        ("rejected", (FieldError("/files", "…"),), True),
        ("rejected", (FieldError("/parameters/files/0/path", "…"),), True),
        ("rejected", (), False),
        (None, (), False),
    ],
)
def test_verdict_is_final_unless_missing_files_are_all_that_is_wrong(
    status: str | None, errors: tuple[FieldError, ...], *, is_settled: bool
) -> None:
    assert RecordState(status=status, errors=errors).is_settled is is_settled


@pytest.mark.parametrize(
    ("condition", "expression", "values"),
    [
        (NO_RECORD, "attribute_not_exists(#organisation_id)", {}),
        (NO_SOURCE, "attribute_not_exists(#source)", {}),
        (record_is_older_than("05"), "#sequencer < :sequencer", {":sequencer": {"S": "05"}}),
        (record_is_newer_than("05"), "#sequencer > :sequencer", {":sequencer": {"S": "05"}}),
        (source_is_older_than("05"), "#source.#sequencer < :sequencer", {":sequencer": {"S": "05"}}),
    ],
)
def test_condition_expressions(condition: Condition, expression: str, values: dict[str, Any]) -> None:
    assert (condition.expression, condition.values) == (expression, values)


def test_conditions_are_combined_with_their_values() -> None:
    one, two, three = Condition("a", {":a": {"S": "1"}}), Condition("b"), Condition("c", {":c": {"S": "3"}})
    combined = one & (two | three)
    assert combined == Condition("a AND (b OR c)", {":a": {"S": "1"}, ":c": {"S": "3"}})


def test_record_is_required_to_have_every_attribute_that_was_read() -> None:
    condition = record_is(STATE)
    assert condition.expression == (
        "#recorded_at = :seen_recorded_at AND #status = :seen_status AND #sequencer = :seen_sequencer AND "
        "#uploaded_at = :seen_uploaded_at AND #version_id = :seen_version_id AND #etag = :seen_etag AND "
        "#source.#version_id = :seen_source_version_id AND #source.#etag = :seen_source_etag AND "
        "#source.#sequencer = :seen_source_sequencer"
    )
    assert condition.values == {
        ":seen_recorded_at": {"S": "2026-11-20T08:30:01.000000Z"},
        ":seen_status": {"S": "rejected"},
        ":seen_sequencer": {"S": "06"},
        ":seen_uploaded_at": {"S": "2026-11-20T08:30:00Z"},
        ":seen_version_id": {"S": "v2"},
        ":seen_etag": {"S": "e2"},
        ":seen_source_version_id": {"S": "v1"},
        ":seen_source_etag": {"S": "e1"},
        ":seen_source_sequencer": {"S": "05"},
    }


def test_record_is_required_to_lack_every_attribute_that_was_absent() -> None:
    condition = record_is(RecordState(recorded_at="2026-11-20T08:30:01.000000Z"))
    assert condition.expression == (
        "#recorded_at = :seen_recorded_at AND attribute_not_exists(#status) AND attribute_not_exists(#sequencer) AND "
        "attribute_not_exists(#uploaded_at) AND attribute_not_exists(#version_id) AND attribute_not_exists(#etag) AND "
        "attribute_not_exists(#source.#version_id) AND attribute_not_exists(#source.#etag) AND "
        "attribute_not_exists(#source.#sequencer)"
    )
    assert condition.values == {":seen_recorded_at": {"S": "2026-11-20T08:30:01.000000Z"}}
