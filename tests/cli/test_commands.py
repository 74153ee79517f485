"""The behaviour that all commands share: help, exit codes, the stack, failures of AWS, texts on a terminal."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import click
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from click.testing import CliRunner, Result
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli import main
from run_recorder.cli.command import Command, ExitCode
from run_recorder.domain import Outcome
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")


def all_commands(group: click.Group = main) -> Iterator[tuple[list[str], Command]]:
    """Return the words that name each command, and the command."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            for words, member in all_commands(command):
                yield [name, *words], member
        else:
            assert isinstance(command, Command)
            yield [name], command


def test_texts_of_a_record_cannot_control_the_terminal(record_run: Callable[..., Outcome]) -> None:
    record_run("hostile", "run-1", rb'{"name": "\u001b[2J[red]name[/red]"}')
    for command in (["show", "hostile/run-1"], ["list", "hostile"]):
        output = run_command(*command).stdout
        assert r"\x1b[2J[red]name[/red]" in output
        assert "\x1b" not in output


def check_failure(result: Result, *texts: str) -> None:
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (ExitCode.AWS, "", 1), result.output
    for text in ("Error: ", *texts):
        assert text in result.stderr


ON_A_STACK = [
    ["status"], ["notifications"], ["wait", "acme/r"], ["upload", str(Path(__file__).parent), "acme/r"],
    ["show", "acme/r"], ["list", "acme"], ["reconcile"], ["reconcile", "--repair"], ["backfill", "--yes"],
    ["replay", "acme"], ["replay", "acme", "--yes"],
    ["dead-letters", "list"], ["dead-letters", "redrive", "--yes"], ["dead-letters", "discard", "--yes", "id"],
]  # fmt: skip


def test_list_of_commands_on_a_stack_is_complete() -> None:
    for words, command in all_commands():
        calls_aws = any(parameter.name == "stack_name" for parameter in command.params)
        assert any(words == tried[: len(words)] for tried in ON_A_STACK) is calls_aws, words


@pytest.mark.parametrize("command", ON_A_STACK, ids=" ".join)
def test_stack_that_does_not_exist_is_reported(command: list[str]) -> None:
    check_failure(
        run_command(*command, "--stack", "another"), "no stack 'another' in us-east-1", "--stack", "--profile"
    )


def test_stack_of_another_application_is_reported() -> None:
    template = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})
    boto3.client("cloudformation").create_stack(StackName="another", TemplateBody=template)
    check_failure(
        run_command("list", "acme", "--stack", "another"),
        "stack 'another' has no output RunsTable: name one of Run Recorder with --stack, or deploy it again",
    )


def test_region_may_come_from_either_variable_or_the_option(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("AWS_REGION", "eu-west-3")
    check_failure(run_command("list", "acme"), "in eu-west-3")
    check_failure(run_command("list", "acme", "--region", "eu-west-1"), "in eu-west-1")
    assert run_command("list", "acme", "--region", "us-east-1").exit_code == 0


def test_stack_may_be_named_by_a_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RUN_RECORDER_STACK", "by-variable")
    check_failure(run_command("list", "acme"), "no stack 'by-variable'")


def test_missing_credentials_region_and_profile_are_reported(
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        environment.setenv(name, str(tmp_path / "none"))
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    check_failure(run_command("list", "acme", "--profile", "nobody"), "nobody", "aws configure list-profiles")
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    check_failure(run_command("list", "acme"), "credentials", "aws sso login")
    environment.delenv("AWS_DEFAULT_REGION")
    check_failure(run_command("list", "acme"), "region", "--region or AWS_REGION")


def test_malformed_endpoint_is_reported() -> None:
    check_failure(run_command("list", "acme", "--endpoint-url", "nonsense"), "nonsense", "--endpoint-url")


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "check --region and --endpoint-url"),
        (ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "DescribeStacks"), "aws sso login"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no\nway"}}, "Query"), "docs/command-line.md"),
        (ClientError({"Error": {"Code": "Unheard", "Message": "of"}}, "Query"), "Unheard"),
    ],
    ids=["unreachable", "expired", "denied", "other"],
)
def test_failure_of_aws_is_one_line_with_the_next_step(mocker: MockerFixture, error: Exception, hint: str) -> None:
    """Whether the client raises it or a module that wraps it."""
    mocker.patch("run_recorder.cli.stack.Stack.client", autospec=True, side_effect=error)
    check_failure(run_command("list", "acme"), hint)
    mocker.stopall()
    mocker.patch("botocore.paginate.PageIterator.__iter__", autospec=True, side_effect=error)
    check_failure(run_command("list", "acme"), "reading the records", hint)


@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(words, command, id=" ".join(words)) for words, command in all_commands()]
)
def test_help_has_the_options_and_the_exit_codes(words: list[str], command: Command) -> None:
    text = run_command(*words, "--help").stdout
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    assert {"--json", *options} <= set(re.findall(r"--[a-z-]+", text))
    codes = text.split("Exit codes:")[1]
    calls_aws = "--stack" in options
    expected = {0, 2, 130, 141} | ({1} if command.attention else set()) | ({3} if calls_aws else set())
    expected |= {4} if "--timeout" in options else set()
    assert {int(code) for code in re.findall(r"^  (\d+) ", codes, re.MULTILINE)} == expected


def test_bucket_and_table_replace_the_stack_that_names_them(
    shared_stack: LocalStack, record_run: Callable[..., Outcome], environment: pytest.MonkeyPatch
) -> None:
    record_run("named", "run-1")
    bucket, table = shared_stack.outputs["RunsBucket"], shared_stack.outputs["RunsTable"]
    options = ["--stack", "another", "--bucket", bucket, "--table", table]
    assert "The record shows the current metadata.json." in run_command("show", "named/run-1", *options).stdout
    report = json.loads(run_command("reconcile", "named", "--json", *options).stdout)
    assert "DescribeStacks" not in report["summary"]["aws_calls"]
    environment.setenv("RUN_RECORDER_BUCKET", bucket)
    environment.setenv("RUN_RECORDER_TABLE", table)
    assert "run-1" in run_command("list", "named", "--stack", "another").stdout
    assert run_command("show", "named/run-1", "--stack", "another").exit_code == ExitCode.SUCCESS


@pytest.mark.parametrize(
    "command", [["reconcile", "--repair"], ["replay", "acme"], ["backfill", "--yes"]], ids=" ".join
)
@pytest.mark.parametrize("option", ["--bucket", "--table"])
def test_function_acts_on_no_bucket_or_table_but_its_own(command: list[str], option: str) -> None:
    check_failure(run_command(*command, option, "another"), "leave out --bucket and --table")


def test_shell_completion_is_there(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("COMP_WORDS", "run-recorder dead-letters ")
    environment.setenv("COMP_CWORD", "2")
    completed = CliRunner().invoke(main, prog_name="run-recorder", env={"_RUN_RECORDER_COMPLETE": "bash_complete"})
    assert [line.split(",")[1] for line in completed.stdout.splitlines()] == ["discard", "list", "redrive"]
