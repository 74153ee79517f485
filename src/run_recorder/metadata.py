"""The document of a run, parsed from bytes to validated metadata and a list of all errors. Pure.

``metadata.schema.json`` beside this file defines the format.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any

from run_recorder.domain import JSON, RECORDED_FIELDS, DeclaredFile, Metadata, Model, Run
from run_recorder.errors import FieldError
from run_recorder.json_document import ERRORS_SOUGHT, MAX_ERRORS, decode, pointer
from run_recorder.json_schema import find_errors

MAX_BYTES = 1_048_576


@functools.cache
def load_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of ``metadata.json``."""
    schema: dict[str, Any] = json.loads(resources.files("run_recorder").joinpath("metadata.schema.json").read_bytes())
    return schema


def parse_metadata(body: bytes, run: Run | None) -> tuple[Metadata, list[FieldError]]:
    """Parse a document of at most `MAX_BYTES`.

    Args:
        body: the document, UTF-8 JSON.
        run: the run that the object key names, whose ids the document must not contradict;
            None if there is no key yet.

    Returns:
        The metadata and at most `ERRORS_SOUGHT` errors. A field or a file that has an error is
        absent from the metadata, so that the other fields can still be used; with more than
        `MAX_ERRORS` errors, all fields are absent.

    Raises:
        InvalidMetadataError: the body is not UTF-8 or not JSON, so that there are no fields.
    """
    document, errors = decode(body)
    errors += [FieldError(*error) for error in find_errors(load_schema(), document)]
    if run and isinstance(document, dict):
        errors += _compare_ids(document, run)
    if not isinstance(document, dict) or len(errors) > MAX_ERRORS:
        return Metadata(), errors[:ERRORS_SOUGHT]
    return _from_document(document, {error.path for error in errors}), errors


def _compare_ids(document: Mapping[str, JSON], run: Run) -> list[FieldError]:
    expected = {"organisation_id": run.organisation_id, "run_id": run.run_id}
    return [
        FieldError(pointer(name), f"differs from the one in the object key, {identifier!r}")
        for name, identifier in expected.items()
        if isinstance(document.get(name), str) and document[name] != identifier
    ]


def _from_document(document: Mapping[str, JSON], paths_in_error: set[str]) -> Metadata:
    fields_in_error = {path.split("/")[1] for path in paths_in_error}
    fields = {name: value for name, value in document.items() if name not in fields_in_error}
    model = fields.get("model")
    return Metadata(
        **{name: fields.get(name) for name in RECORDED_FIELDS},
        model=Model(model["name"], model.get("version")) if model else None,
        parameters=fields.get("parameters", {}),
        files=() if "/files" in paths_in_error else tuple(_declared_files(document.get("files", ()), paths_in_error)),
    )


def _declared_files(files: Iterable[JSON], paths_in_error: set[str]) -> Iterator[DeclaredFile]:
    files_in_error = {"/".join(path.split("/")[:3]) for path in paths_in_error}
    for index, file in enumerate(files):
        if f"/files/{index}" not in files_in_error:
            yield DeclaredFile(index, file["path"], file.get("size"))
