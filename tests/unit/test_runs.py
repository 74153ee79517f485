"""The table's calls, exactly; that DynamoDB takes them is shown by the integration tests."""

from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pytest_mock import MockerFixture

from run_recorder.domain import Run
from run_recorder.errors import AWSCallError
from run_recorder.record_state import Condition, RecordState
from run_recorder.runs import Refusal, RunTable

NOW = "2026-11-20T09:00:00.000001Z"
UNREACHABLE = EndpointConnectionError(endpoint_url="https://dynamodb.example")
NOT_UTF8 = UnicodeDecodeError("utf-8", b"\xc3", 0, 1, "unexpected end of data")
KEY = {"organisation_id": {"S": "acme"}, "run_id": {"S": "run-0001"}}
CONDITION = Condition("#source.#sequencer < :sequencer", {":sequencer": {"S": "06"}})
ATTRIBUTES = {"etag": "e", "config": {"x": Decimal("0.10")}, "source": {"etag": "e", "size": 2}, "tags": None}


@pytest.fixture(autouse=True)
def clock(mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.runs.datetime", wraps=datetime).now.return_value = datetime.fromisoformat(NOW)


@pytest.fixture
def table(dynamodb_client: MagicMock) -> RunTable:
    return RunTable("table", dynamodb_client)


@pytest.fixture
def refuse(dynamodb_client: MagicMock, client_error: Callable[..., ClientError]) -> Callable[..., None]:
    """Make DynamoDB refuse every write: with the item that it met, or without one."""

    def refuse(item: dict[str, Any] | None = None, *, read: dict[str, Any] | None = None) -> None:
        response = {"Item": item} if item else {}
        dynamodb_client.update_item.side_effect = client_error("ConditionalCheckFailedException", **response)
        dynamodb_client.get_item.return_value = {"Item": read} if read else {}

    return refuse


def written_item(**changes: Any) -> dict[str, Any]:
    """Return the item that a write of `ATTRIBUTES` leaves, as DynamoDB spells it."""
    item = {
        **KEY,
        "etag": {"S": "e"},
        "config": {"M": {"x": {"N": "0.1"}}},
        "source": {"M": {"etag": {"S": "e"}, "size": {"N": "2"}}},
        "recorded_at": {"S": NOW},
        "first_recorded_at": {"S": NOW},
    }
    return item | changes


def test_client_is_made_when_none_is_given(mocker: MockerFixture) -> None:
    make_client = mocker.patch("boto3.client", autospec=True)
    assert RunTable("table").client is make_client.return_value
    make_client.assert_called_once_with("dynamodb")


def test_client_can_be_given(mocker: MockerFixture, dynamodb_client: MagicMock) -> None:
    make_client = mocker.patch("boto3.client", autospec=True)
    assert RunTable("table", dynamodb_client).client is dynamodb_client
    make_client.assert_not_called()


def test_state_is_read_consistently(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {"Item": {"recorded_at": {"S": NOW}, "etag": {"S": "e"}}}
    assert table.get(run) == RecordState(recorded_at=NOW, etag="e")
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


def test_whole_record_is_read_consistently(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {"Item": {**KEY, "name": {"S": "n"}}}
    assert table.read(run) == {**KEY, "name": {"S": "n"}}
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


def test_absent_record_is_none(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {}
    assert table.get(run) is None
    assert table.read(run) is None


@pytest.mark.parametrize("operation", ["query", "scan"])
def test_items_are_found_page_by_page(
    table: RunTable, dynamodb_client: MagicMock, operation: Literal["query", "scan"]
) -> None:
    """A page that nobody asks for is not fetched."""
    fetched = []

    def pages() -> Iterator[dict[str, Any]]:
        for number in range(3):
            fetched.append(number)
            yield {"Items": [{"run_id": {"S": f"{number}{letter}"}} for letter in "ab"]}

    dynamodb_client.get_paginator.return_value.paginate.return_value = pages()
    items = table.find(operation, Limit=2)
    assert [next(items)["run_id"]["S"] for _ in range(3)] == ["0a", "0b", "1a"]
    assert fetched == [0, 1]
    assert len(list(items)) == 3
    dynamodb_client.get_paginator.assert_called_once_with(operation)
    dynamodb_client.get_paginator.return_value.paginate.assert_called_once_with(TableName="table", Limit=2)


def test_page_that_ends_early_raises(table: RunTable, dynamodb_client: MagicMock) -> None:
    """For botocore it is one without items."""
    dynamodb_client.get_paginator.return_value.paginate.return_value = [{"ResponseMetadata": {}}]
    with pytest.raises(AWSCallError, match=r"^reading the records of table ended early$"):
        list(table.find("query"))


def test_write_is_one_conditional_request(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    assert table.write(run, ATTRIBUTES, CONDITION) is None
    dynamodb_client.update_item.assert_called_once_with(
        TableName="table",
        Key=KEY,
        UpdateExpression=(
            "SET #etag = :etag, #config = :config, #source = :source, #recorded_at = :recorded_at, "
            "#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #tags"
        ),
        ConditionExpression="#source.#sequencer < :sequencer",
        ExpressionAttributeNames={
            "#etag": "etag",
            "#config": "config",
            "#source": "source",
            "#recorded_at": "recorded_at",
            "#first_recorded_at": "first_recorded_at",
            "#tags": "tags",
            "#sequencer": "sequencer",
        },
        ExpressionAttributeValues={
            ":etag": {"S": "e"},
            ":config": {"M": {"x": {"N": "0.10"}}},
            ":source": {"M": {"etag": {"S": "e"}, "size": {"N": "2"}}},
            ":recorded_at": {"S": NOW},
            ":sequencer": {"S": "06"},
        },
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    assert [call[0] for call in dynamodb_client.method_calls] == ["update_item"]


def test_attributes_that_are_none_are_removed(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    table.write(run, {"etag": None, "name": "", "version_id": None}, CONDITION)
    request = dynamodb_client.update_item.call_args.kwargs
    assert request["UpdateExpression"] == (
        "SET #name = :name, #recorded_at = :recorded_at, "
        "#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #etag, #version_id"
    )
    assert set(request["ExpressionAttributeValues"]) == {":name", ":recorded_at", ":sequencer"}


def test_write_that_removes_nothing_has_no_remove_clause(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    table.write(run, {"etag": "e"}, CONDITION)
    assert "REMOVE" not in dynamodb_client.update_item.call_args.kwargs["UpdateExpression"]


@pytest.mark.parametrize(
    ("after", "recorded_at"),
    [
        (None, NOW),
        ("2026-11-20T08:59:59.999999Z", NOW),
        (NOW, "2026-11-20T09:00:00.000002Z"),
        ("2026-11-20T10:00:00.999999Z", "2026-11-20T10:00:01.000000Z"),
    ],
)
def test_record_is_written_at_a_later_time_than_the_one_before_whatever_the_clock_says(
    table: RunTable, run: Run, dynamodb_client: MagicMock, after: str | None, recorded_at: str
) -> None:
    table.write(run, ATTRIBUTES, CONDITION, after=after)
    values = dynamodb_client.update_item.call_args.kwargs["ExpressionAttributeValues"]
    assert values[":recorded_at"] == {"S": recorded_at}


def test_refused_write_returns_the_record_that_it_met(
    table: RunTable, run: Run, dynamodb_client: MagicMock, refuse: Callable[..., None]
) -> None:
    refuse({**KEY, "sequencer": {"S": "07"}, "recorded_at": {"S": "2026-11-20T08:59:59.000000Z"}})
    refusal = table.write(run, ATTRIBUTES, CONDITION)
    assert refusal == Refusal(RecordState(sequencer="07", recorded_at="2026-11-20T08:59:59.000000Z"))
    dynamodb_client.get_item.assert_not_called()


def test_refusal_without_the_item_is_followed_by_a_consistent_read(
    table: RunTable, run: Run, dynamodb_client: MagicMock, refuse: Callable[..., None]
) -> None:
    refuse(read={**KEY, "sequencer": {"S": "07"}})
    assert table.write(run, ATTRIBUTES, CONDITION) == Refusal(RecordState(sequencer="07"))
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


def test_refusal_by_an_absent_record_has_no_state(table: RunTable, run: Run, refuse: Callable[..., None]) -> None:
    refuse()
    assert table.write(run, ATTRIBUTES, CONDITION) == Refusal(None)


def test_refusal_cannot_be_changed() -> None:
    refusal = Refusal(None)
    with pytest.raises(FrozenInstanceError):
        refusal.state = RecordState()  # type: ignore[misc]


@pytest.mark.parametrize("is_in_the_answer", [True, False])
def test_write_that_met_its_own_earlier_attempt_is_written(
    table: RunTable, run: Run, refuse: Callable[..., None], *, is_in_the_answer: bool
) -> None:
    """The SDK repeats a request whose answer was lost; DynamoDB normalises the numbers of the item."""
    if is_in_the_answer:
        refuse(written_item())
    else:
        refuse(read=written_item())
    assert table.write(run, ATTRIBUTES, CONDITION) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"recorded_at": {"S": "2026-11-20T09:00:00.000002Z"}},
        {"etag": {"S": "other"}},
        {"source": {"M": {"etag": {"S": "other"}, "size": {"N": "2"}}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_write_of_another_at_the_same_time_is_not_taken_for_its_own(
    table: RunTable, run: Run, refuse: Callable[..., None], changes: dict[str, Any]
) -> None:
    item = written_item(**changes)
    refuse(item)
    assert table.write(run, ATTRIBUTES, CONDITION) == Refusal(RecordState.of(item))


def test_refusals_and_silence_raise(
    table: RunTable, run: Run, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    for error in (client_error("ProvisionedThroughputExceededException"), UNREACHABLE, NOT_UTF8):
        dynamodb_client.get_item.side_effect = error
        dynamodb_client.update_item.side_effect = error
        dynamodb_client.get_paginator.return_value.paginate.side_effect = error
        with pytest.raises(AWSCallError, match="reading the records of table failed"):
            list(table.find("query"))
        with pytest.raises(AWSCallError, match="reading the record of acme/run-0001/ failed"):
            table.get(run)
        with pytest.raises(AWSCallError, match="writing the record of acme/run-0001/ failed"):
            table.write(run, ATTRIBUTES, CONDITION)
