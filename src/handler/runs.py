"""The table of runs: one item a run, and the conditional writes that keep S3's order.

Nothing is locked. A write states what it expects to find; DynamoDB applies it or answers
with what is there instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from handler.domain import JSON, Outcome, RecordUpdate, Run
from handler.dynamodb_value import serialize
from handler.errors import AWSCallError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# botocore lets through that an answer is not UTF-8.
_FAULTS = (ClientError, BotoCoreError, UnicodeDecodeError)

_NO_RECORD = "attribute_not_exists(#organisation_id)"
_RECORD_IS_OLDER = "#sequencer < :sequencer"
_RECORD_IS_NEWER = "#sequencer > :sequencer"
_NO_SOURCE = "attribute_not_exists(#source)"
_SOURCE_IS_OLDER = "#source.#sequencer < :sequencer"

Item = Mapping[str, Any]
"""An item, or an attribute value, as DynamoDB's low-level API spells it."""


@dataclass(frozen=True, slots=True)
class RecordState:
    """As much of a record as tells it from every other state of it; None for what it lacks."""

    recorded_at: str | None
    etag: str | None
    version_id: str | None
    sequencer: str | None
    uploaded_at: str | None

    @classmethod
    def of(cls, item: Item) -> RecordState:
        """What an item of the table, or a part of one, tells."""
        return cls(**{field.name: _text(item, field.name) for field in fields(cls)})


class RunTable:
    """The records of all runs.

    Every method raises `AWSCallError` if DynamoDB refuses or does not answer.
    """

    def __init__(self, name: str, client: DynamoDBClient | None = None) -> None:
        """Uses ``client``, or makes one from the environment's AWS settings."""
        self.name = name
        self.client: DynamoDBClient = client or boto3.client("dynamodb")

    def get(self, run: Run) -> RecordState | None:
        """The state of the record as of now (a consistent read); None if there is none."""
        item = self.read(run)
        return RecordState.of(item) if item is not None else None

    def read(self, run: Run) -> Item | None:
        """The whole record as of now (a consistent read); None if there is none."""
        try:
            response = self.client.get_item(TableName=self.name, Key=_key(run), ConsistentRead=True)
        except _FAULTS as error:
            raise AWSCallError(f"reading the record of {run.path} failed: {error}") from error
        return response.get("Item")

    def find(self, operation: Literal["query", "scan"], **request: Any) -> Iterator[Item]:  # noqa: ANN401
        """The items that a query or scan of the table with these parameters finds; a page at a time."""
        try:
            for page in self.client.get_paginator(operation).paginate(TableName=self.name, **request):
                if "Items" not in page:
                    raise AWSCallError(f"reading the records of {self.name} ended early")
                yield from page["Items"]
        except _FAULTS as error:
            raise AWSCallError(f"reading the records of {self.name} failed: {error}") from error

    def record(self, entry: RecordUpdate) -> Outcome | None:
        """Records an entry with a sequencer: the highest one wins.

        An accepted entry that arrives after a rejected newer one is stale, but it is the
        last accepted one that the record has heard of, so it fills in what that left out.

        Returns:
            The outcome; None if the record has no sequencer to compare with, in which case
            nothing was written and only `replace` can tell the order.
        """
        found = self._update(entry, _latest(entry) | entry.accepted, f"{_NO_RECORD} OR {_RECORD_IS_OLDER}")
        if found is None:
            return entry.outcome
        recorded = _text(found, "sequencer")
        if recorded is None:
            return None
        if recorded == entry.sequencer:
            return Outcome.DUPLICATE
        if entry.accepted and _text(found, "status") == Outcome.REJECTED:
            self._update(entry, entry.accepted, f"{_RECORD_IS_NEWER} AND ({_NO_SOURCE} OR {_SOURCE_IS_OLDER})")
        return Outcome.STALE

    def replace(self, seen: RecordState | None, entry: RecordUpdate) -> bool:
        """Records an entry if the record is still the one that was seen.

        Returns:
            Whether it was; if not, nothing was written.
        """
        if seen is None:
            return self._update(entry, _latest(entry) | entry.accepted, _NO_RECORD) is None
        state = asdict(seen)
        conditions = [
            f"attribute_not_exists(#{name})" if value is None else f"#{name} = :seen_{name}"
            for name, value in state.items()
        ]
        expected = {f":seen_{name}": {"S": value} for name, value in state.items() if value is not None}
        attributes = _latest(entry) | entry.accepted
        return self._update(entry, attributes, " AND ".join(conditions), expected, after=seen.recorded_at) is None

    def _update(
        self,
        entry: RecordUpdate,
        attributes: Mapping[str, JSON],
        condition: str,
        expected: Item | None = None,
        after: str | None = None,
    ) -> Item | None:
        """Sets the attributes, removes those that are None, if the condition holds.

        Returns:
            None if it did; else the item that was found, empty if there was none.
        """
        present = {name: value for name, value in attributes.items() if value is not None}
        present["recorded_at"] = _now(after)
        assignments = [f"#{name} = :{name}" for name in present]
        assignments.append("#first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at)")
        update = "SET " + ", ".join(assignments)
        absent = [f"#{name}" for name in attributes if name not in present]
        if absent:
            update += " REMOVE " + ", ".join(absent)
        values = {f":{name}": serialize(value) for name, value in present.items()}
        if entry.sequencer is not None:
            values[":sequencer"] = {"S": entry.sequencer}
        try:
            self.client.update_item(
                TableName=self.name,
                Key=_key(entry.run),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#{name}": name for name in re.findall(r"#(\w+)", f"{update} {condition}")},
                ExpressionAttributeValues=values | dict(expected or {}),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except _FAULTS as error:
            if isinstance(error, ClientError) and error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                found: Item = error.response.get("Item", {})  # type: ignore[assignment]
                return found
            raise AWSCallError(f"writing the record of {entry.run.path} failed: {error}") from error
        return None


def _latest(entry: RecordUpdate) -> dict[str, JSON]:
    errors = [{"path": error.path, "message": error.message} for error in entry.errors]
    return {
        "status": entry.outcome.value,
        "errors": errors or None,
        "sequencer": entry.sequencer,
        "uploaded_at": entry.uploaded_at,
        "version_id": entry.version_id,
        "etag": entry.etag,
        "bucket": entry.bucket,
        "key": entry.key,
    }


def _key(run: Run) -> dict[str, Any]:
    return {"organisation_id": {"S": run.organisation_id}, "run_id": {"S": run.run_id}}


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None


def _now(after: str | None) -> str:
    """The time in UTC, to the microsecond, but later than ``after`` whatever the clock says:
    a record that is replaced never bears the time of the one before.
    """
    now = datetime.now(UTC)
    if after:
        now = max(now, datetime.fromisoformat(after) + timedelta(microseconds=1))
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
