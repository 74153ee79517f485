"""The table of records: one item a run.

Nothing is locked. A write states what it expects to find; DynamoDB applies it or answers
with what is there instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from run_recorder.domain import JSON, Run
from run_recorder.dynamodb_value import serialize
from run_recorder.errors import AWSCallError
from run_recorder.record_state import Condition, Item, RecordState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# botocore does not catch the error of an answer that is not UTF-8.
CALL_ERRORS = (ClientError, BotoCoreError, UnicodeDecodeError)
"""The errors that a call of DynamoDB may raise."""
_CONDITION_FAILED = "ConditionalCheckFailedException"

Attributes = Mapping[str, JSON]
"""The values of a record's attributes; None for one to remove."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write whose condition did not hold; ``state`` is the record that it met, None for none."""

    state: RecordState | None


class RunTable:
    """The records of all runs.

    Every method raises `AWSCallError` if DynamoDB refuses or does not answer.
    """

    def __init__(self, name: str, client: DynamoDBClient | None = None) -> None:
        """Use ``client``, or make one from the environment's AWS settings."""
        self.name = name
        self.client: DynamoDBClient = client or boto3.client("dynamodb")

    def get(self, run: Run) -> RecordState | None:
        """Return the state of the record as of now (a consistent read); None if there is none."""
        item = self.read(run)
        return RecordState.of(item) if item is not None else None

    def read(self, run: Run) -> Item | None:
        """Return the whole record as of now (a consistent read); None if there is none."""
        try:
            response = self.client.get_item(TableName=self.name, Key=key_of(run), ConsistentRead=True)
        except CALL_ERRORS as error:
            raise AWSCallError(f"reading the record of {run.path} failed: {error}") from error
        return response.get("Item")

    def find(self, operation: Literal["query", "scan"], **request: Any) -> Iterator[Item]:  # noqa: ANN401
        """Find the items of a query or scan of the table with these parameters; a page at a time."""
        try:
            for page in self.client.get_paginator(operation).paginate(TableName=self.name, **request):
                if "Items" not in page:
                    raise AWSCallError(f"reading the records of {self.name} ended early")
                yield from page["Items"]
        except CALL_ERRORS as error:
            raise AWSCallError(f"reading the records of {self.name} failed: {error}") from error

    def write(self, run: Run, attributes: Attributes, condition: Condition, after: str | None = None) -> Refusal | None:
        """Set the attributes, and remove those that are None, if the condition holds.

        Returns:
            None if the record has the attributes now, be it by an earlier attempt of the SDK
            whose answer was lost; else the refusal.
        """
        present = {name: value for name, value in attributes.items() if value is not None}
        present["recorded_at"] = _now(after)
        values = {name: serialize(value) for name, value in present.items()}
        update = _build_update(present, [name for name in attributes if name not in present])
        names = re.findall(r"#(\w+)", f"{update} {condition.expression}")
        try:
            self.client.update_item(
                TableName=self.name,
                Key=key_of(run),
                UpdateExpression=update,
                ConditionExpression=condition.expression,
                ExpressionAttributeNames={f"#{name}": name for name in names},
                ExpressionAttributeValues={**{f":{name}": value for name, value in values.items()}, **condition.values},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except CALL_ERRORS as error:
            if not isinstance(error, ClientError) or error.response["Error"]["Code"] != _CONDITION_FAILED:
                raise AWSCallError(f"writing the record of {run.path} failed: {error}") from error
            # Not every emulator sends the item.
            item: Item | None = error.response.get("Item") or self.read(run)  # type: ignore[assignment]
            if item and _is_written(item, values):
                return None
            return Refusal(RecordState.of(item) if item else None)
        return None


def _build_update(present: Iterable[str], absent: list[str]) -> str:
    """Return the update expression that sets and removes these attributes."""
    assignments = [f"#{name} = :{name}" for name in present]
    assignments.append("#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at)")
    removal = " REMOVE " + ", ".join(f"#{name}" for name in absent) if absent else ""
    return "SET " + ", ".join(assignments) + removal


def _is_written(item: Item, values: Item) -> bool:
    """Whether an item is as a write of these values made it, at the very time that is one of them."""
    # Numbers of a config may come back in another spelling.
    return all(item.get(name) == value for name, value in values.items() if "S" in value or name == "source")


def key_of(run: Run) -> dict[str, Any]:
    """Return the key of the record of a run, in the format of DynamoDB's low-level API."""
    return {"organisation_id": {"S": run.organisation_id}, "run_id": {"S": run.run_id}}


def _now(after: str | None) -> str:
    """Return the time in UTC, to the microsecond, but later than ``after`` whatever the clock says:
    a record that is replaced never has the time of the one before.
    """
    now = datetime.now(UTC)
    if after:
        now = max(now, datetime.fromisoformat(after) + timedelta(microseconds=1))
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
