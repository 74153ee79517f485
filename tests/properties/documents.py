"""Properties of any document, checked with an independent implementation of the rules by libraries."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation, Overflow, Underflow
from typing import Any

import jsonschema
from boto3.dynamodb.types import TypeSerializer

from run_recorder.domain import RECORDED_FIELDS, DeclaredFile, Metadata, Model, Run
from run_recorder.dynamodb_value import serialize
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.json_document import decode, encode
from run_recorder.metadata import load_schema, parse_metadata
from tests.support.names import RUN

_EXACT = Context(prec=2_000_000, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation, Overflow, Underflow])


def check_document(body: bytes) -> bool:
    """Check that a document is accepted exactly if it is valid, and then parsed without loss; return whether it is."""
    try:
        metadata, errors = parse_metadata(body, RUN)
    except InvalidMetadataError as error:
        metadata, errors = Metadata(), list(error.errors)
    expected = read_document(body, RUN)
    assert bool(errors) is (expected is None), errors
    check_errors(errors)
    if expected is None:
        return False
    assert metadata == _expected_metadata(expected)
    value, _ = decode(body)
    assert comparable(serialize(value)) == comparable(TypeSerializer().serialize(expected))
    assert decode(encode(value)) == (value, [])
    return True


def check_errors(errors: list[FieldError]) -> None:
    """Check that there is at most one error more than are stored, and that each is a text of limited length."""
    assert len(errors) <= 21
    for error in errors:
        assert error.path == "" or error.path.startswith("/")
        assert 1 <= len(error.message.encode()) <= 200
        assert len(error.path.encode()) <= 200


def _expected_metadata(document: dict[str, Any]) -> Metadata:
    model = document.get("model")
    return Metadata(
        **{name: document.get(name) for name in RECORDED_FIELDS},
        model=Model(model["name"], model.get("version")) if model else None,
        parameters=document.get("parameters", {}),
        files=tuple(
            DeclaredFile(index, file["path"], file.get("size")) for index, file in enumerate(document.get("files", []))
        ),
    )


def read_document(body: bytes, run: Run) -> dict[str, Any] | None:
    """Return the document as libraries parse it; None if it must be rejected."""
    try:
        document = json.loads(
            body.decode().removeprefix("\ufeff"),
            parse_int=_read_number,
            parse_float=_read_number,
            parse_constant=_refuse,
            object_pairs_hook=_read_object,
        )
        json.dumps(document, ensure_ascii=False, default=str).encode()
        _make_validator().validate(document)
    except (ValueError, ArithmeticError, RecursionError, jsonschema.ValidationError):
        return None
    stated = Run(document.get("organisation_id", run.organisation_id), document.get("run_id", run.run_id))
    return document if stated == run and _depth(document) <= 32 else None


@functools.cache
def _make_validator() -> jsonschema.protocols.Validator:
    """Return the validator of jsonschema for decimals, with leap seconds, and with "$" as in ECMA-262."""
    library_formats = jsonschema.FormatChecker(["date-time"])
    formats = jsonschema.FormatChecker([])

    def is_date_time(value: Any) -> bool:
        if not isinstance(value, str):
            return True
        return "\n" not in value and library_formats.conforms(re.sub("^(.{17})60", r"\g<1>59", value), "date-time")

    formats.checks("date-time")(is_date_time)

    def is_integer(_checker: jsonschema.TypeChecker, value: Any) -> bool:
        return isinstance(value, Decimal) and value == value.to_integral_value()

    def matches(_: Any, pattern: str, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
        if isinstance(value, str) and not re.search(pattern.replace("$", r"\Z"), value):
            yield jsonschema.ValidationError(pattern)

    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", is_integer)
    validator = jsonschema.validators.extend(base, {"pattern": matches}, type_checker=checker)
    return validator(load_schema(), format_checker=formats)


def _refuse(text: str) -> None:
    raise ValueError(text)


def _read_number(text: str) -> Decimal:
    number = _EXACT.create_decimal(text).normalize(_EXACT)
    if len(number.as_tuple().digits) > 38 or not -130 <= number.adjusted() <= 125:
        raise ValueError(text)
    return number or Decimal(0)  # which has no sign


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs) or not all(1 <= len(name.encode()) <= 65_535 for name in value):
        raise ValueError("a name that is repeated, empty or too long")
    return value


def _depth(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, members), default=0)


def comparable(attribute: Mapping[str, Any]) -> Any:
    """Return a low-level attribute value in which numbers of the same value are equal, whatever their notation."""
    ((kind, value),) = attribute.items()
    match kind:
        case "M":
            return {name: comparable(member) for name, member in value.items()}
        case "L":
            return [comparable(member) for member in value]
    return kind, Decimal(value) if kind == "N" else value
