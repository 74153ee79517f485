"""What each write demands of the record, and what follows from the record that it meets instead."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

from handler.domain import ObjectVersion, Run
from handler.errors import FieldError
from handler.ordered_writes import WriteResult, record_in_order, replace_record, replace_source
from handler.record_state import RecordState
from handler.runs import RunTable
from handler.verdict import RecordUpdate

SEQUENCER = "05"
MISSING_FILE = FieldError("/files/0/path", "no object a below the run's prefix")
OTHER_FILE = FieldError("/files/1/path", "no object b below the run's prefix")
WRONG_NAME = FieldError("/name", "expected a string, found an integer")
GOOD = RecordUpdate(
    run=Run("acme", "run-0001"),
    bucket="b",
    key="k",
    version=ObjectVersion("v", "e"),
    uploaded_at="2026-11-20T08:30:00Z",
    sequencer=SEQUENCER,
    errors=(),
    errors_truncated=False,
    accepted={"config": {}, "config_sha256": "h", "source": {"etag": "e", "sequencer": SEQUENCER}, "tags": None},
)
BAD = replace(GOOD, errors=(WRONG_NAME,), accepted={})
INCOMPLETE = replace(GOOD, errors=(MISSING_FILE,), accepted={})
LATEST = "#sequencer = :sequencer, #uploaded_at = :uploaded_at, #version_id = :version_id, #etag = :etag"
IS_FIRST_OR_NEWER = "(attribute_not_exists(#organisation_id) OR #sequencer < :sequencer)"
FILLS_IN = "#sequencer > :sequencer AND (attribute_not_exists(#source) OR #source.#sequencer < :sequencer)"


def record(status: str = "recorded", sequencer: str | None = "06", *errors: FieldError, **changes: Any) -> Any:
    """An item of the table."""
    texts = {"recorded_at": "2026-11-20T08:59:59.000000Z", "version_id": "v", "etag": "e", "status": status, **changes}
    if sequencer:
        texts["sequencer"] = sequencer
    item: dict[str, Any] = {name: {"S": value} for name, value in texts.items() if isinstance(value, str)}
    item |= {name: value for name, value in texts.items() if isinstance(value, dict)}
    if errors:
        texts_of_errors = [{"path": {"S": error.path}, "message": {"S": error.message}} for error in errors]
        item["errors"] = {"L": [{"M": texts} for texts in texts_of_errors]}
    return item


def source(**texts: str) -> dict[str, Any]:
    return {"M": {name: {"S": value} for name, value in texts.items()}}


@dataclass
class Bench:
    """A table over a mocked client, and the records that its writes meet in turn; None for a write that succeeds."""

    client: MagicMock
    refuse: Callable[..., ClientError]

    def meet(self, *records: Any) -> RunTable:
        """Return the table whose next writes meet these records."""
        self.client.update_item.side_effect = [
            {} if item is None else self.refuse("ConditionalCheckFailedException", Item=item) for item in records
        ]
        self.client.get_item.return_value = {}
        return RunTable("table", self.client)

    def record(self, update: RecordUpdate, *records: Any) -> WriteResult:
        """Record an upload whose writes meet these records."""
        return record_in_order(self.meet(*records), update, SEQUENCER)

    @property
    def conditions(self) -> list[str]:
        """The conditions of all writes."""
        return [call.kwargs["ConditionExpression"] for call in self.client.update_item.call_args_list]

    @property
    def update(self) -> str:
        """The expression of the last write."""
        expression: str = self.client.update_item.call_args.kwargs["UpdateExpression"]
        return expression

    @property
    def values(self) -> Any:
        """The values of the last write."""
        return self.client.update_item.call_args.kwargs["ExpressionAttributeValues"]


@pytest.fixture
def bench(dynamodb_client: MagicMock, client_error: Callable[..., ClientError]) -> Bench:
    return Bench(dynamodb_client, client_error)


def test_upload_is_written_if_it_is_the_first_or_the_newest(bench: Bench) -> None:
    assert bench.record(GOOD, None) is WriteResult.WRITTEN
    assert bench.conditions == [IS_FIRST_OR_NEWER]
    assert bench.update.startswith(
        f"SET #status = :status, {LATEST}, #bucket = :bucket, #key = :key, #config = :config"
    )
    assert bench.update.endswith(" REMOVE #errors, #errors_truncated, #tags")
    assert (bench.values[":status"], bench.values[":sequencer"]) == ({"S": "recorded"}, {"S": SEQUENCER})


def test_rejected_upload_sets_its_errors_and_leaves_what_was_accepted(bench: Bench) -> None:
    assert bench.record(replace(BAD, errors_truncated=True), None) is WriteResult.WRITTEN
    assert "#config" not in bench.update
    assert "#source" not in bench.update
    assert "REMOVE" not in bench.update
    assert bench.values[":status"] == {"S": "rejected"}
    assert bench.values[":errors_truncated"] == {"BOOL": True}
    assert bench.values[":errors"] == {
        "L": [{"M": {"path": {"S": "/name"}, "message": {"S": "expected a string, found an integer"}}}]
    }


def test_upload_without_a_version_removes_that_of_an_earlier_one(bench: Bench) -> None:
    bench.record(replace(BAD, version=ObjectVersion(None, "e")), None)
    assert bench.update.endswith("REMOVE #errors_truncated, #version_id")


@pytest.mark.parametrize(
    ("update", "met", "result"),
    [
        (GOOD, record(sequencer="06"), WriteResult.STALE),
        (BAD, record("rejected", "06", WRONG_NAME), WriteResult.STALE),
        (GOOD, record(sequencer=SEQUENCER), WriteResult.DUPLICATE),
        (BAD, record("rejected", SEQUENCER, WRONG_NAME), WriteResult.DUPLICATE),
        (GOOD, record("rejected", SEQUENCER, WRONG_NAME), WriteResult.DUPLICATE),
        (GOOD, record("rejected", SEQUENCER, MISSING_FILE, WRONG_NAME), WriteResult.DUPLICATE),
        (INCOMPLETE, record("recorded", SEQUENCER), WriteResult.DUPLICATE),
        (INCOMPLETE, record("rejected", SEQUENCER, MISSING_FILE), WriteResult.DUPLICATE),
        (GOOD, record(sequencer=None), WriteResult.INCOMPARABLE),
        (GOOD, record(sequencer=SEQUENCER, version_id="v0"), WriteResult.INCOMPARABLE),
        (GOOD, record(sequencer=SEQUENCER, etag="e0"), WriteResult.INCOMPARABLE),
        (GOOD, {}, WriteResult.CHANGED),
        (GOOD, record(sequencer="04"), WriteResult.CHANGED),
    ],
    ids=[
        "newer",
        "newer, both rejected",
        "same upload",
        "same upload, rejected",
        "settled",
        "settled, though a file is missing",
        "accepted already",
        "same files missing",
        "record without a sequencer",
        "equal sequencer of another version",
        "equal sequencer of another entity tag",
        "record deleted meanwhile",
        "record replaced meanwhile",
    ],
)
def test_refused_upload_is_not_written_a_second_time(
    bench: Bench, update: RecordUpdate, met: Any, result: WriteResult
) -> None:
    assert bench.record(update, met) is result
    assert bench.conditions == [IS_FIRST_OR_NEWER]


@pytest.mark.parametrize("update", [GOOD, replace(INCOMPLETE, errors=(OTHER_FILE,)), BAD])
@pytest.mark.parametrize(
    ("second", "result"), [(None, WriteResult.WRITTEN), (record(sequencer="06"), WriteResult.CHANGED)]
)
def test_another_verdict_settles_an_upload_that_lacked_files(
    bench: Bench, update: RecordUpdate, second: Any, result: WriteResult
) -> None:
    met = record("rejected", SEQUENCER, MISSING_FILE, recorded_at="2999-01-01T00:00:00.000000Z")
    assert bench.record(update, met, second) is result
    assert "#recorded_at = :seen_recorded_at" in bench.conditions[1]
    assert "#sequencer = :seen_sequencer" in bench.conditions[1]
    assert bench.values[":recorded_at"] == {"S": "2999-01-01T00:00:00.000001Z"}


@pytest.mark.parametrize(
    ("second", "result"),
    [
        (None, WriteResult.STALE),
        (record("rejected", "06", WRONG_NAME, source=source(etag="e1", sequencer="05")), WriteResult.STALE),
        (record("recorded", "07"), WriteResult.STALE),
        (record("rejected", None, WRONG_NAME), WriteResult.INCOMPARABLE),
        (record("rejected", "06", WRONG_NAME, source=source(etag="e1")), WriteResult.INCOMPARABLE),
        ({}, WriteResult.CHANGED),
    ],
    ids=[
        "filled in",
        "has a newer source",
        "a newer one is accepted",
        "record lost its sequencer",
        "source without a sequencer",
        "record deleted meanwhile",
    ],
)
def test_accepted_upload_that_comes_after_a_rejected_newer_one_is_filled_in(
    bench: Bench, second: Any, result: WriteResult
) -> None:
    assert bench.record(GOOD, record("rejected", "06", WRONG_NAME), second) is result
    assert bench.conditions == [IS_FIRST_OR_NEWER, FILLS_IN]
    assert bench.update == (
        "SET #config = :config, #config_sha256 = :config_sha256, #source = :source, #recorded_at = :recorded_at, "
        "#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #tags"
    )


@pytest.mark.parametrize(("met", "is_written"), [(None, True), (record(), False)])
def test_record_is_replaced_only_if_there_is_still_none(bench: Bench, met: Any, *, is_written: bool) -> None:
    assert replace_record(bench.meet(met), None, replace(GOOD, sequencer=None)) is is_written
    assert bench.conditions == ["attribute_not_exists(#organisation_id)"]
    assert bench.update.endswith("REMOVE #errors, #errors_truncated, #sequencer, #tags")


@pytest.mark.parametrize(("met", "is_written"), [(None, True), (record(), False)])
def test_record_is_replaced_only_if_it_is_still_the_one_that_was_seen(
    bench: Bench, met: Any, *, is_written: bool
) -> None:
    seen = RecordState.of(record("rejected", "04", source=source(etag="e1")))
    assert replace_record(bench.meet(met), seen, GOOD) is is_written
    assert bench.conditions == [
        "#recorded_at = :seen_recorded_at AND #status = :seen_status AND #sequencer = :seen_sequencer AND "
        "attribute_not_exists(#uploaded_at) AND #version_id = :seen_version_id AND #etag = :seen_etag AND "
        "attribute_not_exists(#source.#version_id) AND #source.#etag = :seen_source_etag AND "
        "attribute_not_exists(#source.#sequencer)"
    ]
    assert bench.values[":seen_source_etag"] == {"S": "e1"}
    assert bench.values[":recorded_at"]["S"] > "2026-11-20T08:59:59.000000Z"


@pytest.mark.parametrize(("met", "is_written"), [(None, True), (record(), False)])
def test_source_is_replaced_beside_the_verdict_on_the_latest_upload(
    bench: Bench, met: Any, *, is_written: bool
) -> None:
    seen = RecordState.of(record("rejected", "06", WRONG_NAME))
    assert replace_source(bench.meet(met), seen, GOOD.run, GOOD.accepted) is is_written
    assert bench.update == (
        "SET #config = :config, #config_sha256 = :config_sha256, #source = :source, #recorded_at = :recorded_at, "
        "#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #tags, #sequencer"
    )


def test_lost_answer_of_a_write_is_what_was_written(bench: Bench, mocker: MockerFixture) -> None:
    """The SDK repeats the write, which then meets itself."""
    mocker.patch("handler.runs._now", return_value="2026-11-20T09:00:00.000001Z")
    own = record(
        sequencer=SEQUENCER,
        recorded_at="2026-11-20T09:00:00.000001Z",
        uploaded_at=GOOD.uploaded_at,
        bucket="b",
        key="k",
        config_sha256="h",
        source=source(etag="e", sequencer=SEQUENCER),
    )
    assert bench.record(GOOD, own) is WriteResult.WRITTEN
    mocker.patch("handler.runs._now", return_value="2026-11-20T09:00:00.000002Z")
    assert bench.record(GOOD, own) is WriteResult.DUPLICATE
