"""The parts that commands share: exit codes, arguments, the options of a stack, and errors on one line."""

import enum
import functools
import io
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import click
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from rich.console import Console

from run_recorder.cli.hints import explain
from run_recorder.cli.output import one_line
from run_recorder.cli.stack import Stack
from run_recorder.cli.stack_options import STACK_OPTIONS
from run_recorder.domain import Run
from run_recorder.errors import RunRecorderError
from run_recorder.keys import parse_name
from run_recorder.producer.options import TIMEOUT

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class ExitCode(enum.IntEnum):
    """The exit codes of all commands, each with its meaning."""

    meaning: str

    SUCCESS = 0, "done"
    ATTENTION = 1, "done, and the result needs attention; each command states the case"
    USAGE = 2, "the command line is wrong"
    AWS = 3, "AWS refused the call or did not answer, the stack does not exist, or the credentials are missing"
    NO_VERDICT = 4, "no verdict within --timeout"
    INTERRUPTED = 130, "interrupted by Ctrl-C"
    CLOSED_PIPE = 141, "the program that read the output ended first"

    def __new__(cls, code: int, meaning: str) -> Self:
        """Return a member with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class AWSFailure(click.ClickException):
    """A failure of AWS, as one line on standard error that ends with the next step."""

    exit_code = ExitCode.AWS

    def format_message(self) -> str:
        """Return the line, safe for a terminal: AWS repeats keys, and an answer may come from elsewhere."""
        return one_line(self.message)


class Command(click.Command):
    """A command with its exit codes in its help, and each error on one line."""

    def __init__(self, *arguments: Any, attention: str = "", **named: Any) -> None:  # noqa: ANN401 - click's
        """Make a command.

        Args:
            *arguments: positional arguments of `click.Command`.
            attention: the case in which this command ends with `ExitCode.ATTENTION`; empty if it never does.
            **named: keyword arguments of `click.Command`.
        """
        super().__init__(*arguments, **named)
        self.attention = attention

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes after the options."""
        super().format_epilog(ctx, formatter)
        meanings = {code: code.meaning for code in ExitCode} | {ExitCode.ATTENTION: self.attention}
        for code, option in ((ExitCode.AWS, "stack_name"), (ExitCode.NO_VERDICT, "timeout")):
            if not any(parameter.name == option for parameter in self.params):
                del meanings[code]
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code:d}", meaning) for code, meaning in meanings.items() if meaning])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command."""
        if Console().no_color:
            ctx.color = False
        try:
            return super().invoke(ctx)
        except (RunRecorderError, ClientError, BotoCoreError, ResponseParserError) as error:
            raise AWSFailure(explain(error)) from error
        except BrokenPipeError:
            # Python flushes standard output at exit, and would report the closed pipe again.
            sys.stdout = io.StringIO()
            ctx.exit(ExitCode.CLOSED_PIPE)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)


def parse_run(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Run | None:
    """Return the run that ``ORG/RUN`` names; None if there is no value."""
    return None if value is None else name_run(value)


def name_run(value: str) -> Run:
    """Return the run that ``ORG/RUN`` names."""
    run = parse_name(value)
    if run is None:
        raise click.BadParameter(
            f"{value!r} is not the name of a run: expected ORG/RUN, such as acme/run-0001; each id has 1 to 128 "
            "characters A-Z a-z 0-9 . _ : = @ + ~ - and begins with a letter or a digit"
        )
    return run


def parse_time(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """Return a time, given in ISO 8601 or as an age such as ``36h``, in UTC; None if there is no value."""
    if value is None:
        return None
    try:
        if age := re.fullmatch(r"(\d{1,6})([mhd])", value):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter("expected an ISO 8601 time, or an age such as 90m, 36h or 7d") from error


def _parse_organisation(value: str) -> str:
    """Return an organisation id, valid or not: `reconcile` also finds documents under ids that no run can have."""
    if not value or "/" in value:
        raise click.BadParameter(f"{value!r} is not an organisation id: expected ORG, such as acme")
    return value


run_argument = click.argument("run", metavar="ORG/RUN", callback=parse_run)
optional_organisation_argument = click.argument(
    "organisation", metavar="[ORG]", required=False, type=_parse_organisation
)
organisations_argument = click.argument("organisations", metavar="[ORG…]", nargs=-1, type=_parse_organisation)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
json_lines_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each result.")
timeout_option = click.option(
    "--timeout",
    metavar="SECONDS",
    default=TIMEOUT,
    show_default=True,
    type=click.FloatRange(min=0),
    help="The longest wait for the verdict.",
)
yes_option = click.option(
    "--yes", is_flag=True, help="Confirm the change; without this option, the command asks at the terminal."
)


def confirm(question: str, *, yes: bool) -> bool:
    """Return whether a change is confirmed, by ``--yes`` or at the terminal."""
    if yes:
        return True
    if sys.stdin.isatty():
        return click.confirm(question, err=True)
    click.echo("nothing was changed; --yes does it", err=True)
    return False


def stack_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a stack, and pass the `Stack` as the first argument."""

    @functools.wraps(command)
    def run(
        *,
        stack_name: str,
        bucket: str | None,
        table: str | None,
        profile: str | None,
        region: str | None,
        endpoint_url: str | None,
        **options: Any,  # noqa: ANN401 - the command's
    ) -> None:
        stack = Stack(stack_name, bucket=bucket, table=table, profile=profile, region=region, endpoint_url=endpoint_url)
        command(stack, **options)

    for option in reversed(STACK_OPTIONS):
        run = option(run)
    return run
