"""The output of the local stack on the terminal."""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.markup import escape

from run_recorder.domain import Outcome
from run_recorder.record_state import RECORD_ATTRIBUTES

console = Console(highlight=False)

COLOURS = {
    Outcome.RECORDED: "green",
    Outcome.REJECTED: "red",
    Outcome.PENDING: "yellow",
    Outcome.DUPLICATE: "dim",
    Outcome.STALE: "dim",
    Outcome.IGNORED: "yellow",
    Outcome.FAILED: "red",
}
"""The colour of each outcome, which is that of a record in this status, too."""

_ERRORS = 3
_TIMES = {"uploaded_at", "recorded_at"}


def chapter(title: str) -> None:
    """Start a part of the story."""
    console.print()
    console.rule(f"[bold]{title}", align="left")


def step(text: str) -> None:
    """Show one thing that happens."""
    console.print(f"[cyan]→[/] {escape(text)}", soft_wrap=True)


def document(value: Any, title: str, colour: str = "bold") -> None:  # noqa: ANN401 - any JSON value
    """Show a JSON document under a title."""
    console.print(f"[cyan]→[/] [{colour}]{title}")
    console.print(JSONHighlighter()(_layout(value, 0)), soft_wrap=True)


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item, given in DynamoDB's low-level spelling, without DynamoDB's type names."""
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}


def record(item: dict[str, Any]) -> None:
    """Show a record in full."""
    status = item["status"]
    ordered = {name: item[name] for name in RECORD_ATTRIBUTES if name in item}
    document(ordered, f"the record in DynamoDB: {status}", COLOURS[status])


def changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Show what differs between two records, but for the errors and the times."""
    old, new = dict(_flatten(before)), dict(_flatten(after))
    changed = [
        f"{path}: {_dump(value)}"
        for path, value in new.items()
        if value != old.get(path) and path not in {"errors", *_TIMES}
    ]
    removed = [f"{path} removed" for path in old if path not in new]
    console.print("[cyan]→[/] [bold]what changes in the record")
    for line in _fill([*changed, *removed], 2):
        console.print(f"  {escape(line)}", soft_wrap=True)


def outcome(line: dict[str, Any], before: str) -> None:
    """Show what the function logged of one upload, or of a message that it refused, after a time or a place."""
    colour = COLOURS[line["outcome"]]
    place = line.get("key") or f"message {line['message_id']}"
    reason = f": {line['reason']}" if "reason" in line else ""
    console.print(f"[cyan]→[/] {before}[{colour}]{line['outcome']}[/] {escape(place + reason)}", soft_wrap=True)


def errors(found: list[dict[str, Any]]) -> None:
    """Show the first of a document's errors."""
    for error in found[:_ERRORS]:
        console.print(f"  {escape(error['path'] or 'the document')}: {escape(error['message'])}", soft_wrap=True)
    if len(found) > _ERRORS:
        console.print(f"  … and {len(found) - _ERRORS} more")


def failure(message: str) -> int:
    """Print an error on one line and return the exit status of a failure."""
    print(f"error: {message}", file=sys.stderr)
    return 1


def _flatten(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is not itself an object, with the dotted path to it."""
    for name, member in value.items():
        if isinstance(member, dict):
            yield from _flatten(member, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", member


def _layout(value: Any, indent: int) -> str:  # noqa: ANN401 - any JSON value
    """Return a value as JSON, with as many members on a line as fit on the screen."""
    text = _dump(value)
    if indent + len(text) < console.width or not isinstance(value, dict | list):
        return text
    if isinstance(value, dict):
        members = [f"{_dump(name)}: {_layout(member, indent + 2)}" for name, member in value.items()]
    else:
        members = [_layout(member, indent + 2) for member in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    margin = " " * indent
    return "\n".join([start, *(f"{margin}  {line}" for line in _fill(members, indent + 2)), margin + end])


def _fill(members: list[str], indent: int) -> list[str]:
    """Return lines, each with as many members as fit; one that has several lines has them to itself."""
    lines = members[:1]
    for member in members[1:]:
        together = f"{lines[-1]}, {member}"
        if "\n" in together or indent + len(together) >= console.width:
            lines[-1] += ","
            lines.append(member)
        else:
            lines[-1] = together
    return lines


def _dump(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, default=_number, ensure_ascii=False)


def _number(value: Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)
