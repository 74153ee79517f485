"""The document of a folder: what is added to it, and what in it may be a mistake."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from run_recorder.producer.document import (
    add_files,
    compare_with_folder,
    find_mistakes,
    find_unlisted,
    list_files,
    set_fields,
    to_bytes,
)
from run_recorder.producer.folder import LocalFile, Stamp


def files(**sizes: int) -> list[LocalFile]:
    return [LocalFile(path, Path(path), Stamp(size, 0, 0)) for path, size in sizes.items()]


def listing(*entries: Any) -> dict[str, Any]:
    return {"files": [*entries]}


def test_files_are_added_after_those_that_are_listed() -> None:
    document = {"name": "n", "files": [{"path": "z"}]}
    assert add_files(document, files(a=1, b=2), {"b": "hash"}) == {
        "name": "n",
        "files": [{"path": "z"}, {"path": "a", "size": 1}, {"path": "b", "size": 2, "sha256": "hash"}],
    }
    assert document == {"name": "n", "files": [{"path": "z"}]}


def test_document_without_files_to_add_stays() -> None:
    assert add_files({"name": "n"}, [], {}) == {"name": "n"}


def test_fields_replace_those_of_the_document_but_tags_and_parameters_are_added() -> None:
    document = {"name": "old", "model": {"name": "m", "version": "1"}, "tags": {"a": "1", "b": "2"}}
    fields = {"name": "new", "model": {"name": "n"}, "tags": {"b": "3"}, "parameters": {"x": 1}}
    assert set_fields(document, fields) == {
        "name": "new",
        "model": {"name": "n"},
        "tags": {"a": "1", "b": "3"},
        "parameters": {"x": 1},
    }


def test_tags_that_are_no_object_are_replaced() -> None:
    assert set_fields({"tags": 1}, {"tags": {"a": "b"}}) == {"tags": {"a": "b"}}


def test_numbers_stay_exact() -> None:
    body = to_bytes({"parameters": {"x": Decimal("0.10000000000000000000000000000000000001")}})
    assert body == b'{"parameters":{"x":0.10000000000000000000000000000000000001}}'


@pytest.mark.parametrize("document", [None, [], {}, {"files": 1}, listing(1, {}, {"path": 1})], ids=str)
def test_document_without_a_valid_path_lists_no_files(document: Any) -> None:
    assert list_files(document) == []


def test_listed_files_are_compared_with_the_folder() -> None:
    document = listing(
        {"path": "a", "size": 1, "sha256": "AB"},
        {"path": "a", "size": 2},
        {"path": "b", "sha256": "cd"},
        {"path": "none"},
        {"path": "metadata.json", "size": 7},
        {"size": 1},
    )
    found = compare_with_folder(document, files(a=1, b=2), {"a": "ab", "b": "ef"})
    assert {error.path: error.message for error in found} == {
        "/files/1/size": "the file has 1 bytes, not 2",
        "/files/2/sha256": "the file has the SHA-256 ef",
        "/files/3/path": "the folder has no file none",
    }


@pytest.mark.parametrize("document", [None, {}, {"files": 1}, listing(1)], ids=str)
def test_document_without_files_agrees_with_every_folder(document: Any) -> None:
    assert list(compare_with_folder(document, files(a=1), {})) == []


def mistakes(document: Any) -> dict[str, str]:
    return {warning.path: warning.message for warning in find_mistakes(document)}


@pytest.mark.parametrize(
    ("document", "path", "field"),
    [
        ({"modle": {}}, "/modle", "model"),
        ({"Tags": {}}, "/Tags", "tags"),
        ({"created-at": ""}, "/created-at", "created_at"),
        ({"model": {"name": "m", "verison": "1"}}, "/model/verison", "version"),
        (listing({"path": "a"}, {"path": "b", "sha-256": ""}), "/files/1/sha-256", "sha256"),
    ],
    ids=str,
)
def test_field_that_looks_misspelt_is_a_mistake(document: Any, path: str, field: str) -> None:
    assert mistakes(document) == {path: f"not a field of the format, and ignored: {field!r} is one"}


@pytest.mark.parametrize(
    "document", [{"operator": "x", "plate": 1}, {"tags": {"nmae": "x"}, "parameters": {"modle": 1}}, None, []], ids=str
)
def test_field_of_the_producers_own_is_no_mistake(document: Any) -> None:
    assert mistakes(document) == {}


def test_file_that_is_listed_twice_and_the_document_itself_are_mistakes() -> None:
    document = listing({"path": "a"}, {"path": "metadata.json"}, {"path": "a"}, {"path": "sub/metadata.json"})
    assert mistakes(document) == {
        "/files/1/path": "metadata.json is not one of the files of its run",
        "/files/2/path": "a is also listed at /files/0",
    }


def test_files_that_are_not_listed_are_found() -> None:
    document = listing({"path": "a"})
    assert [warning.path for warning in find_unlisted(document, files(a=1, b=2, c=3))] == ["b", "c"]
    assert list(find_unlisted(document, files(a=1))) == []


def test_document_that_lists_no_file_is_one_warning() -> None:
    (warning,) = find_unlisted(json.loads("{}"), files(a=1, b=2))
    assert (warning.path, warning.message) == ("/files", "the document lists none of the 2 files of the folder")
    assert list(find_unlisted({}, [])) == []
