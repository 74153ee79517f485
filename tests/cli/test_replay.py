"""`run-recorder replay`: the runs that it selects, what it shows, and what it changes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import Result
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli.command import ExitCode
from run_recorder.cli.records import Records
from run_recorder.cli.selection import Filter
from run_recorder.cli.stack import Stack
from run_recorder.domain import Outcome, Run
from run_recorder.errors import AWSCallError, ContentionError
from run_recorder.record_state import RecordState
from run_recorder.replay import ReplayingRecorder
from tests.support.documents import BAD, INCOMPLETE, document, good
from tests.support.fake_s3 import client_error
from tests.support.stack_fixtures import run_command

UNPINNED = b'{"model": {"name": "m"}}'
RecordRun = Callable[..., Outcome]


def replay(*arguments: str, stdin: bytes | None = None) -> Result:
    return run_command("replay", *arguments, stdin=stdin)


def report(*arguments: str, stdin: bytes | None = None) -> dict[str, Any]:
    """Return the summary, and the runs by their names."""
    *runs, last = map(json.loads, replay("--json", *arguments, stdin=stdin).stdout.splitlines())
    return {"runs": {each.pop("run"): each for each in runs}, **last["summary"]}


def set_variables(stack: LocalStack, mocker: MockerFixture, **variables: str) -> None:
    """Change the variables of the deployed function, as far as commands see them."""
    client = Stack.client

    def change(self: Stack, service: str, region: str | None = None) -> Any:
        made = client(self, service, region)
        if service == "lambda":
            read = made.get_function_configuration
            answer = read(FunctionName=stack.outputs["RecorderFunction"])
            answer["Environment"]["Variables"] |= variables
            made.get_function_configuration = lambda **_: answer
        return made

    mocker.patch("run_recorder.cli.stack.Stack.client", change)


def record_of(stack: LocalStack, name: str) -> dict[str, Any]:
    organisation_id, run_id = name.split("/")
    key = {"organisation_id": {"S": organisation_id}, "run_id": {"S": run_id}}
    return dict(stack.dynamodb.get_item(TableName=stack.outputs["RunsTable"], Key=key)["Item"])


def test_preview_shows_what_would_change_and_changes_nothing(
    shared_stack: LocalStack, record_run: RecordRun, mocker: MockerFixture
) -> None:
    record_run("preview", "a", UNPINNED)
    record_run("preview", "b", BAD)
    before = record_of(shared_stack, "preview/a")
    set_variables(shared_stack, mocker, DEVELOPMENT="true")
    result = replay("preview")
    assert result.exit_code == ExitCode.ATTENTION
    assert result.stdout.splitlines() == [
        "changed    preview/a  rejected → recorded (config)",
        "2 evaluated: would be 1 changed, 1 unchanged, 0 left, 0 waiting, 0 gone, 0 failed",
    ]
    assert result.stderr == "nothing was changed; --yes does it\n"
    assert record_of(shared_stack, "preview/a") == before


def test_records_that_differ_are_changed_and_no_others(
    shared_stack: LocalStack, record_run: RecordRun, mocker: MockerFixture
) -> None:
    record_run("change", "a", UNPINNED)
    record_run("change", "b", BAD)
    other = record_of(shared_stack, "change/b")
    set_variables(shared_stack, mocker, DEVELOPMENT="true")
    found = report("change", "--yes")
    assert found["runs"] == {
        "change/a": {
            "state": "changed",
            "before": "rejected",
            "after": "recorded",
            "changes": ["config"],
            "errors": [],
            "preview": False,
        }
    }
    assert (found["counts"]["changed"], found["counts"]["unchanged"], found["finished"]) == (1, 1, True)
    assert record_of(shared_stack, "change/a")["status"]["S"] == "recorded"
    assert record_of(shared_stack, "change/b") == other
    assert replay("change", "--yes").exit_code == ExitCode.SUCCESS
    assert report("change")["runs"] == {}


def test_person_at_the_terminal_is_asked(
    shared_stack: LocalStack, record_run: RecordRun, mocker: MockerFixture
) -> None:
    record_run("asked", "a", UNPINNED)
    record_run("asked", "b", good("x"))
    set_variables(shared_stack, mocker, DEVELOPMENT="true")
    confirm = mocker.patch("run_recorder.cli.replay.confirm", return_value=True)
    result = replay("asked")
    confirm.assert_called_once_with("Change 2 records?", yes=False)
    assert result.exit_code == ExitCode.SUCCESS
    assert result.stdout.splitlines()[-1].startswith("2 evaluated: 2 changed, ")
    assert record_of(shared_stack, "asked/a")["status"]["S"] == "recorded"
    assert record_of(shared_stack, "asked/b")["config"]["M"]["environment"]["S"] == "development"


def test_accepted_run_that_would_be_rejected_now_is_reported_and_left(
    shared_stack: LocalStack, record_run: RecordRun, mocker: MockerFixture
) -> None:
    record_run("left", "a", b"{}")
    before = record_of(shared_stack, "left/a")
    set_variables(shared_stack, mocker, MODEL_NAME="", MODEL_VERSION="")
    result = replay("left/a", "--yes")
    assert result.exit_code == ExitCode.ATTENTION
    assert result.stdout.splitlines()[0] == (
        "left       left/a  stays recorded, would be rejected now: /model: required, since this deployment has no "
        "default model"
    )
    assert record_of(shared_stack, "left/a") == before


def test_young_incomplete_run_waits(record_run: RecordRun) -> None:
    record_run("young", "a", INCOMPLETE)
    result = replay("young")
    assert result.exit_code == ExitCode.SUCCESS
    assert result.stdout.splitlines()[0] == (
        "waiting    young/a  rejected, files may still arrive: /files/0/path: no object late.csv below the run's prefix"
    )


def test_run_without_a_document_or_a_record_is_reported(shared_stack: LocalStack, record_run: RecordRun) -> None:
    record_run("absent", "a", document())
    key = {"Bucket": shared_stack.outputs["RunsBucket"], "Key": "runs/absent/a/metadata.json"}
    for version in shared_stack.s3.list_object_versions(Bucket=key["Bucket"], Prefix=key["Key"])["Versions"]:
        shared_stack.s3.delete_object(**key, VersionId=version["VersionId"])
    shared_stack.upload("runs/absent/b/metadata.json", document())
    result = replay("absent/a", "absent/b", "absent/c")
    assert result.stdout.splitlines()[:3] == [
        "gone       absent/a  recorded, there is no metadata.json",
        "changed    absent/b  no record → recorded (config)",
        "gone       absent/c  no record, there is no metadata.json",
    ]
    assert result.exit_code == ExitCode.ATTENTION


def test_run_that_fails_does_not_stop_the_others(record_run: RecordRun, mocker: MockerFixture) -> None:
    for run_id in "abc":
        record_run("failing", run_id, BAD)
    evaluate = ReplayingRecorder.replay

    def fail(self: ReplayingRecorder, run: Run) -> Any:
        if run.run_id == "a":
            raise ContentionError("the record changed")
        if run.run_id == "b":
            raise AWSCallError("archived") from ClientError({"Error": {"Code": "InvalidObjectState"}}, "GetObject")
        return evaluate(self, run)

    mocker.patch.object(ReplayingRecorder, "replay", fail)
    result = replay("failing")
    assert result.exit_code == ExitCode.ATTENTION
    assert result.stdout.splitlines() == [
        "failed     failing/a  the record changed",
        "failed     failing/b  archived",
        "3 evaluated: would be 0 changed, 1 unchanged, 0 left, 0 waiting, 0 gone, 2 failed",
    ]
    assert report("failing")["runs"]["failing/b"] == {"state": "failed", "failure": "archived", "preview": True}


def test_failure_of_all_calls_ends_the_command_and_tells_where_to_continue(
    record_run: RecordRun, mocker: MockerFixture
) -> None:
    for run_id in "abc":
        record_run("stopping", run_id, BAD)
    evaluate = ReplayingRecorder.replay

    def fail(self: ReplayingRecorder, run: Run) -> Any:
        if run.run_id == "b":
            raise AWSCallError("no answer") from client_error("ExpiredToken")
        return evaluate(self, run)

    mocker.patch.object(ReplayingRecorder, "replay", fail)
    result = replay("stopping")
    assert result.exit_code == ExitCode.AWS
    assert "stopped early; continue with --start-after stopping/a\n" in result.stderr
    mocker.stopall()
    assert report("stopping", "--start-after", "stopping/a")["counts"]["unchanged"] == 2


def test_all_organisations_are_evaluated_without_names(record_run: RecordRun) -> None:
    record_run("first", "a", BAD)
    record_run("second", "a", BAD)
    names = set(report()["counts"].items())
    assert sum(count for _, count in names) >= 2
    after_first = report("--start-after", "first/a")
    assert sum(after_first["counts"].values()) < sum(count for _, count in names)


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ([], 3),
        (["--status", "rejected"], 2),
        (["--status", "pending"], 0),
        (["--error-path", "/model"], 1),
        (["--error-path", "/mod"], 0),
        (["--error-path", "/tags"], 1),
        (["--error-path", "/tags/x"], 1),
        (["--since", "1h"], 3),
        (["--since", "2100-01-01"], 0),
        (["--status", "rejected", "--error-path", "/model", "--since", "1h"], 1),
    ],
)
def test_runs_are_selected_by_their_records(record_run: RecordRun, options: list[str], runs: int) -> None:
    record_run("select", "a", good("m"))
    record_run("select", "b", BAD)
    record_run("select", "c", b'{"tags": {"x": 1}}')
    assert sum(report("select", *options)["counts"].values()) == runs
    names = [f"select/{run_id}" for run_id in "abc"]
    assert sum(report(*names, *options)["counts"].values()) == runs


def test_runs_may_be_listed_on_standard_input(record_run: RecordRun) -> None:
    for run_id in "abc":
        record_run("listed", run_id, BAD)
    lines = b"listed/a\n\n  listed/c  \n"
    assert report("--from", "-", stdin=lines)["last"] == "listed/c"
    assert report("--from", "-", stdin=lines)["counts"]["unchanged"] == 2
    assert report("--from", "-", "--start-after", "listed/a", stdin=lines)["counts"]["unchanged"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["acme", "acme/r"], "name organisations or runs, not both"),
        (["acme", "--from", "-"], "name runs, or read them with --from, not both"),
        (["acme/"], "'acme/' is not the name of a run"),
        (["--error-path", "model"], "'model' is not a JSON Pointer: expected a path such as /model"),
        (["--rate", "0"], "0.0 is not in the range"),
        (["--start-after", "acme"], "'acme' is not the name of a run"),
    ],
)
def test_malformed_command_line_is_a_usage_error(arguments: list[str], message: str) -> None:
    result = replay(*arguments, stdin=b"")
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr


def test_list_with_a_line_that_is_no_run_is_a_usage_error() -> None:
    assert replay("--from", "-", stdin=b"nonsense\n").exit_code == ExitCode.USAGE


def test_errors_that_are_not_in_the_record_do_not_match() -> None:
    assert not Filter(error_path="/model").matches(RecordState(status="recorded"))
    assert not Filter(since="2026").matches(RecordState())


def test_records_of_one_organisation_are_read_at_a_time(record_run: RecordRun, mocker: MockerFixture) -> None:
    record_run("one", "a", BAD)
    read = mocker.patch.object(Records, "in_listing_order", autospec=True, return_value=iter([]))
    report("one", "another")
    assert [call.args[1] for call in read.mock_calls] == ["another", "one"]
