"""Reads of many records at once."""

from typing import Any
from unittest.mock import MagicMock

import pytest
from pytest_mock import MockerFixture

from run_recorder.domain import Run
from run_recorder.errors import AWSCallError
from run_recorder.record_batches import read_many
from run_recorder.runs import RunTable
from tests.support.fake_s3 import client_error

KEY = {"organisation_id": {"S": "acme"}, "run_id": {"S": "run-0001"}}
ITEM = {**KEY, "etag": {"S": "e"}}


@pytest.fixture
def table(dynamodb_client: MagicMock) -> RunTable:
    return RunTable("table", dynamodb_client)


def test_many_records_are_read_with_one_request(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.batch_get_item.return_value = {"Responses": {"table": [ITEM]}, "UnprocessedKeys": {}}
    absent = Run("acme", "absent")
    assert read_many(table, [run, absent], "etag") == {run: ITEM}
    names = {"#organisation_id": "organisation_id", "#run_id": "run_id", "#etag": "etag"}
    dynamodb_client.batch_get_item.assert_called_once_with(
        RequestItems={
            "table": {
                "Keys": [KEY, {"organisation_id": {"S": "acme"}, "run_id": {"S": "absent"}}],
                "ProjectionExpression": "#organisation_id, #run_id, #etag",
                "ExpressionAttributeNames": names,
            }
        }
    )
    assert read_many(table, []) == {}
    assert dynamodb_client.batch_get_item.call_count == 1


def test_records_that_an_answer_leaves_out_are_read_again(
    table: RunTable, run: Run, dynamodb_client: MagicMock, mocker: MockerFixture
) -> None:
    sleep = mocker.patch("run_recorder.record_batches.time.sleep", autospec=True)
    key = {"organisation_id": {"S": "acme"}, "run_id": {"S": "other"}}
    answers: list[dict[str, Any]] = [
        {"Responses": {"table": [ITEM]}, "UnprocessedKeys": {"table": {"Keys": [key]}}},
        {"Responses": {"table": [key]}, "UnprocessedKeys": {}},
    ]
    dynamodb_client.batch_get_item.side_effect = answers
    other = Run("acme", "other")
    assert read_many(table, [run, other]) == {run: ITEM, other: key}
    assert dynamodb_client.batch_get_item.call_count == 2

    dynamodb_client.batch_get_item.side_effect = None
    dynamodb_client.batch_get_item.return_value = {"Responses": {}, "UnprocessedKeys": {"table": {"Keys": [key]}}}
    with pytest.raises(AWSCallError, match="DynamoDB left some out of each answer"):
        read_many(table, [run])
    assert sum(call.args[0] for call in sleep.call_args_list) > 5


def test_refusal_raises(table: RunTable, run: Run, dynamodb_client: MagicMock) -> None:
    dynamodb_client.batch_get_item.side_effect = client_error("ProvisionedThroughputExceededException")
    with pytest.raises(AWSCallError, match="reading the records of table failed"):
        read_many(table, [run])
