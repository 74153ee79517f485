"""The values that the modules pass to each other: frozen, and made once, at the edge."""

import enum
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self, TypeAlias

JSON: TypeAlias = Any
"""A JSON value: dict, list, str, bool, None and, for numbers, int or Decimal; never float."""


DOCUMENT = "metadata.json"
"""The name of the object, or of the file, that is the document of a run."""


class Outcome(enum.StrEnum):
    """The effect of one object event on the record.

    Attributes:
        metric: the CloudWatch metric that counts the outcome.
        log_level: the level of its log line, one of `logging`'s.
    """

    metric: str
    log_level: int

    RECORDED = "recorded", "RunsRecorded", logging.INFO
    REJECTED = "rejected", "RunsRejected", logging.INFO
    PENDING = "pending", "RunsPending", logging.INFO
    DUPLICATE = "duplicate", "DuplicateEvents", logging.INFO
    STALE = "stale", "StaleEvents", logging.INFO
    IGNORED = "ignored", "IgnoredEvents", logging.WARNING
    FAILED = "failed", "FailedEvents", logging.ERROR

    def __new__(cls, value: str, metric: str, log_level: int) -> Self:
        """Make a member of its value, its metric and its log level."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.metric = metric
        member.log_level = log_level
        return member


@dataclass(frozen=True, slots=True)
class Run:
    """The identity of a run, taken from its object key.

    Attributes:
        organisation_id: 1 to 128 characters.
        run_id: 1 to 128 characters, unique within the organisation.
    """

    organisation_id: str
    run_id: str

    @property
    def path(self) -> str:
        """``{organisation_id}/{run_id}/``, the part of a key that names the run."""
        return f"{self.organisation_id}/{self.run_id}/"

    @property
    def prefix(self) -> str:
        """The key prefix of all files of the run."""
        return f"runs/{self.path}"

    @property
    def document_key(self) -> str:
        """The key of the document of the run."""
        return self.prefix + DOCUMENT


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
        can_wait: whether the message that carries it can be put back into its queue, so that late files are
            waited for.
    """

    bucket: str
    key: str
    run: Run | None
    created: bool
    version_id: str | None = None
    etag: str | None = None
    sequencer: str | None = None
    can_wait: bool = False


class ObjectVersion(NamedTuple):
    """The identity of one upload among all uploads of its key.

    Attributes:
        version_id: None for the version ``null``, the only one in a bucket without versions.
        etag: entity tag, without quotes.
    """

    version_id: str | None
    etag: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model, as a document or a deployment names it.

    Attributes:
        name: its name.
        version: its version; None if none is named.
    """

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
    """A parsed ``metadata.json``.

    Attributes:
        name: the name of the run; None if absent.
        created_at: RFC 3339 date-time, as the document spells it; None if absent.
        created_by: who or what created the run; None if absent.
        tags: names and texts; None if absent.
        model: the model for the run; None if the document leaves it to the deployment.
        parameters: parameters of the model, any JSON inside; empty if absent.
        files: the files of the run that the document declares; empty if it declares none.
    """

    name: str | None = None
    created_at: str | None = None
    created_by: str | None = None
    tags: Mapping[str, str] | None = None
    model: Model | None = None
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    files: tuple[DeclaredFile, ...] = ()

    @property
    def recorded(self) -> dict[str, JSON]:
        """The values of the `RECORDED_FIELDS`."""
        return {name: getattr(self, name) for name in RECORDED_FIELDS}


_NOT_RECORDED = {"model", "parameters", "files"}
RECORDED_FIELDS = tuple(member.name for member in fields(Metadata) if member.name not in _NOT_RECORDED)
"""The fields of a document that become attributes of the record under the same name.

The config is made from the model and the parameters; the files are only looked for.
"""
