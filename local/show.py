"""What a person sees of the local stack."""

from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from rich.console import Console
from rich.markup import escape

console = Console(highlight=False)

# As the README's table has them.
_ATTRIBUTES = [
    "organisation_id",
    "run_id",
    "status",
    "errors",
    "sequencer",
    "uploaded_at",
    "version_id",
    "etag",
    "bucket",
    "key",
    "config",
    "config_sha256",
    "source",
    "name",
    "created_at",
    "created_by",
    "tags",
    "first_recorded_at",
    "recorded_at",
]

_COLOURS = {"recorded": "green", "duplicate": "dim", "stale": "dim", "ignored": "yellow"}


def chapter(title: str) -> None:
    """Starts a part of the story."""
    console.print()
    console.rule(f"[bold]{title}", align="left")


def step(text: str) -> None:
    """One thing that happens."""
    console.print(f"[cyan]→[/] {escape(text)}", soft_wrap=True)


def document(value: Any, title: str, colour: str = "bold") -> None:  # noqa: ANN401 - any JSON value
    """A JSON document under a title."""
    console.print(f"[cyan]→[/] [{colour}]{title}")
    console.print_json(data=value, default=_number)


def record(item: dict[str, Any]) -> None:
    """An item of the table, given in DynamoDB's low-level spelling."""
    deserialize = TypeDeserializer().deserialize
    plain = {name: deserialize(item[name]) for name in _ATTRIBUTES if name in item}
    status = plain["status"]
    document(plain, f"the record in DynamoDB: {status}", _COLOURS.get(status, "red"))


def outcome(line: dict[str, Any]) -> None:
    """What the function logged of one upload, or of a message that it refused."""
    colour = _COLOURS.get(line["outcome"], "red")
    place = line.get("key") or f"message {line['message_id']}"
    reason = f": {line['reason']}" if "reason" in line else ""
    console.print(f"[cyan]→[/] [{colour}]{line['outcome']}[/] {escape(place + reason)}", soft_wrap=True)


def _number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)
