"""A validator for the part of JSON Schema 2020-12 that ``metadata.schema.json`` uses. Pure.

It finds all errors at once. A library would add 15 MB to the package or 200 ms to each cold start, or stop at the
first error. A keyword that is not implemented here raises KeyError, so that none is ignored.

https://json-schema.org/draft/2020-12/json-schema-validation
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from run_recorder.domain import JSON
from run_recorder.json_document import ERRORS_SOUGHT, RelativeError, pointer

Schema = Mapping[str, Any]

_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
# The first type that matches is the type of a value. Booleans come before integers, because ``bool`` is a subclass
# of ``int`` in Python. Integers come before numbers, because JSON Schema counts every number without a fractional
# part as an integer, also a ``Decimal`` such as 1E+40. The order of the other types has no effect.
_TYPES: dict[str, Callable[[JSON], bool]] = {
    "a string": lambda value: isinstance(value, str),
    "an object": lambda value: isinstance(value, dict),
    "an array": lambda value: isinstance(value, list),
    "a boolean": lambda value: isinstance(value, bool),
    "an integer": lambda value: isinstance(value, int | Decimal) and value == int(value),
    "a number": lambda value: isinstance(value, Decimal),
    "null": lambda value: value is None,
}
_TYPE_NAMES = {"string": "a string", "object": "an object", "array": "an array", "integer": "an integer"}


def find_errors(schema: Schema, value: JSON) -> list[RelativeError]:
    """Return at most `ERRORS_SOUGHT` errors of a value, each with its place relative to the value."""
    errors = (error for keyword, argument in schema.items() for error in _KEYWORDS[keyword](argument, value))
    return list(islice(errors, ERRORS_SOUGHT))


def _error(message: str) -> list[RelativeError]:
    return [("", message)]


def _type(name: str, value: JSON) -> Iterable[RelativeError]:
    found = next(kind for kind, matches in _TYPES.items() if matches(value))
    expected = _TYPE_NAMES[name]
    return () if found == expected else _error(f"expected {expected}, found {found}")


def _const(expected: JSON, value: JSON) -> Iterable[RelativeError]:
    return () if value == expected else _error(f"expected {expected}")


def _minimum(limit: int, value: JSON) -> Iterable[RelativeError]:
    is_less = isinstance(value, int | Decimal) and value < limit
    return _error(f"expected at least {limit}") if is_less else ()


def _min_length(limit: int, value: JSON) -> Iterable[RelativeError]:
    is_short = isinstance(value, str) and len(value) < limit
    return _error(f"expected at least {limit} character") if is_short else ()


def _max_length(limit: int, value: JSON) -> Iterable[RelativeError]:
    is_long = isinstance(value, str) and len(value) > limit
    return _error(f"expected at most {limit} characters, found {len(value)}") if is_long else ()


def _pattern(expression: str, value: JSON) -> Iterable[RelativeError]:
    # In ECMA-262, whose expressions JSON Schema uses, "$" does not match before a trailing newline.
    is_other = isinstance(value, str) and not re.search(expression.replace("$", r"\Z"), value)
    return _error(f"expected text that matches {expression}") if is_other else ()


def _format(name: str, value: JSON) -> Iterable[RelativeError]:
    is_other = isinstance(value, str) and not _FORMATS[name](value)
    return _error(f"expected an RFC 3339 {name} such as 2026-11-20T08:30:00Z") if is_other else ()


def _not(schema: Schema, value: JSON) -> Iterable[RelativeError]:
    return () if find_errors(schema, value) else _error(f"must not have {schema['description']}")


def _required(names: list[str], value: JSON) -> Iterable[RelativeError]:
    missing = [name for name in names if name not in value] if isinstance(value, dict) else []
    return [(pointer(name), "required, but missing") for name in missing]


def _properties(schemas: Mapping[str, Schema], value: JSON) -> Iterable[RelativeError]:
    present = schemas.keys() & value.keys() if isinstance(value, dict) else ()
    return _inside((name, schemas[name], value[name]) for name in schemas if name in present)


def _additional_properties(schema: Schema, value: JSON) -> Iterable[RelativeError]:
    members = value.items() if isinstance(value, dict) else ()
    return _inside((name, schema, member) for name, member in members)


def _items(schema: Schema, value: JSON) -> Iterable[RelativeError]:
    members = enumerate(value) if isinstance(value, list) else ()
    return _inside((index, schema, member) for index, member in members)


def _max_properties(limit: int, value: JSON) -> Iterable[RelativeError]:
    is_large = isinstance(value, dict) and len(value) > limit
    return _error(f"expected at most {limit} names, found {len(value)}") if is_large else ()


def _max_items(limit: int, value: JSON) -> Iterable[RelativeError]:
    is_large = isinstance(value, list) and len(value) > limit
    return _error(f"expected at most {limit} items, found {len(value)}") if is_large else ()


def _inside(members: Iterable[tuple[str | int, Schema, JSON]]) -> Iterable[RelativeError]:
    return (
        (pointer(token, rest), message)
        for token, schema, member in members
        for rest, message in find_errors(schema, member)
    )


def _annotation(_text: str, _value: JSON) -> Iterable[RelativeError]:
    return ()


def _is_date_time(text: str) -> bool:
    match = _DATE_TIME.fullmatch(text)
    if not match:
        return False
    try:
        datetime.fromisoformat(f"{match[1]}T{match[2]}")
    except ValueError:
        return False
    return int(match[3]) <= 60  # RFC 3339 allows leap seconds, `datetime` does not


_FORMATS = {"date-time": _is_date_time}
_KEYWORDS: dict[str, Callable[[Any, JSON], Iterable[RelativeError]]] = {
    "$schema": _annotation,
    "title": _annotation,
    "description": _annotation,
    "type": _type,
    "const": _const,
    "minimum": _minimum,
    "minLength": _min_length,
    "maxLength": _max_length,
    "pattern": _pattern,
    "format": _format,
    "not": _not,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "items": _items,
    "maxProperties": _max_properties,
    "maxItems": _max_items,
}
