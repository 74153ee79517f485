"""What the commands share: the options that name a stack, exit codes, errors in one line.

Exit codes, the same for all commands:

- 0: done, nothing to complain of
- 1: done, and what was found needs a look; each command says what that is
- 2: the command line is wrong
- 3: AWS refused or did not answer, or there is no such stack, or nobody is signed in
- 130: interrupted by Ctrl-C
"""

import functools
from collections.abc import Callable
from typing import Any

import click
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from run_recorder.cli.stack import Stack
from run_recorder.errors import RunRecorderError

FOUND, AWS_FAILED, INTERRUPTED = 1, 3, 130

_SIGN_IN = "sign in, for example with `aws sso login`, and name the profile with --profile or AWS_PROFILE"
_HINTS: dict[type[Exception], str] = {
    NoCredentialsError: _SIGN_IN,
    PartialCredentialsError: _SIGN_IN,
    SSOError: _SIGN_IN,
    TokenRetrievalError: _SIGN_IN,
    ProfileNotFound: "`aws configure list-profiles` lists those there are",
    NoRegionError: "name it with --region or AWS_REGION",
    BotoConnectionError: "check --region and --endpoint-url",
    HTTPClientError: "check --region and --endpoint-url",
}
_HINTS_BY_CODE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"), _SIGN_IN
    ),
    **dict.fromkeys(
        ("403", "AccessDenied", "AccessDeniedException"), "docs/command-line.md lists the permissions of each command"
    ),
}


class Failure(click.ClickException):
    """AWS did not do its part: one line on standard error that also says what to do."""

    exit_code = AWS_FAILED


class Command(click.Command):
    """A command whose help tells its exit codes, and whose errors take one line."""

    def __init__(self, *arguments: Any, found: str = "", **named: Any) -> None:  # noqa: ANN401 - click's
        """Takes, besides click's own arguments, what it means if this command ends with 1."""
        super().__init__(*arguments, **named)
        self._found = found

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Adds the exit codes."""
        super().format_epilog(ctx, formatter)
        codes = {
            "0": "done",
            "1": self._found,
            "2": "the command line is wrong",
            "3": "AWS failed, no such stack, not signed in",
            "130": "interrupted",
        }
        with formatter.section("Exit codes"):
            formatter.write_dl([(code, meaning) for code, meaning in codes.items() if meaning])

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (RunRecorderError, ClientError, BotoCoreError) as error:
            raise Failure(_explain(error)) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


def _explain(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ClientError):
        hint = _HINTS_BY_CODE.get(cause.response["Error"]["Code"], "")
    else:
        hint = next((hint for kind, hint in _HINTS.items() if isinstance(cause, kind)), "")
    text = " ".join(str(error).split())
    return f"{text.removesuffix('.')}: {hint}" if hint else text


_OPTIONS = [
    click.option(
        "--stack",
        "stack_name",
        default="run-recorder",
        envvar="RUN_RECORDER_STACK",
        show_default=True,
        show_envvar=True,
        help="Name of the CloudFormation stack.",
    ),
    click.option("--profile", help="AWS profile; else AWS_PROFILE."),
    # The AWS CLI knows both variables, boto3 only the second.
    click.option(
        "--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="AWS region; else AWS_REGION or the profile's."
    ),
    click.option("--endpoint-url", help="AWS endpoint, for a local stack; else AWS_ENDPOINT_URL."),
]


def of_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that name a stack, and the `Stack` that they name."""

    @functools.wraps(command)
    def run(
        *,
        stack_name: str,
        profile: str | None,
        region: str | None,
        endpoint_url: str | None,
        **options: Any,  # noqa: ANN401 - the command's
    ) -> None:
        command(Stack(stack_name, profile, region, endpoint_url), **options)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")
