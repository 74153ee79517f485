"""The standard output of the commands."""

import codecs
import io
import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from run_recorder.domain import JSON, Run
from run_recorder.errors import FieldError
from run_recorder.json_document import encode

_LONG = 10_000
_INDENT = "    "
_TIME = len("2026-11-20T08:30:00.000000Z")  # is not folded


def escape_missing_characters() -> None:
    """Print each character that the encoding of a console lacks as JSON escapes it: ``\\u6e2c``.

    Otherwise the command would end with an error. JSON stays JSON, with the same value.
    """
    codecs.register_error("json", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="json")


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end]).strip('"'), error.end


def echo_json(value: JSON) -> None:
    """Print a JSON document on one line; its numbers keep every digit, and a terminal can obey none of its texts."""
    text = encode(value)
    click.echo(text if text.isprintable() else "".join(map(_escape_in_json, text)))


def echo_attributes(attributes: Iterable[tuple[str, str]]) -> None:
    """Print names and values in two columns; long ones are folded on a terminal only."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("attribute")
    table.add_column("value", min_width=_TIME)
    for cells in attributes:
        table.add_row(*[Text(printable(cell), overflow="fold") for cell in cells])
    console = Console(highlight=False, width=_width())
    with console.capture() as capture:
        console.print(table)
    # Not by the console, which would end the process by itself if a pipe is closed.
    click.echo(capture.get(), nl=False)


def echo_indented(text: str) -> None:
    """Print a text that belongs to the line before it, indented; long texts are folded on a terminal only."""
    echo_folded(printable(text), _INDENT, _INDENT)


def echo_folded(text: str, first: str = "", indent: str = "") -> None:
    """Print a text that is safe for a terminal; long texts are folded on a terminal only.

    Args:
        text: the text.
        first: what is before it on its line; it may have colours.
        indent: what is before the further lines, as wide as ``first``.
    """
    width = max(_width(), len(indent) + _TIME)
    lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    for number, line in enumerate(lines):
        click.echo(line if number else first + line[len(indent) :])


def _width() -> int:
    """Return the width of the terminal; if standard output is none, a width at which hardly anything is folded."""
    console = Console()
    return console.width if console.is_terminal else _LONG


def count(number: int, one: str, many: str) -> str:
    """Return a number with the noun for it, in the singular or the plural: ``1 message``, ``2 messages``."""
    return f"{number:,} {one if number == 1 else many}"


def printable(text: str) -> str:
    """Return a text of unknown origin, such as a key, in a form that is safe for a terminal."""
    return text if text.isprintable() else repr(text)


def one_line(text: str) -> str:
    """Return a message of several sources on one line, with what a terminal could obey as Python's escapes."""
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)


def name_of(run: Run) -> str:
    """Return the name of a run, as commands take it: ``ORG/RUN``."""
    return run.path.removesuffix("/")


def echo_errors(name: str, errors: Iterable[FieldError], *, is_truncated: bool = False) -> None:
    """Print the errors of a document or a folder, one on each line."""
    for error in errors:
        click.echo(f"{printable(name)}: {line_of(error)}")
    if is_truncated:
        click.echo(f"{printable(name)}: more errors may follow")


def echo_warning(name: str, warning: FieldError) -> None:
    """Print a warning on standard error."""
    click.echo(f"{printable(name)}: warning: {line_of(warning)}", err=True)


def to_json(errors: Iterable[FieldError]) -> list[JSON]:
    """Return errors or warnings as JSON."""
    return [{"path": error.path, "message": error.message} for error in errors]


def _escape_in_json(character: str) -> str:
    if character.isprintable():
        return character
    return r"\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def line_of(error: FieldError) -> str:
    """Return an error with its place, on one line."""
    return f"{printable(error.path) or 'document'}: {printable(error.message)}"


def describe_errors(errors: Sequence[FieldError], *, is_truncated: bool = False) -> str:
    """Return the first error, and how many there are."""
    total = f"more than {len(errors)}" if is_truncated else f"{len(errors)}"
    return line_of(errors[0]) + (f" (first of {total} errors)" if total != "1" else "")


def flatten(value: JSON, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of a value, each after the names on the path to it, joined by dots."""
    members: Mapping[Any, JSON] = {}
    if isinstance(value, dict):
        members = value
    elif isinstance(value, list):
        members = dict(enumerate(value))
    if not members:
        yield name, value if isinstance(value, str) else encode(value)
    for key, member in members.items():
        yield from flatten(member, f"{name}.{key}" if name else str(key))
