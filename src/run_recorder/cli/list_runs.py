"""`list`: the records of an organisation, newest first."""

from datetime import datetime
from itertools import islice

import click

from run_recorder.cli.command import (
    Command,
    json_lines_option,
    organisation_argument,
    parse_time,
    stack_options,
)
from run_recorder.cli.output import echo_json, echo_table, printable
from run_recorder.cli.records import Records
from run_recorder.cli.stack import Stack
from run_recorder.domain import Outcome

_COLUMNS = ["recorded_at", "run_id", "status", "uploaded_at", "name"]
_STATUSES = [Outcome.RECORDED.value, Outcome.REJECTED.value, Outcome.PENDING.value]


def _parse_start(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    recorded_at, slash, run_id = value.partition("/")
    if not (recorded_at and slash and run_id):
        raise click.BadParameter("expected TIME/RUN, as printed after the previous page")
    return recorded_at, run_id


@click.command("list", cls=Command, short_help="List the records of an organisation, newest first.")
@organisation_argument
@click.option("--status", type=click.Choice(_STATUSES), help="Only records in this status.")
@click.option(
    "--since",
    metavar="TIME",
    callback=parse_time,
    help="Only records written at this time or later: ISO 8601, or an age such as 36h.",
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1), help="Length of a page.")
@click.option(
    "--start-after", metavar="TIME/RUN", callback=_parse_start, help="Show the page that follows this record."
)
@stack_options
@json_lines_option
def list_runs(
    stack: Stack,
    *,
    organisation: str,
    status: str | None,
    since: datetime | None,
    limit: int,
    start_after: tuple[str, str] | None,
    as_json: bool,
) -> None:
    """List the records of the organisation ORG, the newest first.

    Reads an index of the table, to which DynamoDB propagates a change within about a second. With
    --status, the command may read many records to show a few.
    """
    written_since = since.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if since else None
    found = Records(stack.table).newest(organisation, status, written_since, start_after, page_size=limit + 1)
    items = [{name: value["S"] for name, value in item.items()} for item in islice(found, limit + 1)]
    page = items[:limit]
    if as_json:
        for item in page:
            echo_json(item)
    elif page:
        echo_table(_COLUMNS, [[item.get(name, "") for name in _COLUMNS] for item in page])
    if not page:
        kind = "more records" if start_after else "records like these" if status or since else "records"
        click.echo(f"organisation {printable(organisation)} has no {kind}", err=True)
    if len(items) > limit:
        click.echo(f"more with --start-after {page[-1]['recorded_at']}/{page[-1]['run_id']}", err=True)
