"""`python -m run_recorder.cli show` and `list`, and what all commands do when AWS does not play along."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from click.testing import Result
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli import main
from run_recorder.domain import Outcome
from tests.support.stack_fixtures import ops

pytestmark = pytest.mark.usefixtures("shared_stack")

BAD = b'{"name": ""}'


def test_show_tells_the_whole_record(record_run: Callable[..., Outcome], shared_stack: LocalStack) -> None:
    record_run("shown", "run-1", b'{"name": "Plate 7", "tags": {"assay": "A-12"}, "parameters": {"limits": [0.1, 40]}}')
    result = ops("show", "shown", "run-1")
    assert result.exit_code == 0, result.output
    heading, *rows, sentence = [line.split(maxsplit=1) for line in map(str.strip, result.stdout.splitlines())]
    assert heading == ["attribute", "value"]
    shown = dict(rows)
    assert list(shown)[:3] == ["organisation_id", "run_id", "status"]
    expected = {
        "organisation_id": "shown",
        "status": "recorded",
        "bucket": shared_stack.outputs["RunsBucket"],
        "config.model.name": "deployed",
        "config.parameters.limits.0": "0.1",
        "config.parameters.limits.1": "40",
        "name": "Plate 7",
        "tags.assay": "A-12",
    }
    assert expected.items() <= shown.items()
    assert " ".join(sentence) == "The record shows the current metadata.json."


def test_show_keeps_every_digit_for_programs(record_run: Callable[..., Outcome]) -> None:
    digits = "0.12345678901234567890123456789012345678"
    record_run("exact", "run-1", b'{"parameters": {"x": %s}}' % digits.encode())
    result = ops("show", "exact", "run-1", "--json")
    assert json.loads(result.stdout, parse_float=str)["record"]["config"]["parameters"] == {"x": digits}
    assert json.loads(result.stdout)["state"] == "current"


def test_show_tells_where_a_run_is_that_is_not_recorded(
    record_run: Callable[..., Outcome], shared_stack: LocalStack
) -> None:
    result = ops("show", "shown", "nowhere")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert "neither a record nor a metadata.json" in result.stdout

    shared_stack.upload("runs/shown/waiting/metadata.json", b"{}")
    result = ops("show", "shown", "waiting")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert "is not recorded" in result.stdout
    assert json.loads(ops("show", "shown", "waiting", "--json").stdout)["record"] is None

    record_run("shown", "again")
    shared_stack.upload("runs/shown/again/metadata.json", BAD)
    result = ops("show", "shown", "again")
    assert result.exit_code == 0
    assert "uploaded again" in result.stdout

    shared_stack.s3.delete_object(Bucket=shared_stack.outputs["RunsBucket"], Key="runs/shown/again/metadata.json")
    assert json.loads(ops("show", "shown", "again", "--json").stdout)["state"] == "orphaned"


def test_show_says_that_errors_are_left_out_and_that_files_were_missing(record_run: Callable[..., Outcome]) -> None:
    files = [{"path": f"{number}.csv"} for number in range(21)]
    record_run("shown", "many", json.dumps({"files": files}).encode())
    shown = ops("show", "shown", "many").stdout
    assert "The document has more errors than these." in shown
    assert "Listed files were missing: `reconcile --repair` looks for them again." in shown
    record_run("shown", "twenty", json.dumps({"files": files[:20]}).encode())
    assert "more errors" not in ops("show", "shown", "twenty").stdout


def test_show_refuses_ids_that_no_run_can_have() -> None:
    assert ops("show", "shown", "run 1").exit_code == 2


def test_texts_of_a_record_cannot_command_the_terminal(record_run: Callable[..., Outcome]) -> None:
    record_run("hostile", "run-1", rb'{"name": "\u001b[2J[red]name[/red]"}')
    for command in (["show", "hostile", "run-1"], ["list", "hostile"]):
        output = ops(*command).stdout
        assert r"'\x1b[2J[red]name[/red]'" in output
        assert "\x1b" not in output


def listed(*arguments: str) -> dict[str, Any]:
    result = ops("list", "listed", "--json", *arguments)
    assert result.exit_code == 0, result.output
    page: dict[str, Any] = json.loads(result.stdout)
    return page


def test_list_shows_newest_first_page_by_page(record_run: Callable[..., Outcome]) -> None:
    names = ["b", "d", "a", "c", "e"]
    for name in names:
        record_run("listed", name, BAD if name in "de" else b'{"name": "the name"}')
    record_run("listed", "b", b'{"name": "uploaded again"}')
    names = ["d", "a", "c", "e", "b"]

    everything = listed()
    assert [run["run_id"] for run in everything["runs"]] == names[::-1]
    assert everything["next"] is None
    assert set(everything["runs"][0]) == {
        "organisation_id", "run_id", "recorded_at", "status", "uploaded_at", "name",
    }  # fmt: skip

    pages = [listed("--limit", "2")]
    while place := pages[-1]["next"]:
        pages.append(listed("--limit", "2", "--start-after", place))
    assert [[run["run_id"] for run in page["runs"]] for page in pages] == [["b", "e"], ["c", "a"], ["d"]]
    assert listed("--limit", "5")["next"] is None

    rejected = listed("--status", "rejected", "--limit", "1")
    assert [run["run_id"] for run in rejected["runs"]] == ["e"]
    assert [run["run_id"] for run in listed("--status", "rejected", "--start-after", rejected["next"])["runs"]] == ["d"]

    third = everything["runs"][2]["recorded_at"]
    assert [run["run_id"] for run in listed("--since", third)["runs"]] == ["b", "e", "c"]
    assert [run["run_id"] for run in listed("--since", "1h")["runs"]] == names[::-1]
    assert listed("--since", "2999-01-01")["runs"] == []

    result = ops("list", "listed", "--limit", "2")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["recorded_at", "run_id", "status", "uploaded_at", "name"]
    assert [row[1] for row in rows[1:]] == ["b", "e"]
    assert result.stderr == f"more with --start-after {pages[0]['next']}\n"


def test_since_understands_times_of_all_zones(mocker: MockerFixture) -> None:
    find = mocker.patch("run_recorder.cli.list_runs.Records.newest", autospec=True, return_value=[])
    for since, expected in {
        "2026-11-20": "2026-11-20T00:00:00.000000Z",
        "2026-11-20T10:00:00.5+02:00": "2026-11-20T08:00:00.500000Z",
        "2026-11-20T08:00Z": "2026-11-20T08:00:00.000000Z",
    }.items():
        listed("--since", since)
        assert find.call_args.args[3] == expected
    for nonsense in ("yesterday", "5", "3 h", "2026-13-01"):
        assert ops("list", "listed", "--since", nonsense).exit_code == 2
    for nonsense in ("x", "/x", "x/"):
        assert ops("list", "listed", "--start-after", nonsense).exit_code == 2


# What all commands share.


def check_failure(result: Result, *texts: str) -> None:
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1), result.output
    for text in ("Error: ", *texts):
        assert text in result.stderr


@pytest.mark.parametrize(
    "command", [["show", "acme", "r"], ["list", "acme"], ["reconcile"], ["redrive"], ["backfill"]], ids=lambda c: c[0]
)
def test_stack_that_does_not_exist_is_told(command: list[str]) -> None:
    check_failure(ops(*command, "--stack", "another"), "no stack 'another' in us-east-1", "--stack", "--profile")


def test_stack_of_something_else_is_told() -> None:
    template = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})
    boto3.client("cloudformation").create_stack(StackName="another", TemplateBody=template)
    check_failure(ops("list", "acme", "--stack", "another"), "stack 'another' has no output RunsTable")


def test_region_may_come_from_either_variable_or_the_option(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("AWS_REGION", "eu-west-3")
    check_failure(ops("list", "acme"), "in eu-west-3")
    check_failure(ops("list", "acme", "--region", "eu-west-1"), "in eu-west-1")
    assert ops("list", "acme", "--region", "us-east-1").exit_code == 0


def test_stack_may_be_named_by_a_variable(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RUN_RECORDER_STACK", "by-variable")
    check_failure(ops("list", "acme"), "no stack 'by-variable'")


def test_missing_credentials_region_and_profile_are_told(
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        environment.setenv(name, str(tmp_path / "none"))
    environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
    check_failure(ops("list", "acme", "--profile", "nobody"), "nobody", "aws configure list-profiles")
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    check_failure(ops("list", "acme"), "credentials", "aws sso login")
    environment.delenv("AWS_DEFAULT_REGION")
    check_failure(ops("list", "acme"), "region", "--region or AWS_REGION")


def test_nonsense_as_endpoint_is_told() -> None:
    check_failure(ops("list", "acme", "--endpoint-url", "nonsense"), "nonsense", "--endpoint-url")


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
def test_failure_of_aws_is_told_in_one_line_with_what_to_do(mocker: MockerFixture, error: Exception, hint: str) -> None:
    """Whether the client raises it or a module that wraps it."""
    mocker.patch("run_recorder.cli.stack.Stack.client", autospec=True, side_effect=error)
    check_failure(ops("list", "acme"), hint)
    mocker.stopall()
    mocker.patch("botocore.paginate.PageIterator.__iter__", autospec=True, side_effect=error)
    check_failure(ops("list", "acme"), "reading the records", hint)


def test_help_documents_options_and_exit_codes() -> None:
    for name in main.commands:
        text = ops(name, "--help").stdout
        assert "--json" in text
        assert "Exit codes:" in text
        if name != "validate":
            assert all(option in text for option in ("--stack", "--profile", "--region", "--endpoint-url"))
