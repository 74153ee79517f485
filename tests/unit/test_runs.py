"""The table's calls, exactly; that DynamoDB takes them is shown by the integration tests."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pytest_mock import MockerFixture

from handler.domain import Outcome, RecordUpdate, Run
from handler.errors import AWSCallError, FieldError
from handler.runs import RecordState, RunTable

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


@pytest.fixture
def entry(run: Run) -> RecordUpdate:
    return RecordUpdate(
        run=run,
        bucket="b",
        key="k",
        version_id="v",
        etag="e",
        uploaded_at=UPLOADED_AT,
        sequencer="05",
        errors=(),
        accepted={"config": {"x": Decimal("0.1")}, "name": "n", "tags": None},
    )


@pytest.fixture
def rejected(entry: RecordUpdate) -> RecordUpdate:
    return replace(entry, errors=(FieldError("/a", "wrong"),), accepted={})


def failed_condition(client_error: Callable[..., ClientError], **item: str) -> ClientError:
    found = {"Item": {name: {"S": value} for name, value in item.items()}} if item else {}
    return client_error("ConditionalCheckFailedException", **found)


def test_client_is_made_when_none_is_given(mocker: MockerFixture) -> None:
    make_client = mocker.patch("boto3.client", autospec=True)
    assert RunTable("table").client is make_client.return_value
    make_client.assert_called_once_with("dynamodb")


def test_accepted_entry_is_written_if_its_sequencer_is_higher(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock
) -> None:
    assert table.record(entry) is Outcome.RECORDED
    dynamodb_client.update_item.assert_called_once_with(
        TableName="table",
        Key=KEY,
        UpdateExpression=(
            "SET #status = :status, #sequencer = :sequencer, #uploaded_at = :uploaded_at, #version_id = :version_id, "
            "#etag = :etag, #bucket = :bucket, #key = :key, #config = :config, #name = :name, "
            "#recorded_at = :recorded_at, #first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) "
            "REMOVE #errors, #tags"
        ),
        ConditionExpression="attribute_not_exists(#organisation_id) OR #sequencer < :sequencer",
        ExpressionAttributeNames={
            f"#{name}": name
            for name in [
                "status",
                "sequencer",
                "uploaded_at",
                "version_id",
                "etag",
                "bucket",
                "key",
                "config",
                "name",
                "recorded_at",
                "first_recorded_at",
                "errors",
                "tags",
                "organisation_id",
            ]
        },
        ExpressionAttributeValues={
            ":status": {"S": "recorded"},
            ":sequencer": {"S": "05"},
            ":uploaded_at": {"S": "2026-11-20T08:30:00Z"},
            ":version_id": {"S": "v"},
            ":etag": {"S": "e"},
            ":bucket": {"S": "b"},
            ":key": {"S": "k"},
            ":config": {"M": {"x": {"N": "0.1"}}},
            ":name": {"S": "n"},
            ":recorded_at": {"S": NOW},
        },
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def test_entry_without_a_version_removes_that_of_an_earlier_upload(
    table: RunTable, rejected: RecordUpdate, dynamodb_client: MagicMock
) -> None:
    table.record(replace(rejected, version_id=None))
    assert dynamodb_client.update_item.call_args.kwargs["UpdateExpression"].endswith("REMOVE #version_id")


def test_rejected_entry_sets_only_the_latest_upload(
    table: RunTable, rejected: RecordUpdate, dynamodb_client: MagicMock
) -> None:
    assert table.record(rejected) is Outcome.REJECTED
    call = dynamodb_client.update_item.call_args.kwargs
    assert "REMOVE" not in call["UpdateExpression"]
    assert set(call["ExpressionAttributeValues"]) == {
        ":status", ":errors", ":sequencer", ":uploaded_at", ":version_id", ":etag", ":bucket", ":key", ":recorded_at",
    }  # fmt: skip
    assert call["ExpressionAttributeValues"][":status"] == {"S": "rejected"}
    assert call["ExpressionAttributeValues"][":errors"] == {
        "L": [{"M": {"path": {"S": "/a"}, "message": {"S": "wrong"}}}]
    }


def test_equal_sequencer_is_a_duplicate(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    dynamodb_client.update_item.side_effect = failed_condition(client_error, sequencer="05", status="rejected")
    assert table.record(entry) is Outcome.DUPLICATE
    dynamodb_client.update_item.assert_called_once()


def test_lower_sequencer_is_stale(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    dynamodb_client.update_item.side_effect = failed_condition(client_error, sequencer="06", status="recorded")
    assert table.record(entry) is Outcome.STALE
    dynamodb_client.update_item.assert_called_once()


@pytest.mark.parametrize("filled", [True, False])
def test_accepted_entry_fills_in_what_a_rejected_newer_one_left_out(
    table: RunTable,
    entry: RecordUpdate,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    *,
    filled: bool,
) -> None:
    failure = failed_condition(client_error, sequencer="06", status="rejected")
    dynamodb_client.update_item.side_effect = [failure, {} if filled else failure]
    assert table.record(entry) is Outcome.STALE
    call = dynamodb_client.update_item.call_args.kwargs
    assert call["UpdateExpression"] == (
        "SET #config = :config, #name = :name, #recorded_at = :recorded_at, "
        "#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #tags"
    )
    assert call["ConditionExpression"] == (
        "#sequencer > :sequencer AND (attribute_not_exists(#source) OR #source.#sequencer < :sequencer)"
    )
    assert set(call["ExpressionAttributeValues"]) == {":config", ":name", ":recorded_at", ":sequencer"}


def test_rejected_entry_fills_nothing_in(
    table: RunTable, rejected: RecordUpdate, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    dynamodb_client.update_item.side_effect = failed_condition(client_error, sequencer="06", status="rejected")
    assert table.record(rejected) is Outcome.STALE
    dynamodb_client.update_item.assert_called_once()


def test_record_without_a_sequencer_cannot_be_compared(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    dynamodb_client.update_item.side_effect = failed_condition(client_error, status="recorded")
    assert table.record(entry) is None
    dynamodb_client.update_item.assert_called_once()


def test_replace_demands_that_there_is_still_no_record(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock
) -> None:
    assert table.replace(None, replace(entry, sequencer=None))
    call = dynamodb_client.update_item.call_args.kwargs
    assert call["ConditionExpression"] == "attribute_not_exists(#organisation_id)"
    assert call["UpdateExpression"].endswith("REMOVE #errors, #sequencer, #tags")
    assert ":sequencer" not in call["ExpressionAttributeValues"]


def test_replace_demands_the_record_that_was_seen(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock
) -> None:
    assert table.replace(RecordState("2026-11-20T08:59:59.000000Z", "e0", None, "04", UPLOADED_AT), entry)
    call = dynamodb_client.update_item.call_args.kwargs
    assert call["ConditionExpression"] == (
        "#recorded_at = :seen_recorded_at AND #etag = :seen_etag AND "
        "attribute_not_exists(#version_id) AND #sequencer = :seen_sequencer AND "
        "#uploaded_at = :seen_uploaded_at"
    )
    values = call["ExpressionAttributeValues"]
    assert {name: values[name] for name in values if name.startswith(":seen_")} == {
        ":seen_recorded_at": {"S": "2026-11-20T08:59:59.000000Z"},
        ":seen_etag": {"S": "e0"},
        ":seen_sequencer": {"S": "04"},
        ":seen_uploaded_at": {"S": UPLOADED_AT},
    }
    assert values[":recorded_at"] == {"S": NOW}


def test_replace_writes_a_later_time_than_it_saw_whatever_the_clock_says(
    table: RunTable, entry: RecordUpdate, dynamodb_client: MagicMock
) -> None:
    table.replace(RecordState("2026-11-20T10:00:00.999999Z", "e0", None, None, None), entry)
    values = dynamodb_client.update_item.call_args.kwargs["ExpressionAttributeValues"]
    assert values[":recorded_at"] == {"S": "2026-11-20T10:00:01.000000Z"}


@pytest.mark.parametrize("seen", [None, RecordState(NOW, "e0", "v0", None, UPLOADED_AT)])
def test_replace_tells_that_the_record_changed(
    table: RunTable,
    entry: RecordUpdate,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    seen: RecordState | None,
) -> None:
    dynamodb_client.update_item.side_effect = failed_condition(client_error)
    assert not table.replace(seen, entry)


def test_record_is_read_consistently(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {
        "Item": {
            "recorded_at": {"S": NOW},
            "etag": {"S": "e"},
            "sequencer": {"S": "05"},
            "uploaded_at": {"S": UPLOADED_AT},
        }
    }
    assert table.get(run) == RecordState(NOW, "e", None, "05", UPLOADED_AT)
    dynamodb_client.get_item.assert_called_once_with(TableName="table", Key=KEY, ConsistentRead=True)


def test_record_of_another_hand_may_lack_anything(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.get_item.return_value = {"Item": KEY}
    assert table.get(run) == RecordState(None, None, None, None, None)


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
    table: RunTable, run: Run, entry: RecordUpdate, dynamodb_client: MagicMock, client_error: Callable[..., ClientError]
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
            table.record(entry)
