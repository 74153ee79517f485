"""The options that select records."""

import click

from run_recorder.cli.command import parse_time
from run_recorder.domain import Outcome


def _parse_since(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return a time in the format of ``recorded_at``; None if there is no value."""
    time = parse_time(context, parameter, value)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if time else None


status_option = click.option(
    "--status",
    type=click.Choice([Outcome.RECORDED.value, Outcome.REJECTED.value, Outcome.PENDING.value]),
    help="Only records in this status.",
)
since_option = click.option(
    "--since",
    metavar="TIME",
    callback=_parse_since,
    help="Only records written at this time or later: ISO 8601, or an age such as 36h.",
)
