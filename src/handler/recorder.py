"""One upload, from the object to the record: read, validate, configure, record."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from handler.config import ModelConfig, Settings, build_model_config
from handler.domain import JSON, DeclaredFile, Metadata, ObjectEvent, Outcome, RecordUpdate, Run
from handler.dynamodb_value import check_size
from handler.errors import ContentionError, FieldError, InvalidMetadataError
from handler.json_document import MAX_ERRORS, encode
from handler.metadata import MAX_BYTES, parse_metadata
from handler.runs import RunTable
from handler.s3 import S3, StoredObject
from handler.turns import Turns

_MAX_SWAPS = 10
_PATIENCE = 5  # seconds


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an upload.

    Attributes:
        outcome: exactly one.
        errors: the document's errors, if it is rejected.
        reason: why, if it is ignored.
    """

    outcome: Outcome
    errors: tuple[FieldError, ...] = ()
    reason: str | None = None


_GONE = Result(Outcome.IGNORED, reason="the object or this version of it is gone")


class Recorder:
    """Handles uploads, each to exactly one outcome. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        s3: S3,
        table: RunTable,
        build_config: Callable[[Run, Metadata], ModelConfig] = build_model_config,
    ) -> None:
        """Uses these; ``build_config`` may stand for another environment than this process has."""
        self._settings = settings
        self._s3 = s3
        self._table = table
        self._build_config = build_config
        self._reading = Turns()
        self._writing = Turns(_PATIENCE)

    def handle(self, upload: ObjectEvent) -> Result:
        """Brings the record up to this upload.

        Raises:
            UploadFailedError: AWS did not do its part; deliver the event again.
        """
        if not upload.created:
            return Result(Outcome.IGNORED, reason="not the creation of an object")
        if upload.bucket != self._settings.runs_bucket:
            return Result(Outcome.IGNORED, reason="not the bucket of runs")
        if upload.run is None:
            return Result(Outcome.IGNORED, reason="not the key of a run's metadata.json")
        if upload.sequencer is not None:
            # A version never changes; what has no version may have been overwritten.
            stored = self._read(upload.key, upload.version_id, upload.etag if upload.version_id else None)
            if stored is None:
                return _GONE
            entry = self._evaluate(upload, upload.run, stored, upload.sequencer)
            with self._writing.take(stored.size):
                outcome = self._table.record(entry)
            if outcome is not None:
                return Result(outcome, entry.errors if outcome is Outcome.REJECTED else ())
        return self._swap(upload, upload.run)

    def _swap(self, upload: ObjectEvent, run: Run) -> Result:
        """Records the current object by compare and swap.

        The object is read after the record, so it is never older than what the record
        shows; if the record is then still the same, replacing it is right.
        """
        for _ in range(_MAX_SWAPS):
            seen = self._table.get(run)
            stored = self._read(upload.key)
            if stored is None:
                return _GONE
            is_known = seen is not None and (seen.version_id, seen.etag) == (stored.version_id, stored.etag)
            # An entity tag comes back when the same bytes are uploaded again. The record has to
            # move on then: another invocation may hold what was uploaded in between.
            if seen and is_known and (stored.version_id or seen.uploaded_at == stored.uploaded_at):
                return Result(Outcome.DUPLICATE)
            entry = self._evaluate(upload, run, stored, upload.sequencer if _names(upload, stored) else None)
            with self._writing.take(stored.size):
                is_replaced = self._table.replace(seen, entry)
            if is_replaced:
                return Result(Outcome.DUPLICATE) if is_known else Result(entry.outcome, entry.errors)
        raise ContentionError(f"the record of {run.path} changed under each of {_MAX_SWAPS} attempts to replace it")

    def _read(self, key: str, version_id: str | None = None, etag: str | None = None) -> StoredObject | None:
        return self._s3.read_object(self._settings.runs_bucket, key, version_id, etag, max_bytes=MAX_BYTES)

    def _evaluate(self, upload: ObjectEvent, run: Run, stored: StoredObject, sequencer: str | None) -> RecordUpdate:
        accepted: dict[str, JSON] = {}
        errors: tuple[FieldError, ...] = ()
        try:
            accepted = self._accept(run, stored, sequencer)
        except InvalidMetadataError as error:
            errors = error.errors[:MAX_ERRORS]
        return RecordUpdate(
            run=run,
            bucket=upload.bucket,
            key=upload.key,
            version_id=stored.version_id,
            etag=stored.etag,
            uploaded_at=stored.uploaded_at,
            sequencer=sequencer,
            errors=errors,
            accepted=accepted,
        )

    def _accept(self, run: Run, stored: StoredObject, sequencer: str | None) -> dict[str, JSON]:
        """The attributes that an accepted document sets.

        Raises:
            InvalidMetadataError: it is not acceptable, for every reason that was found.
        """
        if stored.body is None:
            raise InvalidMetadataError([FieldError("", f"{stored.size} bytes; at most {MAX_BYTES} are read")])
        with self._reading.take(stored.size):
            metadata, errors = parse_metadata(stored.body, run)
            accepted, refusals = self._configure(run, metadata, stored, sequencer)
            files = metadata.files
            del metadata
        if files and len(errors) < MAX_ERRORS:
            errors += islice(self._find_missing_files(run, files), MAX_ERRORS)
        # A model that is wrong in itself is reported already.
        if not any(f"{known.path}/".startswith("/model/") for known in errors):
            errors += refusals
        if errors:
            raise InvalidMetadataError(errors)
        return accepted

    def _configure(
        self, run: Run, metadata: Metadata, stored: StoredObject, sequencer: str | None
    ) -> tuple[dict[str, JSON], list[FieldError]]:
        """The attributes that an accepted document sets, and why it is not acceptable, if it is not."""
        try:
            accepted = _describe(metadata, dict(self._build_config(run, metadata)), stored, sequencer)
        except InvalidMetadataError as error:
            return {}, list(error.errors)
        errors = check_size(accepted)
        if not errors:  # else it may be beyond writing out: 1E125 has 126 digits
            accepted["config_sha256"] = hashlib.sha256(encode(accepted["config"]).encode()).hexdigest()
        return accepted, errors

    def _find_missing_files(self, run: Run, files: tuple[DeclaredFile, ...]) -> Iterator[FieldError]:
        declared = {run.prefix + file.path for file in files}
        last = max(declared)
        sizes: dict[str, int] = {}
        for listed in self._s3.list_objects(self._settings.runs_bucket, run.prefix):
            if listed.key in declared:
                sizes[listed.key] = listed.size
            if listed.key >= last:  # S3 lists in the order of UTF-8, which is that of code points
                break
        for file in files:
            actual = sizes.get(run.prefix + file.path)
            if actual is None:
                yield FieldError(f"/files/{file.index}/path", f"no object {file.path} below the run's prefix")
            elif file.size not in (None, actual):
                yield FieldError(f"/files/{file.index}/size", f"the object has {actual} bytes, not {file.size}")


def _names(upload: ObjectEvent, stored: StoredObject) -> bool:
    """Whether the event is about this very object; versions tell, else entity tags do."""
    if upload.version_id or stored.version_id:
        return upload.version_id == stored.version_id
    return upload.etag == stored.etag


def _describe(metadata: Metadata, config: JSON, stored: StoredObject, sequencer: str | None) -> dict[str, JSON]:
    source = {
        "version_id": stored.version_id,
        "etag": stored.etag,
        "sequencer": sequencer,
        "size": stored.size,
        "sha256": hashlib.sha256(stored.body or b"").hexdigest(),
    }
    return {
        "config": config,
        "source": {name: value for name, value in source.items() if value is not None},
        "name": metadata.name,
        "created_at": metadata.created_at,
        "created_by": metadata.created_by,
        "tags": metadata.tags,
    }
