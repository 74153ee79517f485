"""The check of a document before its upload."""

import json
from pathlib import Path
from typing import Any

import pytest

from run_recorder.producer.check import Findings, check, decode_object
from run_recorder.producer.folder import LocalFile, Stamp
from run_recorder.producer.rules import DeploymentRules
from tests.support.names import RUN

RULES = DeploymentRules()


def find(document: Any, *files: LocalFile, rules: DeploymentRules = RULES, **sha256: str) -> Findings:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return check(body, RUN, rules, files, sha256)


def local_file(path: str, size: int = 1) -> LocalFile:
    return LocalFile(path, Path(path), Stamp(size, 0, 0))


MODEL = {"model": {"name": "m", "version": "1"}}


def test_document_without_errors_has_none() -> None:
    assert find({**MODEL, "files": [{"path": "a", "size": 1}]}, local_file("a")) == Findings()


def test_errors_of_the_document_and_of_the_folder_are_found_at_once_with_mistakes() -> None:
    document = {
        "name": 1,
        "run_id": "x",
        "tgas": {},
        "files": [{"path": "a", "size": 2}, {"path": "b", "sha256": "0" * 64}],
    }
    found = find(document, local_file("a"), local_file("b"), b="1" * 64)
    assert [error.path for error in found.errors] == ["/name", "/run_id", "/files/0/size", "/files/1/sha256"]
    assert [warning.path for warning in found.warnings] == ["/tgas"]
    assert not found.errors_truncated


def test_files_are_not_compared_without_a_folder() -> None:
    assert check(json.dumps({**MODEL, "files": [{"path": "a"}]}).encode(), None, RULES) == Findings()


def test_unknown_default_model_is_a_warning() -> None:
    assert [warning.path for warning in find({}).warnings] == ["/model"]
    assert find({}, rules=DeploymentRules.of_stack({"ModelName": "d", "ModelVersion": "1"}, "b")) == Findings()


def test_first_20_errors_are_returned() -> None:
    found = find({**MODEL, "files": [{"path": str(number)} for number in range(21)]})
    assert (len(found.errors), found.errors_truncated) == (20, True)
    found = find({**MODEL, "files": [{"path": str(number)} for number in range(20)]})
    assert (len(found.errors), found.errors_truncated) == (20, False)


def test_document_with_too_many_errors_is_not_looked_at_further() -> None:
    found = find({"tags": {str(number): 1 for number in range(25)}, "tgas": 1})
    assert (len(found.errors), found.errors_truncated, found.warnings) == (20, True, ())


@pytest.mark.parametrize("body", [b"{]", b"\xff", b"[]", b'{"a": NaN}', b" " * (2**20 + 1)], ids=repr)
def test_document_that_cannot_be_recorded_has_an_error_and_no_value(body: bytes) -> None:
    assert len(find(body).errors) == 1
    assert decode_object(body) is None
