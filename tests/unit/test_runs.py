"""The table's calls, exactly. The integration tests show that DynamoDB takes them."""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pytest_mock import MockerFixture

from handler.domain import Run
from handler.errors import AWSCallError
from handler.record_state import Condition, RecordState
from handler.runs import Refusal, RunTable

UPLOADED_AT = "2026-11-20T08:30:00Z"
NOW = "2026-11-20T09:00:00.000001Z"
UNREACHABLE = EndpointConnectionError(endpoint_url="https://dynamodb.example")
NOT_UTF8 = UnicodeDecodeError("utf-8", b"\xc3", 0, 1, "unexpected end of data")
KEY = {"organisation_id": {"S": "acme"}, "run_id": {"S": "run-0001"}}


@pytest.fixture(autouse=True)
def clock(mocker: MockerFixture) -> None:
    mocker.patch("handler.runs.datetime", wraps=datetime).now.return_value = datetime.fromisoformat(NOW)


@pytest.fixture
def table(dynamodb_client: MagicMock) -> RunTable:
    return RunTable("table", dynamodb_client)


def test_client_is_made_when_none_is_given(mocker: MockerFixture) -> None:
    make_client = mocker.patch("boto3.client", autospec=True)
    assert RunTable("table").client is make_client.return_value
    make_client.assert_called_once_with("dynamodb")


ATTRIBUTES = {"status": "recorded", "config": {"x": Decimal("0.1")}, "source": {"size": 3}, "tags": None}
CONDITION = Condition("#sequencer < :sequencer", {":sequencer": {"S": "05"}})
WRITTEN = {
    "status": {"S": "recorded"},
    "config": {"M": {"x": {"N": "0.1"}}},
    "source": {"M": {"size": {"N": "3"}}},
    "recorded_at": {"S": NOW},
}


def test_attributes_are_set_or_removed_if_the_condition_holds(
    table: RunTable, run: Run, dynamodb_client: MagicMock
) -> None:
    assert table.write(run, ATTRIBUTES, CONDITION) is None
    dynamodb_client.update_item.assert_called_once_with(
        TableName="table",
        Key=KEY,
        UpdateExpression=(
            "SET #status = :status, #config = :config, #source = :source, #recorded_at = :recorded_at, "
            "#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #tags"
        ),
        ConditionExpression="#sequencer < :sequencer",
        ExpressionAttributeNames={
            f"#{name}": name
            for name in ["status", "config", "source", "recorded_at", "first_recorded_at", "tags", "sequencer"]
        },
        ExpressionAttributeValues={
            ":status": {"S": "recorded"},
            ":config": {"M": {"x": {"N": "0.1"}}},
            ":source": {"M": {"size": {"N": "3"}}},
            ":recorded_at": {"S": NOW},
            ":sequencer": {"S": "05"},
        },
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
    dynamodb_client.get_item.assert_not_called()


def test_nothing_is_removed_if_every_attribute_has_a_value(
    table: RunTable, run: Run, dynamodb_client: MagicMock
) -> None:
    table.write(run, {"status": "rejected"}, CONDITION)
    assert "REMOVE" not in dynamodb_client.update_item.call_args.kwargs["UpdateExpression"]


def test_write_is_later_than_the_one_before_whatever_the_clock_says(
    table: RunTable, run: Run, dynamodb_client: MagicMock
) -> None:
    table.write(run, ATTRIBUTES, CONDITION, after="2026-11-20T10:00:00.999999Z")
    values = dynamodb_client.update_item.call_args.kwargs["ExpressionAttributeValues"]
    assert values[":recorded_at"] == {"S": "2026-11-20T10:00:01.000000Z"}


def test_refused_write_returns_the_record_that_it_met(
    table: RunTable, run: Run, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    item = {**WRITTEN, "recorded_at": {"S": "2026-11-20T09:00:00.000000Z"}, "sequencer": {"S": "06"}}
    dynamodb_client.update_item.side_effect = client_error("ConditionalCheckFailedException", Item=item)
    assert table.write(run, ATTRIBUTES, CONDITION) == Refusal(RecordState.of(item))
    dynamodb_client.get_item.assert_not_called()


@pytest.mark.parametrize("item", [{**WRITTEN, "sequencer": {"S": "06"}}, {}], ids=["a record", "no record"])
def test_refusal_without_its_item_is_followed_by_a_consistent_read(
    table: RunTable,
    run: Run,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    item: dict[str, Any],
) -> None:
    dynamodb_client.update_item.side_effect = client_error("ConditionalCheckFailedException")
    dynamodb_client.get_item.return_value = {"Item": {**item, "status": {"S": "rejected"}}} if item else {}
    state = RecordState.of({**item, "status": {"S": "rejected"}}) if item else None
    assert table.write(run, ATTRIBUTES, CONDITION) == Refusal(state)
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


@pytest.mark.parametrize(
    ("change", "is_own"),
    [
        ({}, True),
        ({"config": {"M": {"x": {"N": "0.10"}}}}, True),
        ({"recorded_at": {"S": "2026-11-20T09:00:00.000002Z"}}, False),
        ({"status": {"S": "rejected"}}, False),
        ({"source": {"M": {"size": {"N": "4"}}}}, False),
    ],
    ids=["all the same", "a number spelled differently", "another time", "another status", "another source"],
)
def test_refusal_by_an_earlier_attempt_of_the_same_write_is_no_refusal(
    table: RunTable,
    run: Run,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    change: dict[str, Any],
    *,
    is_own: bool,
) -> None:
    """The SDK repeats a write whose answer was lost."""
    item = {**WRITTEN, **change}
    dynamodb_client.update_item.side_effect = client_error("ConditionalCheckFailedException", Item=item)
    assert (table.write(run, ATTRIBUTES, CONDITION) is None) is is_own


def test_record_is_read_consistently(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {
        "Item": {
            "recorded_at": {"S": NOW},
            "etag": {"S": "e"},
            "sequencer": {"S": "05"},
            "uploaded_at": {"S": UPLOADED_AT},
        }
    }
    assert table.get(run) == RecordState(recorded_at=NOW, etag="e", sequencer="05", uploaded_at=UPLOADED_AT)
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


def test_record_of_another_hand_may_lack_anything(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {"Item": KEY}
    assert table.get(run) == RecordState()


def test_absent_record_is_none(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {}
    assert table.get(run) is None
    assert table.read(run) is None


def test_whole_record_is_read_consistently(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {"Item": {**KEY, "name": {"S": "n"}}}
    assert table.read(run) == {**KEY, "name": {"S": "n"}}
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


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
    with pytest.raises(AWSCallError, match="ended early"):
        list(table.find("query"))


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
