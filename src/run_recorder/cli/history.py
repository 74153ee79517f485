"""The uploads of a run, each with the verdict that it would get now, and with what changed in it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from run_recorder.cli.output import to_json
from run_recorder.concurrency import map_in_order
from run_recorder.domain import JSON, ObjectVersion, Outcome, Run
from run_recorder.errors import AWSCallError, InvalidMetadataError
from run_recorder.evaluator import Evaluator
from run_recorder.json_document import decode, pointer
from run_recorder.record_state import RecordState
from run_recorder.s3_objects import StoredObject
from run_recorder.uploads import Uploads
from run_recorder.verdict import Evaluation

# Each holds a document in memory until the one before it is read.
_WORKERS = 4
_ACCEPTED, _UNREADABLE = "accepted", "unreadable"


@dataclass(frozen=True, slots=True)
class PastUpload:
    """An upload of a run.

    Attributes:
        version: the upload.
        verdict: ``accepted``, ``rejected`` or ``pending`` by the rules and settings of now; ``unreadable`` if S3
            refuses to return it.
        evaluation: the verdict with its errors; None if the upload is unreadable.
        failure: the answer of AWS, if the upload is unreadable.
        changed: the fields that differ from the upload before, as JSON Pointers; ``""`` for the whole document. None
            for the first upload, and if one of the two is not known.
        is_recorded: whether the status and the errors of the record are those of this upload.
        is_source: whether the config of the record is that of this upload.
    """

    version: ObjectVersion
    verdict: str
    evaluation: Evaluation | None = None
    failure: str = ""
    changed: tuple[str, ...] | None = None
    is_recorded: bool = False
    is_source: bool = False

    def as_json(self) -> dict[str, JSON]:
        """Return the upload as JSON; an unknown value is null."""
        evaluation = self.evaluation
        return {
            "version_id": self.version.version_id,
            "etag": self.version.etag,
            "uploaded_at": evaluation and evaluation.uploaded_at,
            "size": evaluation and evaluation.size,
            "verdict": self.verdict,
            "errors": to_json(evaluation.errors) if evaluation else [],
            "failure": self.failure or None,
            "changed": None if self.changed is None else list(self.changed),
            "is_recorded": self.is_recorded,
            "is_source": self.is_source,
        }


@dataclass(frozen=True, slots=True)
class _Read:
    """An upload with its document, if it can be read."""

    upload: PastUpload
    stored: StoredObject | None = None


class History:
    """Reads the uploads of a run.

    Attributes:
        is_complete: whether `read` yielded all uploads that there are.
    """

    def __init__(self, uploads: Uploads, evaluator: Evaluator, run: Run, key: str, record: RecordState | None) -> None:
        self.is_complete = True
        self._uploads = uploads
        self._evaluator = evaluator
        self._run = run
        self._key = key
        self._record = record

    def read(self, limit: int) -> Iterator[PastUpload]:
        """Yield the newest uploads that still exist, newest first.

        Sends a LIST request for each thousand versions, a GET request for each upload and for the one before the last,
        and the LIST requests that the files of each document need.

        Raises:
            AWSCallError: S3 refuses to list the versions, or does not answer.
        """
        listed = list(islice(self._uploads.list_versions(self._key), limit + 1))
        self.is_complete = len(listed) <= limit
        after: _Read | None = None
        with contextlib.closing(map_in_order(self._read, listed, _WORKERS)) as found:
            for read in filter(None, (read for _, read in found)):
                if after:
                    yield replace(after.upload, changed=_compare(read.stored, after.stored))
                after = read
        if after and self.is_complete:
            yield after.upload

    def _read(self, version: ObjectVersion) -> _Read | None:
        """Read an upload that was listed; return None if it no longer exists."""
        record = self._record
        upload = PastUpload(
            version,
            _UNREADABLE,
            is_recorded=record is not None and record.version == version,
            is_source=record is not None and record.source == version,
        )
        try:
            stored = self._uploads.read_version(self._key, version)
            evaluation = self._evaluator.evaluate(self._run, stored) if stored else None
        except AWSCallError as error:
            return _Read(replace(upload, failure=str(error)))
        if evaluation is None:
            return None
        return _Read(replace(upload, verdict=_name(evaluation), evaluation=evaluation), stored)


def _name(evaluation: Evaluation) -> str:
    if evaluation.is_accepted:
        return _ACCEPTED
    return (Outcome.PENDING if evaluation.is_waiting else Outcome.REJECTED).value


def _compare(before: StoredObject | None, after: StoredObject | None) -> tuple[str, ...] | None:
    """Return the fields that differ between two documents; None if one of them cannot be read, or is too large."""
    if not (before and after) or before.body is None or after.body is None:
        return None
    if before.body == after.body:
        return ()
    old, new = _decode(before.body), _decode(after.body)
    return tuple(_differences(old, new)) if isinstance(old, dict) and isinstance(new, dict) else ("",)


def _decode(body: bytes) -> JSON:
    try:
        return decode(body)[0]
    except InvalidMetadataError:
        return None


def _differences(old: dict[str, JSON], new: dict[str, JSON], depth: int = 2) -> Iterator[str]:
    """Yield the names that differ, and of an object in both documents the names in it, not deeper."""
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if name in old and name in new and one == other:
            continue
        if depth > 1 and isinstance(one, dict) and isinstance(other, dict):
            yield from (pointer(name, rest) for rest in _differences(one, other, depth - 1))
        else:
            yield pointer(name)
