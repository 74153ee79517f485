"""`run-recorder show`: the record, whether it is the current one, and what to do next."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli.command import ExitCode
from run_recorder.cli.stack import Stack
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.recorder import Recorder
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")

BAD = b'{"name": ""}'


def show(run: str) -> list[str]:
    return run_command("show", run).stdout.splitlines()


def test_show_prints_the_status_and_then_the_attributes(
    record_run: Callable[..., Outcome], shared_stack: LocalStack
) -> None:
    record_run("shown", "run-1", b'{"name": "Plate 7", "tags": {"assay": "A-12"}, "parameters": {"limits": [0.1, 40]}}')
    status, sentence, empty, heading, *rows = show("shown/run-1")
    assert (status, sentence) == ("shown/run-1: recorded", "The record shows the current metadata.json.")
    assert (empty, heading.split()) == ("", ["attribute", "value"])
    shown = dict(row.rstrip().split(maxsplit=1) for row in rows)
    expected = {
        "bucket": shared_stack.outputs["RunsBucket"],
        "config.model.name": "deployed",
        "config.parameters.limits.0": "0.1",
        "config.parameters.limits.1": "40",
        "name": "Plate 7",
        "tags.assay": "A-12",
    }
    assert expected.items() <= shown.items()
    assert not {"status", "organisation_id", "run_id"} & shown.keys()
    assert list(shown)[:2] == ["uploaded_at", "version_id"]
    assert list(shown)[-1] == "recorded_at"


def test_status_and_the_first_errors_come_first(record_run: Callable[..., Outcome]) -> None:
    record_run("shown", "wrong", json.dumps({"files": [{"path": f"{n}.csv"} for n in range(21)], "name": ""}).encode())
    lines = show("shown/wrong")
    assert lines[:8] == [
        "shown/wrong: rejected",
        "    /name: expected at least 1 character",
        *(f"    /files/{n}/path: no object {n}.csv below the run's prefix" for n in range(4)),
        "    … 15 or more further errors; --json has them",
        "The record shows the current metadata.json. Correct the document and upload it again; `run-recorder validate` "
        "checks it before. If a setting of the stack was wrong, correct it, and then `run-recorder replay "
        "shown/wrong`.",
    ]
    record_run("shown", "one", BAD)
    assert show("shown/one")[1].strip() == "/name: expected at least 1 character"
    assert show("shown/one")[2].startswith("The record")


def test_next_step_of_a_run_whose_files_are_late(
    shared_stack: LocalStack, recorder: Recorder, mocker: MockerFixture
) -> None:
    key = "runs/shown/late/metadata.json"
    shared_stack.upload(key, b'{"files": [{"path": "data.csv"}]}')
    bucket = shared_stack.outputs["RunsBucket"]

    def next_step() -> str:
        return show("shown/late")[2]

    event = ObjectEvent(bucket, key, Run("shown", "late"), created=True, can_wait=True)
    assert recorder.handle(event).outcome is Outcome.PENDING
    assert show("shown/late")[0] == "shown/late: pending"
    assert "are not there yet: the function waits for them" in next_step()
    assert json.loads(run_command("show", "shown/late", "--json").stdout)["state"] == "lacks-files"

    is_over = "All listed files are there now, or the wait for them is over: the function evaluates it again by itself"
    clock = mocker.patch("run_recorder.cli.inspection.datetime", autospec=True)
    clock.now.return_value = datetime.now(UTC) + timedelta(hours=25, minutes=1)
    assert is_over in next_step()
    assert next_step().endswith("If it does not, `run-recorder replay shown/late` does.")
    mocker.stop(clock)
    assert is_over not in next_step()

    shared_stack.upload("runs/shown/late/data.csv", b"1")
    assert is_over in next_step()


def test_next_step_of_a_run_that_was_rejected_for_its_files(
    record_run: Callable[..., Outcome], shared_stack: LocalStack
) -> None:
    record_run("shown", "lacks", b'{"files": [{"path": "data.csv"}]}')
    assert show("shown/lacks")[2].endswith("upload them, and then `run-recorder replay shown/lacks`.")
    shared_stack.upload("runs/shown/lacks/data.csv", b"1")
    assert show("shown/lacks")[2].endswith(
        "All listed files are there now: `run-recorder replay shown/lacks` evaluates it again."
    )
    advice = json.loads(run_command("show", "shown/lacks", "--json").stdout)["advice"]
    assert advice == show("shown/lacks")[2]


def test_show_as_json_keeps_every_digit(record_run: Callable[..., Outcome]) -> None:
    digits = "0.12345678901234567890123456789012345678"
    record_run("exact", "run-1", b'{"parameters": {"x": %s}}' % digits.encode())
    result = run_command("show", "exact/run-1", "--json")
    assert json.loads(result.stdout, parse_float=str)["record"]["config"]["parameters"] == {"x": digits}
    assert json.loads(result.stdout)["state"] == "current"


def test_show_explains_why_a_run_is_not_recorded(record_run: Callable[..., Outcome], shared_stack: LocalStack) -> None:
    result = run_command("show", "shown/nowhere")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 2)
    assert result.stdout.startswith("shown/nowhere: no record\nThere is neither a record nor a metadata.json")

    shared_stack.upload("runs/shown/waiting/metadata.json", b"{}")
    result = run_command("show", "shown/waiting")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 2)
    assert "is not recorded" in result.stdout
    assert json.loads(run_command("show", "shown/waiting", "--json").stdout)["record"] is None

    record_run("shown", "again")
    shared_stack.upload("runs/shown/again/metadata.json", BAD)
    result = run_command("show", "shown/again")
    assert result.exit_code == 0
    assert "uploaded again" in result.stdout

    shared_stack.s3.delete_object(Bucket=shared_stack.outputs["RunsBucket"], Key="runs/shown/again/metadata.json")
    assert json.loads(run_command("show", "shown/again", "--json").stdout)["state"] == "orphaned"
    assert "remove its delete marker" in run_command("show", "shown/again").stdout


def test_most_runs_need_two_requests(record_run: Callable[..., Outcome], made_stacks: list[Stack]) -> None:
    record_run("shown", "quick")
    run_command("show", "shown/quick")
    assert made_stacks[-1].calls == {"DescribeStacks": 1, "GetItem": 1, "HeadObject": 1}


@pytest.mark.parametrize("run", ["shown/run 1", "shown", "shown/", "/run-1", "shown/run-1/x", "", "runs/shown/run-1"])
def test_ids_that_no_run_can_have_are_a_usage_error(run: str) -> None:
    result = run_command("show", run)
    assert result.exit_code == ExitCode.USAGE
    assert "expected ORG/RUN, such as acme/run-0001" in " ".join(result.stderr.split())


@pytest.mark.parametrize(("option", "needed"), [("--limit=3", "--history"), ("--since=1h", "--logs")])
def test_option_of_a_screen_needs_the_screen(option: str, needed: str) -> None:
    result = run_command("show", "acme/r", option)
    assert (result.exit_code, f"needs {needed}" in result.stderr) == (ExitCode.USAGE, True)
