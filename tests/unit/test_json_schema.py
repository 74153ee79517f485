"""The validator of JSON Schema, compared with the reference implementation."""

import copy
import json
import random
from typing import Any

import pytest

from run_recorder.json_document import decode
from run_recorder.json_schema import find_errors
from run_recorder.metadata import load_schema

VALID: dict[str, Any] = {
    "schema_version": 1,
    "organisation_id": "acme",
    "run_id": "run-0001",
    "name": "n",
    "created_by": "x" * 256,
    "created_at": "2026-11-20T08:30:00Z",
    "model": {"name": "m", "version": "1", "extra": 1},
    "parameters": {"a": [1, 2.5, None, True, {}]},
    "tags": {"k": "v"},
    "files": [{"path": "a/b.csv", "size": 0, "sha256": "0aF" + "0" * 61}, {"path": "…"}],
    "unknown": [{}],
}
VALUES: list[Any] = [
    None, True, False, 0, 1, 2, -1, 1.0, 1.5, 1e30, "", "a", "x" * 257, [], {}, [1], {"": 1}, {"a": "b"}, {"a": 1},
    {f"t{i}": "v" for i in range(50)}, {f"t{i}": "v" for i in range(51)},
    [{"path": "p"}] * 10_001, [{}], [None], {"name": ""}, {"name": "m", "version": ""}, {"version": "1"},
    ".", "..", "a/../b", "a//b", "/a", "a/", "./a", "a/.", "...", "a..b", "0" * 64, {"name": "m"}, {"path": "p"},
    "2026-11-20T08:30:00+01:00", "2026-11-20t08:30:00.123456789z", "2026-02-30T08:30:00Z", "2026-11-20T24:00:00Z",
    "2026-11-20 08:30:00Z", "2026-11-20T08:30:00", "2026-11-20T08:30Z", "2026-11-20T08:30:61Z",
    "2026-11-20T08:30:00+24:00",     "20261120T083000Z", "٢026-11-20T08:30:00Z",
]  # fmt: skip


@pytest.fixture
def reference() -> Any:
    """The reference implementation, or a skipped test where only the packages of the group "unit" are installed."""
    return pytest.importorskip("jsonschema")


def accepts(document: Any) -> bool:
    value, _ = decode(json.dumps(document))
    return not find_errors(load_schema(), value)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [place for token, member in members for place in places(member, (*path, token))]


def replace(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    target = changed
    for token in path[:-1]:
        target = target[token]
    target[path[-1]] = value
    return changed


def test_valid_document_has_no_error() -> None:
    assert accepts(VALID)
    assert accepts({})


@pytest.mark.parametrize("path", places(VALID), ids=lambda path: "/".join(map(str, path)) or "document")
def test_every_value_in_every_place_is_valid_if_it_is_for_the_reference(path: tuple[Any, ...], reference: Any) -> None:
    formats = reference.FormatChecker(["date-time"])
    validator = reference.Draft202012Validator(load_schema(), format_checker=formats)
    counts = {True: 0, False: 0}
    for value in VALUES:
        document = replace(VALID, path, value)
        expected = validator.is_valid(document)
        assert accepts(document) is expected, value
        counts[expected] += 1
    assert counts[True]


def test_all_errors_of_a_document_are_found() -> None:
    random.seed(0)
    for _ in range(300):
        document = VALID
        paths = random.sample([path for path in places(VALID) if len(path) == 1], 3)
        values = random.choices(VALUES, k=3)  # noqa: S311
        for path, value in zip(paths, values, strict=True):
            document = replace(document, path, value)
        value, _ = decode(json.dumps(document))
        found = {pointer.split("/")[1] for pointer, _ in find_errors(load_schema(), value)}
        expected = {path[0] for path, value in zip(paths, values, strict=True) if not accepts({path[0]: value})}
        assert found == expected


@pytest.mark.parametrize(
    ("schema", "text", "message"),
    [
        ({"type": "string"}, "1", "expected a string, found an integer"),
        ({"type": "string"}, "1.5", "expected a string, found a number"),
        ({"type": "object"}, "null", "expected an object, found null"),
        ({"type": "array"}, '""', "expected an array, found a string"),
        ({"type": "integer"}, "true", "expected an integer, found a boolean"),
        ({"type": "integer"}, "[]", "expected an integer, found an array"),
        ({"type": "string"}, "{}", "expected a string, found an object"),
        ({"const": 1}, "2", "expected 1"),
        ({"minimum": 0}, "-0.5", "expected at least 0"),
        ({"maxLength": 2}, '"abc"', "expected at most 2 characters, found 3"),
        ({"maxItems": 1}, "[1, 2]", "expected at most 1 items, found 2"),
        ({"maxProperties": 1}, '{"a": 1, "b": 2}', "expected at most 1 names, found 2"),
    ],
)
def test_error_message_states_the_expected_value(schema: dict[str, Any], text: str, message: str) -> None:
    assert find_errors(schema, decode(text)[0]) == [("", message)]


@pytest.mark.parametrize("value", ["0" * 64 + "\n", "\n" + "0" * 64])
def test_pattern_does_not_match_before_trailing_newline(value: str) -> None:
    """As in ECMA-262; in Python, ``$`` also matches before a trailing newline."""
    schema = load_schema()["properties"]["files"]["items"]["properties"]["sha256"]
    assert find_errors(schema, "0" * 64) == []
    assert find_errors(schema, value) == [("", "expected text that matches ^[0-9A-Fa-f]{64}$")]


@pytest.mark.parametrize("schema", [{"enum": [1]}, {"type": "number"}, {"format": "email"}])
def test_schema_beyond_the_supported_part_raises(schema: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        find_errors(schema, "a")


def test_schema_is_valid_json_schema(reference: Any) -> None:
    reference.Draft202012Validator.check_schema(load_schema())
