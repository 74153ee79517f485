"""Valid and invalid documents."""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from run_recorder.domain import DeclaredFile, Metadata, Model, Run
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.metadata import load_schema, parse_metadata


def parse(run: Run, document: Any) -> tuple[Metadata, list[FieldError]]:
    return parse_metadata(json.dumps(document).encode(), run)


def test_metadata_has_the_fields_of_the_schema_except_for_identity() -> None:
    identity = {"schema_version", "organisation_id", "run_id"}
    assert {field.name for field in fields(Metadata)} | identity == load_schema()["properties"].keys()


def test_every_field_is_parsed(run: Run) -> None:
    metadata, errors = parse(
        run,
        {
            "schema_version": 1,
            "organisation_id": "acme",
            "run_id": "run-0001",
            "name": "n",
            "created_by": "c",
            "created_at": "2026-11-20T08:30:00Z",
            "model": {"name": "m", "version": "1"},
            "parameters": {"p": [1]},
            "tags": {"t": "v"},
            "files": [{"path": "a", "size": 1, "sha256": "0" * 64}, {"path": "b/c"}],
        },
    )
    assert errors == []
    assert metadata == Metadata(
        name="n",
        created_by="c",
        created_at="2026-11-20T08:30:00Z",
        model=Model("m", "1"),
        parameters={"p": [1]},
        tags={"t": "v"},
        files=(DeclaredFile(0, "a", 1), DeclaredFile(1, "b/c", None)),
    )


def test_every_field_is_optional(run: Run) -> None:
    assert parse(run, {}) == (Metadata(), [])


def test_unknown_fields_are_allowed(run: Run) -> None:
    assert parse(run, {"comment": {"any": "thing"}}) == (Metadata(), [])


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/name", lambda text: {"name": text}),
        ("/created_by", lambda text: {"created_by": text}),
        ("/model/name", lambda text: {"model": {"name": text}}),
        ("/model/version", lambda text: {"model": {"name": "m", "version": text}}),
    ],
)
def test_texts_have_1_to_256_characters(run: Run, path: str, document: Callable[[str], Any]) -> None:
    for length in (1, 256):
        assert parse(run, document("x" * length))[1] == []
    assert parse(run, document(""))[1] == [FieldError(path, "expected at least 1 character")]
    assert parse(run, document("x" * 257))[1] == [FieldError(path, "expected at most 256 characters, found 257")]


@pytest.mark.parametrize("document", [[], "text", 1, None, True])
def test_document_must_be_an_object(run: Run, document: Any) -> None:
    metadata, (error,) = parse(run, document)
    assert metadata == Metadata()
    assert error.path == ""
    assert error.message.startswith("expected an object, found")


def test_ids_must_equal_those_of_the_key(run: Run) -> None:
    _, errors = parse(run, {"organisation_id": "ACME", "run_id": "run-0002"})
    assert errors == [
        FieldError("/organisation_id", "differs from the one in the object key, 'acme'"),
        FieldError("/run_id", "differs from the one in the object key, 'run-0001'"),
    ]


def test_id_of_a_wrong_type_is_one_error(run: Run) -> None:
    _, errors = parse(run, {"run_id": 1})
    assert errors == [FieldError("/run_id", "expected a string, found an integer")]


@pytest.mark.parametrize("version", [0, 2, 1.5, "1", None, True])
def test_other_schema_versions_are_rejected(run: Run, version: Any) -> None:
    _, errors = parse(run, {"schema_version": version})
    assert {error.path for error in errors} == {"/schema_version"}


def test_all_errors_are_found_and_fields_without_an_error_are_kept(run: Run) -> None:
    body = b"""{
        "run_id": "other", "name": 1, "created_at": "yesterday", "created_by": "c", "parameters": {"x": NaN},
        "files": [{"path": "a"}, {"path": ".."}, {"size": 1}, {"path": "b", "size": 2}]
    }"""
    metadata, errors = parse_metadata(body, run)
    assert sorted(error.path for error in errors) == [
        "/created_at",
        "/files/1/path",
        "/files/2/path",
        "/name",
        "/parameters/x",
        "/run_id",
    ]
    assert metadata == Metadata(created_by="c", files=(DeclaredFile(0, "a"), DeclaredFile(3, "b", 2)))


def test_files_of_a_wrong_type_are_one_error_and_declare_no_file(run: Run) -> None:
    metadata, (error,) = parse(run, {"files": {"path": "a"}})
    assert (metadata.files, error.path) == ((), "/files")


def test_more_than_20_errors_stop_the_search_and_leave_no_field(run: Run) -> None:
    tags = {f"t{index}": index for index in range(30)}
    metadata, errors = parse(run, {"run_id": "other", "created_by": "c", "tags": tags, "files": [{"path": 1}]})
    assert [error.path for error in errors] == [f"/tags/t{index}" for index in range(21)]
    assert metadata == Metadata()


def test_fields_without_an_error_are_kept_beside_20_errors(run: Run) -> None:
    tags = {f"t{index}": index for index in range(20)}
    metadata, errors = parse(run, {"created_by": "c", "tags": tags})
    assert len(errors) == 20
    assert metadata == Metadata(created_by="c")


def test_search_stops_after_21_errors_in_a_document_that_is_not_an_object(run: Run) -> None:
    _, errors = parse_metadata(b"[" + b"NaN," * 30 + b"0]", run)
    assert len(errors) == 21


def test_document_that_is_not_json_raises(run: Run) -> None:
    with pytest.raises(InvalidMetadataError, match="document: not JSON"):
        parse_metadata(b"{", run)


def test_ids_are_not_compared_without_a_run() -> None:
    _, errors = parse_metadata(b'{"organisation_id": "anyone", "run_id": 1}', None)
    assert [error.path for error in errors] == ["/run_id"]
