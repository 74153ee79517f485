"""The verdict on a document by itself, without the files that it lists. Pure."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from run_recorder.config import ModelConfig
from run_recorder.domain import JSON, DeclaredFile, Metadata, ObjectVersion, Run
from run_recorder.dynamodb_value import check_size
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.json_document import MAX_ERRORS, encode
from run_recorder.metadata import MAX_BYTES, parse_metadata

Accepted = dict[str, JSON]
"""The attributes of a record that only an accepted upload sets."""

BuildConfig = Callable[[Metadata], ModelConfig]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a document.

    Attributes:
        accepted: the attributes that the upload sets if it is accepted; incomplete if there are errors.
        errors: all errors, at most `json_document.ERRORS_SOUGHT` of the format and those of the config.
        files: the files that the document lists, without those that have an error.
    """

    accepted: Accepted = field(default_factory=dict)
    errors: list[FieldError] = field(default_factory=list)
    files: tuple[DeclaredFile, ...] = ()


def judge_document(body: bytes, run: Run | None, version: ObjectVersion, build_config: BuildConfig) -> Judgement:
    """Return the verdict on a document of at most `MAX_BYTES`.

    Args:
        body: the document.
        run: the run that the object key names; None if there is no key yet.
        version: the upload, for the attribute ``source`` of the record.
        build_config: returns the config of a run with this metadata, or raises `InvalidMetadataError`.
    """
    try:
        metadata, errors = parse_metadata(body, run)
    except InvalidMetadataError as error:
        return Judgement(errors=list(error.errors))
    if len(errors) > MAX_ERRORS:
        return Judgement(errors=errors)
    accepted, config_errors = _configure(body, version, metadata, build_config)
    # A model that is wrong in itself is reported already.
    if not any(f"{error.path}/".startswith("/model/") for error in errors):
        errors += config_errors
    return Judgement(accepted, errors, metadata.files)


def judge_size(size: int) -> list[FieldError]:
    """Return the error of a document of this size in bytes, if it is too large to be read."""
    return [FieldError("", f"{size} bytes; at most {MAX_BYTES} are read")] if size > MAX_BYTES else []


def _configure(
    body: bytes, version: ObjectVersion, metadata: Metadata, build_config: BuildConfig
) -> tuple[Accepted, list[FieldError]]:
    try:
        config: JSON = dict(build_config(metadata))
    except InvalidMetadataError as error:
        return {}, list(error.errors)
    source = {**version._asdict(), "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    accepted = {
        "config": config,
        "source": {name: value for name, value in source.items() if value is not None},
        **metadata.recorded,
    }
    errors = check_size(accepted)
    if not errors:  # else it may be beyond writing out: 1E125 has 126 digits
        accepted["config_sha256"] = hashlib.sha256(encode(config).encode()).hexdigest()
    return accepted, errors
