"""The check of a document before its upload, as the function checks it afterwards. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from run_recorder.domain import JSON, ObjectVersion, Run
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.json_document import MAX_ERRORS, decode
from run_recorder.judgement import judge_document
from run_recorder.metadata import MAX_BYTES, parse_metadata
from run_recorder.producer import document
from run_recorder.producer.folder import LocalFile
from run_recorder.producer.rules import DeploymentRules


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check of a document found.

    Attributes:
        errors: why the run would be rejected, 20 at most.
        errors_truncated: whether there are more.
        warnings: what may be a mistake, or may be rejected by a deployment that is not known.
    """

    errors: tuple[FieldError, ...] = ()
    errors_truncated: bool = False
    warnings: tuple[FieldError, ...] = ()


def check(
    body: bytes,
    run: Run | None,
    rules: DeploymentRules,
    files: Sequence[LocalFile] | None = None,
    sha256: Mapping[str, str] | None = None,
) -> Findings:
    """Check a document as the function does, and against the files of a folder instead of those in the bucket.

    Args:
        body: the document; only the first `MAX_BYTES` and one more have to be there.
        run: the run whose document it is; None if it is not known.
        rules: the rules of the deployment.
        files: the files of the folder; None if there is no folder.
        sha256: the hashes of files that are known, by path.
    """
    if len(body) > MAX_BYTES:
        return Findings((FieldError("", f"more than the {MAX_BYTES} bytes that are read"),))
    errors = judge_document(body, run, ObjectVersion("unknown", "unknown"), partial(rules.build_config, run)).errors
    warnings: list[FieldError] = []
    if len(errors) <= MAX_ERRORS and (value := decode_object(body)) is not None:
        if files is not None:
            errors += document.compare_with_folder(value, files, sha256 or {})
        if not errors:
            metadata, _ = parse_metadata(body, run)
            warnings += rules.find_unknowns(metadata)
        warnings += document.find_mistakes(value)
    return Findings(tuple(errors[:MAX_ERRORS]), len(errors) > MAX_ERRORS, tuple(warnings))


def decode_object(body: bytes) -> JSON:
    """Return the object that a document is; None if it is none, or has values that cannot be recorded."""
    if len(body) > MAX_BYTES:
        return None
    try:
        value, errors = decode(body)
    except InvalidMetadataError:
        return None
    return value if isinstance(value, dict) and not errors else None
