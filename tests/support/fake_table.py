"""DynamoDB in memory: the table of records, and the requests that the recorder sends. It refuses what no item can hold.

Conditions of writes are not evaluated: a test states which writes are refused.
"""

from decimal import Decimal
from typing import Any, Self
from unittest.mock import MagicMock

from run_recorder.domain import Run
from run_recorder.dynamodb_value import serialize
from tests.support.fake_s3 import client_error
from tests.support.names import TABLE

Item = dict[str, Any]


class FakeTable:
    """A table, asked as boto3's client is.

    Attributes:
        items: the records by their runs, as DynamoDB's low-level API spells them.
        writes: the requests of all UpdateItem calls.
        refusals: for each of the next writes what refuses it: the record that it meets as plain values, an
            empty one for none, or None to accept the write. Further writes are accepted.
        reads: how often a record was read.
    """

    def __init__(self) -> None:
        self.items: dict[Run, Item] = {}
        self.writes: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any] | None] = []
        self.reads = 0

    def answer(self, client: MagicMock) -> Self:
        """Answer the requests of an autospecced client; return this table."""
        client.get_item.side_effect = self.get_item
        client.update_item.side_effect = self.update_item
        return self

    def get_item(self, *, TableName: str, Key: Item, ConsistentRead: bool) -> dict[str, Any]:  # noqa: N803
        """Return the record, if there is one."""
        assert (TableName, ConsistentRead) == (TABLE, True)
        self.reads += 1
        run = _identify(Key)
        return {"Item": self.items[run]} if run in self.items else {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        """Set and remove the attributes that the request names."""
        assert request["TableName"] == TABLE
        self.writes.append(request)
        refused = self.refusals.pop(0) if self.refusals else None
        if refused is not None:
            found = {"Item": item_of(refused)} if refused else {}
            raise client_error("ConditionalCheckFailedException", **found)
        run = _identify(request["Key"])
        item = {**self.items.get(run, {}), **request["Key"], **parse_update(request)}
        item = {name: value for name, value in item.items() if value is not None}
        assert sum(len(name.encode()) + _weigh(value) for name, value in item.items()) <= 400 * 1024
        self.items[run] = item
        return {}


def parse_update(request: dict[str, Any]) -> Item:
    """Return the attributes that an UpdateItem request sets; None for those that it removes."""
    sets, _, removes = request["UpdateExpression"].partition(" REMOVE ")
    assignments = [term.split(" = ", 1) for term in sets.removeprefix("SET #").split(", #")]
    values = request["ExpressionAttributeValues"]
    attributes = {name: values[value] for name, value in assignments if value in values}
    return attributes | dict.fromkeys(name.removeprefix("#") for name in removes.split(", ") if name)


def item_of(record: dict[str, Any]) -> Item:
    """Return a record as DynamoDB's low-level API spells it."""
    return {name: serialize(value) for name, value in record.items()}


def _identify(key: Item) -> Run:
    assert set(key) == {"organisation_id", "run_id"}
    return Run(key["organisation_id"]["S"], key["run_id"]["S"])


def _weigh(attribute: Item, level: int = 1) -> int:
    """The bytes of an attribute value that DynamoDB takes as it is.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    assert level <= 32
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            number = Decimal(value)
            digits = len(number.as_tuple().digits)
            assert digits <= 38
            assert not number or -130 <= number.adjusted() <= 125
            return 1 + (digits + 1) // 2
        case "M":
            assert all(1 <= len(name.encode()) <= 65_535 for name in value)
            return 3 + sum(1 + len(name.encode()) + _weigh(member, level + 1) for name, member in value.items())
        case "L":
            return 3 + sum(1 + _weigh(member, level + 1) for member in value)
    return 1
