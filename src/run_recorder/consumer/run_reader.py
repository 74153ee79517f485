"""The record of a run as a value, every number exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from run_recorder.domain import JSON, Outcome, Run
from run_recorder.dynamodb_value import deserialize
from run_recorder.errors import FieldError
from run_recorder.record_state import is_final
from run_recorder.runs import RunTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from run_recorder.config import ModelConfig
    from run_recorder.record_state import Item


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The record of a run; an absent attribute is None. ``docs/record.md`` describes each attribute.

    Attributes:
        organisation_id, run_id: the run.
        status: of the latest upload: ``"recorded"``, ``"rejected"`` or ``"pending"``.
        errors: of the latest upload; empty if it is accepted.
        errors_truncated: whether there are more errors.
        sequencer, uploaded_at, version_id, etag, bucket, key: the latest upload.
        config: the model config of the last accepted upload; its numbers are `int` or `decimal.Decimal`.
        config_sha256: of that config, hexadecimal.
        source: the last accepted document.
        name, created_at, created_by, tags: from the last accepted document.
        first_recorded_at, recorded_at: the first and the latest write of the record.
    """

    organisation_id: str
    run_id: str
    status: str
    errors: tuple[FieldError, ...] = ()
    errors_truncated: bool = False
    sequencer: str | None = None
    uploaded_at: str | None = None
    version_id: str | None = None
    etag: str | None = None
    bucket: str | None = None
    key: str | None = None
    config: ModelConfig | None = None
    config_sha256: str | None = None
    source: Mapping[str, JSON] | None = None
    name: str | None = None
    created_at: str | None = None
    created_by: str | None = None
    tags: Mapping[str, str] | None = None
    first_recorded_at: str | None = None
    recorded_at: str | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the latest upload is accepted, so that ``config`` is its config."""
        return self.status == Outcome.RECORDED

    @property
    def is_settled(self) -> bool:
        """Whether the verdict on the latest upload is final: no event evaluates it again."""
        return is_final(self.errors, is_accepted=self.is_accepted)

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return the record that an item of the table is, in the format of DynamoDB's low-level API."""
        values: dict[str, Any] = {
            member.name: deserialize(item[member.name]) for member in fields(cls) if member.name in item
        }
        errors = tuple(FieldError(error["path"], error["message"]) for error in values.pop("errors", []))
        return cls(errors=errors, **values)


class RunReader:
    """Reads the records of a table. Safe to share between threads."""

    def __init__(self, table: str, client: DynamoDBClient | None = None) -> None:
        """Read the table with this name with ``client``, or with a boto3 client of the environment's AWS settings."""
        self._table = RunTable(table, client)

    def read(self, organisation_id: str, run_id: str) -> RunRecord | None:
        """Return the record of a run as of now (a consistent read); None if there is none.

        Raises:
            AWSCallError: DynamoDB refuses or does not answer.
        """
        item = self._table.read(Run(organisation_id, run_id))
        return RunRecord.of(item) if item is not None else None
