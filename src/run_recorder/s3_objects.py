"""The objects that the calls of `run_recorder.s3` return."""

from dataclasses import dataclass
from datetime import UTC, datetime

from run_recorder.domain import ObjectVersion


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object of a listing; ``size`` in bytes, ``etag`` without quotes."""

    key: str
    size: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class ListedPage:
    """The objects of one LIST request; ``is_truncated`` if more follow."""

    objects: tuple[ListedObject, ...]
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in S3.

    Attributes:
        version_id: None for the version ``null``, the only one in a bucket without versions.
        etag: entity tag, without quotes.
        last_modified: when S3 stored it (for a multipart upload: when the upload was started), UTC.
        size: in bytes.
        body: the contents; None if they were not requested, or exceed the requested maximum.
    """

    version_id: str | None
    etag: str
    last_modified: datetime
    size: int
    body: bytes | None

    @property
    def version(self) -> ObjectVersion:
        """The identity of this version."""
        return ObjectVersion(self.version_id, self.etag)

    @property
    def uploaded_at(self) -> str:
        """``last_modified`` in the format of a record: ``2026-11-20T08:30:00Z``."""
        return self.last_modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
