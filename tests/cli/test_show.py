"""`run-recorder show`: the record, and whether it is the current one."""

import json
from collections.abc import Callable

import pytest

from local.stack import LocalStack
from run_recorder.cli.command import ExitCode
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.recorder import Recorder
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")

BAD = b'{"name": ""}'


def test_show_prints_the_whole_record(record_run: Callable[..., Outcome], shared_stack: LocalStack) -> None:
    record_run("shown", "run-1", b'{"name": "Plate 7", "tags": {"assay": "A-12"}, "parameters": {"limits": [0.1, 40]}}')
    result = run_command("show", "shown/run-1")
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


def test_show_of_a_pending_run_says_that_it_waits(shared_stack: LocalStack, recorder: Recorder) -> None:
    key = "runs/shown/pending/metadata.json"
    shared_stack.upload(key, b'{"files": [{"path": "data.csv"}]}')
    event = ObjectEvent(shared_stack.outputs["RunsBucket"], key, Run("shown", "pending"), created=True, can_wait=True)
    assert recorder.handle(event).outcome is Outcome.PENDING
    shown = run_command("show", "shown/pending")
    assert "no object data.csv below the run's prefix" in shown.stdout
    assert shown.stdout.endswith("Listed files are not there yet, and are waited for.\n")
    assert json.loads(run_command("show", "shown/pending", "--json").stdout)["state"] == "lacks-files"


def test_show_as_json_keeps_every_digit(record_run: Callable[..., Outcome]) -> None:
    digits = "0.12345678901234567890123456789012345678"
    record_run("exact", "run-1", b'{"parameters": {"x": %s}}' % digits.encode())
    result = run_command("show", "exact/run-1", "--json")
    assert json.loads(result.stdout, parse_float=str)["record"]["config"]["parameters"] == {"x": digits}
    assert json.loads(result.stdout)["state"] == "current"


def test_show_explains_why_a_run_is_not_recorded(record_run: Callable[..., Outcome], shared_stack: LocalStack) -> None:
    result = run_command("show", "shown/nowhere")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert "neither a record nor a metadata.json" in result.stdout

    shared_stack.upload("runs/shown/waiting/metadata.json", b"{}")
    result = run_command("show", "shown/waiting")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert "is not recorded" in result.stdout
    assert json.loads(run_command("show", "shown/waiting", "--json").stdout)["record"] is None

    record_run("shown", "again")
    shared_stack.upload("runs/shown/again/metadata.json", BAD)
    result = run_command("show", "shown/again")
    assert result.exit_code == 0
    assert "uploaded again" in result.stdout

    shared_stack.s3.delete_object(Bucket=shared_stack.outputs["RunsBucket"], Key="runs/shown/again/metadata.json")
    assert json.loads(run_command("show", "shown/again", "--json").stdout)["state"] == "orphaned"


def test_show_reports_truncated_errors_and_missing_files(record_run: Callable[..., Outcome]) -> None:
    files = [{"path": f"{number}.csv"} for number in range(21)]
    record_run("shown", "many", json.dumps({"files": files}).encode())
    shown = run_command("show", "shown/many").stdout
    assert "The document has more errors than these." in shown
    assert "Listed files were missing: `reconcile --repair` looks for them again." in shown
    record_run("shown", "twenty", json.dumps({"files": files[:20]}).encode())
    assert "more errors" not in run_command("show", "shown/twenty").stdout


@pytest.mark.parametrize("run", ["shown/run 1", "shown", "shown/", "/run-1", "shown/run-1/x", "", "runs/shown/run-1"])
def test_ids_that_no_run_can_have_are_a_usage_error(run: str) -> None:
    result = run_command("show", run)
    assert result.exit_code == ExitCode.USAGE
    assert "expected ORG/RUN, such as acme/run-0001" in " ".join(result.stderr.split())
