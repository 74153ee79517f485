"""The document of a run: the files and fields that are added to it, and what in it may be a mistake. Pure."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from run_recorder.domain import DOCUMENT, JSON
from run_recorder.errors import FieldError
from run_recorder.json_document import encode, pointer
from run_recorder.metadata import load_schema
from run_recorder.producer.folder import LocalFile

_SIMILARITY = 0.75
_OVERLAID = ("tags", "parameters")


def list_files(document: JSON) -> list[dict[str, JSON]]:
    """Return the entries of ``files`` that have a path, valid or not otherwise."""
    return [entry for _, entry in _entries(document)]


def set_fields(document: Mapping[str, JSON], fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return a document with these fields; tags and parameters are added to those that it has."""
    merged = {**document, **fields}
    for name in _OVERLAID:
        if isinstance(document.get(name), dict) and isinstance(fields.get(name), dict):
            merged[name] = {**document[name], **fields[name]}
    return merged


def add_files(document: Mapping[str, JSON], files: Iterable[LocalFile], sha256: Mapping[str, str]) -> dict[str, JSON]:
    """Return a document that also lists these files, each with the hash of its path in ``sha256``, if there is one."""
    added = [
        {"path": file.path, "size": file.size, **({"sha256": sha256[file.path]} if file.path in sha256 else {})}
        for file in files
    ]
    return {**document, "files": [*document.get("files", []), *added]} if added else dict(document)


def to_bytes(document: Mapping[str, JSON]) -> bytes:
    """Return a document as JSON in UTF-8, every number exact."""
    return encode(dict(document)).encode()


def compare_with_folder(document: JSON, files: Iterable[LocalFile], sha256: Mapping[str, str]) -> Iterator[FieldError]:
    """Yield an error for each listed file that the folder lacks, or that has another size or hash there.

    Args:
        document: the document.
        files: the files of the folder.
        sha256: the hashes that are known, by path.
    """
    found = {file.path: file for file in files}
    for index, entry in _entries(document):
        file = found.get(entry["path"])
        if entry["path"] == DOCUMENT:
            continue
        if file is None:
            yield FieldError(f"/files/{index}/path", f"the folder has no file {entry['path']}")
        elif isinstance(entry.get("size"), int) and entry["size"] != file.size:
            yield FieldError(f"/files/{index}/size", f"the file has {file.size} bytes, not {entry['size']}")
        elif isinstance(entry.get("sha256"), str) and sha256.get(file.path) not in (None, entry["sha256"].lower()):
            yield FieldError(f"/files/{index}/sha256", f"the file has the SHA-256 {sha256[file.path]}")


def find_mistakes(document: JSON) -> Iterator[FieldError]:
    """Yield a warning for each part of a valid document that is probably not intended."""
    yield from _find_misspelt_fields(load_schema(), document, "")
    seen: dict[str, int] = {}
    for index, entry in _entries(document):
        path = entry["path"]
        if path == DOCUMENT:
            yield FieldError(f"/files/{index}/path", f"{DOCUMENT} is not one of the files of its run")
        elif path in seen:
            yield FieldError(f"/files/{index}/path", f"{path} is also listed at /files/{seen[path]}")
        else:
            seen[path] = index


def _entries(document: JSON) -> Iterator[tuple[int, dict[str, JSON]]]:
    """Yield the index and the entry of each file that a document lists with a path, valid or not otherwise."""
    files = document.get("files") if isinstance(document, dict) else None
    for index, entry in enumerate(files if isinstance(files, list) else []):
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            yield index, entry


def _find_misspelt_fields(schema: Mapping[str, Any], value: JSON, place: str) -> Iterator[FieldError]:
    known = schema.get("properties", {})
    if isinstance(value, dict) and known:
        for name in sorted(value.keys() - known.keys()):
            for similar in difflib.get_close_matches(name.lower().replace("-", "_"), known, 1, _SIMILARITY):
                yield FieldError(place + pointer(name), f"not a field of the format, and ignored: {similar!r} is one")
        for name in sorted(known.keys() & value.keys()):
            yield from _find_misspelt_fields(known[name], value[name], place + pointer(name))
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _find_misspelt_fields(schema["items"], item, f"{place}/{index}")


def find_unlisted(document: JSON, files: Sequence[LocalFile]) -> Iterator[FieldError]:
    """Yield a warning for each file of the folder that the document does not list."""
    listed = {entry["path"] for entry in list_files(document)}
    if files and not listed:
        yield FieldError("/files", f"the document lists none of the {len(files)} files of the folder")
        return
    for file in files:
        if file.path not in listed:
            yield FieldError(file.path, "the document does not list this file")
