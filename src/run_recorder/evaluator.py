"""The verdict on one upload: validate the document, build the config, look for the files."""

import hashlib
from collections.abc import Callable
from itertools import islice

from run_recorder.config import ModelConfig, Settings
from run_recorder.domain import JSON, Metadata, Run
from run_recorder.dynamodb_value import check_size
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.files import find_missing_files
from run_recorder.json_document import ERRORS_SOUGHT, MAX_ERRORS, encode
from run_recorder.large_document_gate import LargeDocumentGate
from run_recorder.metadata import MAX_BYTES, parse_metadata
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject
from run_recorder.verdict import Evaluation
from run_recorder.waiting import Wait

Accepted = dict[str, JSON]
"""The attributes of a record that only an accepted upload sets."""

Judgement = tuple[Accepted, list[FieldError], list[FieldError]]
"""The attributes that an upload sets if it is accepted, its own errors, and those of the files that are missing."""


class Evaluator:
    """Evaluates uploads under the settings of one deployment. Safe to share between threads."""

    def __init__(self, settings: Settings, s3: S3, build_config: Callable[[Run, Metadata], ModelConfig]) -> None:
        self._settings = settings
        self._s3 = s3
        self._build_config = build_config
        self._read_gate = LargeDocumentGate()

    def evaluate(self, run: Run, stored: StoredObject) -> Evaluation:
        """Return the verdict on an upload, with all its errors.

        Raises:
            AWSCallError: S3 refuses to list the run's files, or does not answer.
        """
        # Before the files are listed: once the wait is over, no file that came in time is overlooked.
        wait = Wait.of(stored.last_modified, self._settings.files_wait_seconds)
        try:
            accepted, errors, missing = self._judge(run, stored)
        except InvalidMetadataError as error:
            accepted, errors, missing = {}, list(error.errors), []
        is_incomplete = bool(missing) and not errors
        # Those that are reported have to show whether files are all that is missing.
        errors = sorted(errors + missing, key=lambda error: error.is_of_a_file)
        return Evaluation(
            version=stored.version,
            uploaded_at=stored.uploaded_at,
            size=stored.size,
            errors=tuple(errors[:MAX_ERRORS]),
            errors_truncated=len(errors) > MAX_ERRORS,
            accepted={} if errors else accepted,
            wait=wait if is_incomplete else None,
        )

    def _judge(self, run: Run, stored: StoredObject) -> Judgement:
        if stored.body is None:
            return {}, [FieldError("", f"{stored.size} bytes; at most {MAX_BYTES} are read")], []
        with self._read_gate.hold(stored.size):
            metadata, errors = parse_metadata(stored.body, run)
            if len(errors) > MAX_ERRORS:
                return {}, errors, []
            accepted, config_errors = self._configure(run, metadata, stored)
            files = metadata.files
            del metadata
        # A model that is wrong in itself is reported already.
        if not any(f"{error.path}/".startswith("/model/") for error in errors):
            errors += config_errors
        missing: list[FieldError] = []
        if files and len(errors) < ERRORS_SOUGHT:
            found = find_missing_files(self._s3, self._settings.runs_bucket, run, files)
            missing += islice(found, ERRORS_SOUGHT - len(errors))
        return accepted, errors, missing

    def _configure(self, run: Run, metadata: Metadata, stored: StoredObject) -> tuple[Accepted, list[FieldError]]:
        try:
            config: JSON = dict(self._build_config(run, metadata))
        except InvalidMetadataError as error:
            return {}, list(error.errors)
        accepted = _build_accepted(metadata, config, stored)
        errors = check_size(accepted)
        if not errors:  # else it may be beyond writing out: 1E125 has 126 digits
            accepted["config_sha256"] = hashlib.sha256(encode(config).encode()).hexdigest()
        return accepted, errors


def _build_accepted(metadata: Metadata, config: JSON, stored: StoredObject) -> Accepted:
    source = {
        "version_id": stored.version_id,
        "etag": stored.etag,
        "size": stored.size,
        "sha256": hashlib.sha256(stored.body or b"").hexdigest(),
    }
    return {
        "config": config,
        "source": {name: value for name, value in source.items() if value is not None},
        **metadata.recorded,
    }
