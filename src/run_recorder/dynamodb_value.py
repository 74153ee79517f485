"""Values in the format of DynamoDB's low-level API, and their size in an item."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from run_recorder.domain import JSON
from run_recorder.errors import FieldError

# An item may have 400 KiB. The difference is for the attributes of the latest upload, and for the errors of a
# later one.
_MAX_ACCEPTED_BYTES = 384 * 1024

# Shared between values, because an item may hold hundreds of thousands of them.
_NULL, _TRUE, _FALSE = {"NULL": True}, {"BOOL": True}, {"BOOL": False}
_EMPTY_TEXT: dict[str, Any] = {"S": ""}
_EMPTY_MAP: dict[str, Any] = {"M": {}}
_EMPTY_LIST: dict[str, Any] = {"L": []}


def serialize(value: JSON) -> dict[str, Any]:
    """Return a value in the format of DynamoDB's low-level API, with every digit of its numbers.

    The result is read-only: its parts may be shared.
    """
    match value:
        case str():
            return {"S": value} if value else _EMPTY_TEXT
        case bool():
            return _TRUE if value else _FALSE
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return _NULL
        case dict():
            return {"M": {name: serialize(member) for name, member in value.items()}} if value else _EMPTY_MAP
    return {"L": [serialize(member) for member in value]} if value else _EMPTY_LIST


def deserialize(attribute: Mapping[str, Any]) -> JSON:
    """Return the value of an attribute in the format of DynamoDB's low-level API, with every digit of its numbers."""
    ((kind, value),) = attribute.items()
    match kind:
        case "M":
            return {name: deserialize(member) for name, member in value.items()}
        case "L":
            return [deserialize(member) for member in value]
        case "N":
            return int(value) if value.lstrip("-").isdecimal() else Decimal(value)
        case "NULL":
            return None
    return value


def measure(value: JSON) -> int:
    """Return the size of a value in an item in bytes, rounded up where AWS gives no exact figure.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    match value:
        case str():
            return len(value.encode())
        case None | bool():
            return 1
        case int() | Decimal():
            return 21
        case dict():
            return 3 + sum(1 + len(name.encode()) + measure(member) for name, member in value.items())
    return 3 + sum(1 + measure(member) for member in value)


def check_size(accepted: JSON) -> list[FieldError]:
    """Return an error if the attributes of an accepted upload are too large for a record; else none."""
    size = measure(accepted)
    if size <= _MAX_ACCEPTED_BYTES:
        return []
    message = f"takes {size} bytes of the record, which holds {_MAX_ACCEPTED_BYTES}: shorten parameters or tags"
    return [FieldError("", message)]
