"""`list`: the records of an organisation or of all, newest first."""

from collections.abc import Iterable, Iterator
from itertools import islice

import click

from run_recorder.cli.command import (
    Command,
    json_lines_option,
    optional_organisation_argument,
    stack_options,
)
from run_recorder.cli.newest_records import Selection, find_newest, run_of
from run_recorder.cli.output import describe_errors, echo_indented, echo_json, name_of, printable, to_json
from run_recorder.cli.record_options import since_option, status_option
from run_recorder.cli.records import Records
from run_recorder.cli.stack import Stack
from run_recorder.consumer.run_reader import RunRecord
from run_recorder.domain import Outcome, Run
from run_recorder.dynamodb_value import deserialize
from run_recorder.keys import parse_name
from run_recorder.record_batches import read_many
from run_recorder.record_state import Item
from run_recorder.runs import RunTable

_AT_ONCE = 100  # the maximum of BatchGetItem
_LINE = "{:<20}  {:<8}  {}"


def _parse_start(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, Run] | None:
    if value is None:
        return None
    recorded_at, _, name = value.partition("/")
    run = parse_name(name)
    if not recorded_at or run is None:
        raise click.BadParameter("expected TIME/ORG/RUN, as printed after the previous page")
    return recorded_at, run


@click.command("list", cls=Command, short_help="List records, newest first.")
@optional_organisation_argument
@status_option
@since_option
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="Length of a page.")
@click.option("--all", "everything", is_flag=True, help="Show all records, not one page.")
@click.option(
    "--start-after", metavar="TIME/ORG/RUN", callback=_parse_start, help="Show the page that follows this record."
)
@click.option("--full", is_flag=True, help="With --json, print whole records.")
@stack_options
@json_lines_option
def list_runs(
    stack: Stack,
    *,
    organisation: str | None,
    status: str | None,
    since: str | None,
    limit: int,
    everything: bool,
    start_after: tuple[str, Run] | None,
    full: bool,
    as_json: bool,
) -> None:
    """List the records of all organisations, or of the organisation ORG, the newest first.

    Below a record that is rejected or pending is its first error. Reads an index of the table, to which
    DynamoDB propagates a change within about a second. With --status, the command may read many records to show a few.
    """
    if full and not as_json:
        raise click.UsageError("--full needs --json")
    selection = Selection(status, since, start_after)
    organisations = [organisation] if organisation else sorted(Records(stack.table).organisations())
    found = find_newest(stack.table, organisations, selection, None if everything else limit + 1)
    page = found if everything else islice(found, limit)
    last = _print_whole(stack.table, page) if full else _print(stack.table, page, as_json=as_json)
    if last is None:
        kind = "more records" if start_after else "records like these" if status or since else "records"
        owner = f"organisation {printable(organisation)} has" if organisation else "there are"
        click.echo(f"{owner} no {kind}", err=True)
    elif next(found, None):
        click.echo(f"more with --start-after {_place(last)}", err=True)


def _print_whole(table: RunTable, items: Iterator[Item]) -> Item | None:
    """Print whole records as JSON; return the last item."""
    last = None
    for chunk in _chunks(items):
        records = read_many(table, map(run_of, chunk))
        for item in chunk:
            if record := records.get(run_of(item)):
                echo_json(deserialize({"M": record}))
        last = chunk[-1]
    return last


def _print(table: RunTable, items: Iterator[Item], *, as_json: bool) -> Item | None:
    """Print the attributes of the index, and of each record that is not accepted the first error; return the last."""
    last = None
    for chunk in _chunks(items):
        if last is None and not as_json:
            click.echo(_LINE.format("recorded_at", "status", "run"))
        not_accepted = [run_of(item) for item in chunk if item["status"]["S"] != Outcome.RECORDED]
        records = read_many(table, not_accepted, "status", "errors", "errors_truncated")
        for item in chunk:
            record = records.get(run_of(item))
            _print_item(item, RunRecord.of(record) if record else None, as_json=as_json)
        last = chunk[-1]
    return last


def _print_item(item: Item, record: RunRecord | None, *, as_json: bool) -> None:
    shown: dict[str, str] = {name: value["S"] for name, value in item.items()}
    errors = record.errors if record else ()
    if as_json:
        echo_json({**shown, **({"first_error": to_json(errors)[0]} if errors else {})})
        return
    name = f"  {shown['name']}" if "name" in shown else ""
    to_the_second = f"{shown['recorded_at'][:19]}Z"
    click.echo(printable(_LINE.format(to_the_second, shown["status"], name_of(run_of(item)))) + printable(name))
    if record and errors:
        echo_indented(describe_errors(errors, is_truncated=record.errors_truncated))


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lists, so that memory does not grow with their number."""
    remaining = iter(items)
    while chunk := list(islice(remaining, _AT_ONCE)):
        yield chunk


def _place(item: Item) -> str:
    return f"{item['recorded_at']['S']}/{name_of(run_of(item))}"
