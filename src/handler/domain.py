"""The values that travel between the modules: frozen, made once at the edge."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from handler.errors import FieldError

JSON: TypeAlias = Any
"""A JSON value: dict, list, str, bool, None and, for numbers, int or Decimal; never float."""


class Outcome(enum.StrEnum):
    """What became of one upload. A failure is not among them: it is an exception."""

    RECORDED = "recorded"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    STALE = "stale"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Run:
    """The identity of a run, as its object key states it."""

    organisation_id: str
    run_id: str

    @property
    def path(self) -> str:
        """``{organisation_id}/{run_id}/``, the part of a key that names the run."""
        return f"{self.organisation_id}/{self.run_id}/"

    @property
    def prefix(self) -> str:
        """The key prefix under which all files of the run lie."""
        return f"runs/{self.path}"


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """One object that an S3 event names.

    Attributes:
        bucket: bucket name.
        key: object key, decoded.
        run: the run whose upload this completes; None if the key is not such a key.
        created: whether the event says that the object was created.
        version_id: the version that the event names, if it names one.
        etag: the entity tag that the event names, without quotes, if it names one.
        sequencer: upper-case hexadecimal, padded with zeros to 32 digits, so that the
            order of the strings is the order of the integers; None if unknown.
    """

    bucket: str
    key: str
    run: Run | None
    created: bool
    version_id: str | None = None
    etag: str | None = None
    sequencer: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model by name; ``version`` is None if nobody named one."""

    name: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """A file that the document says was uploaded.

    Attributes:
        index: its place in the document's ``files``.
        path: relative to the run's prefix.
        size: in bytes.
    """

    index: int
    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """A parsed ``metadata.json``; an absent field is None or empty."""

    name: str | None = None
    created_by: str | None = None
    created_at: str | None = None
    model: Model | None = None
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    tags: Mapping[str, str] | None = None
    files: tuple[DeclaredFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordUpdate:
    """What one upload says of its run.

    Attributes:
        sequencer: its place in S3's order, as `ObjectEvent.sequencer`; None if unknown.
        uploaded_at: the object's LastModified, as ``2026-11-20T08:30:00Z``.
        errors: why it is rejected; empty if it is accepted.
        accepted: the attributes that only an accepted upload sets, None for one to remove;
            empty if it is rejected.
    """

    run: Run
    bucket: str
    key: str
    version_id: str | None
    etag: str
    uploaded_at: str
    sequencer: str | None
    errors: tuple[FieldError, ...]
    accepted: dict[str, JSON]

    @property
    def outcome(self) -> Outcome:
        """What becomes of the upload once the record shows it."""
        return Outcome.REJECTED if self.errors else Outcome.RECORDED
