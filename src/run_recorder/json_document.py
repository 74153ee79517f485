"""JSON text, converted to values and back exactly: no number is converted to a float. Pure.

Values that a DynamoDB item cannot hold exactly are errors. Limits:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice

from run_recorder.domain import JSON
from run_recorder.errors import FieldError, InvalidMetadataError

MAX_ERRORS = 20
"""The maximum number of errors of a document that are reported."""
ERRORS_SOUGHT = MAX_ERRORS + 1
"""The maximum number of errors that are searched for: one more than are reported, to detect that there are more."""

_MAX_DIGITS = 38
_MAX_EXPONENT = 125
_MIN_EXPONENT = -130
_MAX_NAME_BYTES = 65_535
# DynamoDB counts an attribute as level 1. With the root of the document as level 1, no value has a higher level
# in the record than in the document.
_MAX_LEVEL = 32

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_encode_scalar = json.JSONEncoder(ensure_ascii=False).encode

RelativeError = tuple[str, str]
"""The place of an error, as a JSON Pointer relative to the value that was checked, and its message."""


class _BadNumber(int):
    """A number that cannot be recorded, as the integer 0 with the error, so that it still has the type of a number."""

    error: str


class _Repetitive(dict[str, JSON]):
    """An object in which names occur more than once; it holds the last value of each."""

    __slots__ = ("repeated",)

    repeated: list[str]


def decode(text: bytes | str) -> tuple[JSON, list[FieldError]]:
    """Decode one JSON document.

    Args:
        text: the document; bytes are UTF-8, with or without a byte order mark.

    Returns:
        The value, with whole numbers as ``int`` and others as ``Decimal``, and at most `ERRORS_SOUGHT`
        errors of values that the record cannot hold exactly: repeated or empty names, ``NaN``
        and ``Infinity``, numbers outside DynamoDB's range, lone surrogates, more than 32 levels.

    Raises:
        InvalidMetadataError: the text is not UTF-8, not JSON, or nested too deeply to be read.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _invalid(f"not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}") from error
    value = _parse(decoded)
    error_free: frozenset[type] = frozenset({int, bool, Decimal, type(None)})
    if not _SURROGATE_ESCAPE.search(decoded):
        error_free |= {str}
    errors = () if type(value) in error_free else _find_errors(value, error_free, level=1)
    return value, [FieldError(*error) for error in islice(errors, ERRORS_SOUGHT)]


def encode(value: JSON) -> str:
    """Return canonical JSON, in which equal values have equal texts.

    Names are sorted by code point, numbers are in plain decimal notation, and there are no spaces and
    only the escapes that JSON requires.
    """
    if isinstance(value, str):
        return _encode_scalar(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{_encode_scalar(name)}:{encode(value[name])}" for name in sorted(value)]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([encode(member) for member in value]) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _encode_scalar(value)


def pointer(token: str | int, rest: str = "") -> str:
    """Return the JSON Pointer (RFC 6901) that starts with this reference token."""
    return "/" + str(token).replace("~", "~0").replace("/", "~1") + rest


def _parse(text: str) -> JSON:
    """Return the value of a JSON document, in which a `_BadNumber` or a `_Repetitive` marks an error."""
    try:
        return json.loads(
            text,
            parse_int=_parse_number,
            parse_float=_parse_number,
            parse_constant=_parse_constant,
            object_pairs_hook=_parse_object,
        )
    except json.JSONDecodeError as error:
        raise _invalid(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise _invalid(f"nested deeper than the {_MAX_LEVEL} levels that can be recorded") from error


def _invalid(message: str) -> InvalidMetadataError:
    return InvalidMetadataError([FieldError("", message)])


def _parse_object(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    counts = Counter(name for name, _ in pairs)
    repetitive = _Repetitive(value)
    repetitive.repeated = [name for name, count in counts.items() if count > 1]
    return repetitive


def _parse_constant(text: str) -> _BadNumber:
    return _bad_number(f"{text} is not a JSON number")


def _parse_number(text: str) -> int | Decimal:
    """Return a number in normal form, in which equal numbers have equal texts and hashes."""
    if len(text) <= _MAX_DIGITS and text.removeprefix("-").isdigit():
        return int(text)
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.removeprefix("-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return 0
    significant = digits.rstrip("0")
    if len(significant) > _MAX_DIGITS:
        return _bad_number(f"a number of {len(significant)} significant digits; DynamoDB keeps {_MAX_DIGITS}")
    power = exponent.lstrip("+-").lstrip("0")
    # A longer exponent is out of range in any case, and int() limits the number of digits.
    scale = int(exponent or 0) if len(power) < 10 else 10**9
    magnitude = scale - len(fraction) + len(digits) - 1
    if not _MIN_EXPONENT <= magnitude <= _MAX_EXPONENT:
        return _bad_number("a number beyond DynamoDB's range of 1E-130 to 9.99E+125")
    number = Decimal(f"{sign}{significant}E{magnitude - len(significant) + 1}")
    is_whole = magnitude < _MAX_DIGITS and number == number.to_integral_value()
    return int(number) if is_whole else number


@functools.lru_cache
def _bad_number(error: str) -> _BadNumber:
    """Return the object for an error; cached, because a document may contain a great many bad numbers."""
    number = _BadNumber()
    number.error = error
    return number


def _find_errors(value: JSON, error_free: frozenset[type], level: int) -> Iterator[RelativeError]:
    """Yield the errors of a value, one by one: a document may have more errors than fit into memory.

    Most documents have no errors. Values of the types in ``error_free`` are therefore skipped without a
    call, and a pointer is built from its end, and only for an error.
    """
    if isinstance(value, _BadNumber):
        yield "", value.error
    elif isinstance(value, str):
        if _SURROGATE.search(value):
            yield "", "a lone surrogate, which is not Unicode text"
    elif value and level == _MAX_LEVEL:
        yield "", f"nested deeper than the {_MAX_LEVEL} levels that can be recorded"
    else:
        if isinstance(value, dict):
            yield from _find_name_errors(value, error_free)
        members: Iterable[tuple[str | int, JSON]] = value.items() if isinstance(value, dict) else enumerate(value)
        for token, member in members:
            if type(member) not in error_free:
                for rest, text in _find_errors(member, error_free, level + 1):
                    yield pointer(token, rest), text


def _find_name_errors(value: dict[str, JSON], error_free: frozenset[type]) -> Iterator[RelativeError]:
    if isinstance(value, _Repetitive):
        for name in value.repeated:
            yield pointer(name), "the name occurs more than once in its object"
    if "" in value:
        yield pointer(""), "an empty name, which DynamoDB cannot keep"
    for name in value:
        if len(name) * 4 > _MAX_NAME_BYTES and len(name.encode("utf-8", "replace")) > _MAX_NAME_BYTES:
            yield pointer(name), f"a name of more than {_MAX_NAME_BYTES} bytes, which DynamoDB cannot keep"
        if str not in error_free and _SURROGATE.search(name):
            yield pointer(name), "the name has a lone surrogate, which is not Unicode text"
