"""The table of records: one item a run.

Nothing is locked. A write states what it expects to find; DynamoDB applies it or answers
with what is there instead.
"""

from __future__ import annotations

import re
import time
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
_FAULTS = (ClientError, BotoCoreError, UnicodeDecodeError)
# In seconds, before each request for what the answer to the one before left out. 100 items of 400 KB take three
# answers; a throttled table needs a few seconds.
_PAUSES = (0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
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
            response = self.client.get_item(TableName=self.name, Key=_key(run), ConsistentRead=True)
        except _FAULTS as error:
            raise AWSCallError(f"reading the record of {run.path} failed: {error}") from error
        return response.get("Item")

    def read_many(self, runs: Iterable[Run], *attributes: str) -> dict[Run, Item]:
        """Return the records of at most 100 runs, or these attributes of them, eventually consistent.

        A run without a record is absent. Sends one request, and another one for what DynamoDB left out of its answer:
        an answer has at most 16 MB.
        """
        keys: list[Any] = [_key(run) for run in runs]
        request: dict[str, Any] = {}
        if attributes:
            names = {f"#{name}": name for name in ("organisation_id", "run_id", *attributes)}
            request = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        found: dict[Run, Item] = {}
        for pause in _PAUSES:
            if not keys:
                return found
            time.sleep(pause)
            try:
                response = self.client.batch_get_item(RequestItems={self.name: {"Keys": keys, **request}})  # type: ignore[dict-item]
            except _FAULTS as error:
                raise AWSCallError(f"reading the records of {self.name} failed: {error}") from error
            for item in response["Responses"].get(self.name, []):
                found[Run(item["organisation_id"]["S"], item["run_id"]["S"])] = item
            left = response["UnprocessedKeys"].get(self.name)
            keys = left["Keys"] if left else []
        raise AWSCallError(f"reading the records of {self.name} failed: DynamoDB left some out of each answer")

    def find(self, operation: Literal["query", "scan"], **request: Any) -> Iterator[Item]:  # noqa: ANN401
        """Find the items of a query or scan of the table with these parameters; a page at a time."""
        try:
            for page in self.client.get_paginator(operation).paginate(TableName=self.name, **request):
                if "Items" not in page:
                    raise AWSCallError(f"reading the records of {self.name} ended early")
                yield from page["Items"]
        except _FAULTS as error:
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
                Key=_key(run),
                UpdateExpression=update,
                ConditionExpression=condition.expression,
                ExpressionAttributeNames={f"#{name}": name for name in names},
                ExpressionAttributeValues={**{f":{name}": value for name, value in values.items()}, **condition.values},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except _FAULTS as error:
            if not isinstance(error, ClientError) or error.response["Error"]["Code"] != _CONDITION_FAILED:
                raise AWSCallError(f"writing the record of {run.path} failed: {error}") from error
            # Not every emulator sends the item.
            item: Item | None = error.response.get("Item") or self.read(run)  # type: ignore[assignment]
            if item and _is_written(item, values):
                return None
            return Refusal(RecordState.of(item) if item else None)
        return None


class UnchangedTable(RunTable):
    """A table whose records are read, and never written: every write seems to succeed."""

    def write(self, run: Run, attributes: Attributes, condition: Condition, after: str | None = None) -> None:
        """Write nothing."""


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


def _key(run: Run) -> dict[str, Any]:
    return {"organisation_id": {"S": run.organisation_id}, "run_id": {"S": run.run_id}}


def _now(after: str | None) -> str:
    """Return the time in UTC, to the microsecond, but later than ``after`` whatever the clock says:
    a record that is replaced never has the time of the one before.
    """
    now = datetime.now(UTC)
    if after:
        now = max(now, datetime.fromisoformat(after) + timedelta(microseconds=1))
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
