"""Values as DynamoDB's low-level API spells them, and what they weigh in an item."""

from decimal import Decimal
from typing import Any

from handler.domain import JSON


def serialize(value: JSON) -> dict[str, Any]:
    """A value as DynamoDB's low-level API spells it; numbers keep every digit."""
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case dict():
            return {"M": {name: serialize(member) for name, member in value.items()}}
    return {"L": [serialize(member) for member in value]}


def measure(value: JSON) -> int:
    """The bytes that a value takes in an item, rounded up where AWS gives no exact figure.

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
