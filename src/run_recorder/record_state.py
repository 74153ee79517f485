"""A record as a reader finds it, and the conditions that a write sets on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from run_recorder.domain import RECORDED_FIELDS, ObjectVersion, Outcome
from run_recorder.errors import FieldError

if TYPE_CHECKING:
    from run_recorder.verdict import RecordUpdate

Item = Mapping[str, Any]
"""An item, or an attribute value, as DynamoDB's low-level API spells it."""

RECORD_ATTRIBUTES = (
    "organisation_id", "run_id", "status", "errors", "errors_truncated", "sequencer", "uploaded_at", "version_id",
    "etag", "bucket", "key", "config", "config_sha256", "source", *RECORDED_FIELDS, "first_recorded_at", "recorded_at",
)  # fmt: skip
"""All attributes that a record can have, in the order in which people read them."""

STATE_ATTRIBUTES = (
    "status", "errors", "errors_truncated", "sequencer", "uploaded_at", "version_id", "etag", "source", "recorded_at",
)  # fmt: skip
"""The attributes of a record that `RecordState.of` reads."""


@dataclass(frozen=True, slots=True)
class RecordState:
    """The part of a record that differs from every other state of it; None for an absent attribute.

    Attributes:
        status: of the latest upload.
        sequencer, uploaded_at, version_id, etag: the latest upload.
        source_version_id, source_etag, source_sequencer: the last accepted upload.
        recorded_at: when this state was written.
        errors: of the latest upload, as far as they are recorded.
        errors_truncated: whether there are more.
    """

    status: str | None = None
    sequencer: str | None = None
    uploaded_at: str | None = None
    version_id: str | None = None
    etag: str | None = None
    source_version_id: str | None = None
    source_etag: str | None = None
    source_sequencer: str | None = None
    recorded_at: str | None = None
    errors: tuple[FieldError, ...] = ()
    errors_truncated: bool = False

    @classmethod
    def of(cls, item: Item) -> Self:
        """Return the state of an item of the table, or of a projection of one."""
        source = item["source"]["M"] if "source" in item else {}
        return cls(
            status=_text(item, "status"),
            sequencer=_text(item, "sequencer"),
            uploaded_at=_text(item, "uploaded_at"),
            version_id=_text(item, "version_id"),
            etag=_text(item, "etag"),
            source_version_id=_text(source, "version_id"),
            source_etag=_text(source, "etag"),
            source_sequencer=_text(source, "sequencer"),
            recorded_at=_text(item, "recorded_at"),
            errors=tuple(
                FieldError(error["M"]["path"]["S"], error["M"]["message"]["S"])
                for error in item.get("errors", {"L": []})["L"]
            ),
            errors_truncated="errors_truncated" in item,
        )

    @property
    def version(self) -> ObjectVersion:
        """The latest upload."""
        return ObjectVersion(self.version_id, self.etag or "")

    @property
    def source(self) -> ObjectVersion | None:
        """The last accepted upload, if there is one."""
        return None if self.source_etag is None else ObjectVersion(self.source_version_id, self.source_etag)

    @property
    def is_accepted(self) -> bool:
        """Whether the latest upload is accepted."""
        return self.status == Outcome.RECORDED

    @property
    def is_pending(self) -> bool:
        """Whether files of the latest upload are late."""
        return self.status == Outcome.PENDING

    @property
    def is_settled(self) -> bool:
        """Whether the verdict on the latest upload is final."""
        return is_final(self.errors, is_accepted=self.is_accepted)

    def is_kept_by(self, update: RecordUpdate) -> bool:
        """Return whether a verdict on the upload that the record shows changes nothing.

        While the wait lasts, only a look that can put its message back changes a pending record.
        """
        if self.is_pending and update.is_waiting and update.status is Outcome.REJECTED:
            return True
        return (self.status, self.errors, self.errors_truncated) == (
            update.status,
            update.errors,
            update.errors_truncated,
        )


def is_final(errors: Iterable[FieldError], *, is_accepted: bool) -> bool:
    """Return whether a verdict with these errors is final: only files that are missing may still arrive."""
    return is_accepted or not all(error.is_of_a_file for error in errors)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition expression of DynamoDB and the values that it names."""

    expression: str
    values: Mapping[str, Item] = field(default_factory=dict)

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"{self.expression} AND {other.expression}", {**self.values, **other.values})

    def __or__(self, other: Condition) -> Condition:
        return Condition(f"({self.expression} OR {other.expression})", {**self.values, **other.values})


NO_RECORD = Condition("attribute_not_exists(#organisation_id)")
NO_SOURCE = Condition("attribute_not_exists(#source)")


def record_is_older_than(sequencer: str) -> Condition:
    """Require a record whose latest upload S3 stored earlier; false for a record without a sequencer."""
    return Condition("#sequencer < :sequencer", {":sequencer": {"S": sequencer}})


def record_is_newer_than(sequencer: str) -> Condition:
    """Require a record whose latest upload S3 stored later; false for a record without a sequencer."""
    return Condition("#sequencer > :sequencer", {":sequencer": {"S": sequencer}})


def source_is_older_than(sequencer: str) -> Condition:
    """Require a last accepted upload that S3 stored earlier; false for a source without a sequencer."""
    return Condition("#source.#sequencer < :sequencer", {":sequencer": {"S": sequencer}})


def record_is(state: RecordState) -> Condition:
    """Require the record to be in this very state."""
    expected = {
        "recorded_at": state.recorded_at,
        "status": state.status,
        "sequencer": state.sequencer,
        "uploaded_at": state.uploaded_at,
        "version_id": state.version_id,
        "etag": state.etag,
        "source.version_id": state.source_version_id,
        "source.etag": state.source_etag,
        "source.sequencer": state.source_sequencer,
    }
    terms, values = [], {}
    for path, value in expected.items():
        name = "#" + path.replace(".", ".#")
        if value is None:
            terms.append(f"attribute_not_exists({name})")
        else:
            placeholder = f":seen_{path.replace('.', '_')}"
            terms.append(f"{name} = {placeholder}")
            values[placeholder] = {"S": value}
    return Condition(" AND ".join(terms), values)


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None
