"""`run-recorder reconcile` and the config of a record that is not accepted: that of the last accepted upload."""

from collections.abc import Callable
from typing import Any

import pytest

from local.stack import LocalStack
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.recorder import Recorder
from tests.cli.test_reconcile import BAD, LISTS_A_FILE, reconcile, record_of, report, states
from tests.support.stack_fixtures import run_command

Record = Callable[..., str]


@pytest.fixture
def record_version(shared_stack: LocalStack, recorder: Recorder) -> Record:
    """Upload documents of a run in turn, and record the last of them alone, as its event does; return its key."""

    def record(organisation: str, *bodies: bytes, can_wait: bool = False) -> str:
        key = f"runs/{organisation}/run/metadata.json"
        versions = [shared_stack.upload(key, body) for body in bodies]
        bucket, run = shared_stack.outputs["RunsBucket"], Run(organisation, "run")
        sequencer = f"{len(record_of(shared_stack, organisation, 'run')) + 1:032X}"
        recorder.handle(ObjectEvent(bucket, key, run, True, versions[-1], sequencer=sequencer, can_wait=can_wait))
        return key

    return record


@pytest.mark.parametrize(
    ("last", "can_wait"),
    [(BAD, False), (LISTS_A_FILE, False), (LISTS_A_FILE, True)],
    ids=["invalid", "without its file", "pending"],
)
def test_config_whose_event_was_lost_is_reported_and_repaired(
    shared_stack: LocalStack, record_version: Record, last: bytes, can_wait: bool
) -> None:
    organisation = f"lost-{len(last)}-{can_wait}"
    key = record_version(organisation, b'{"name": "good"}', BAD, last, can_wait=can_wait)
    before = record_of(shared_stack, organisation, "run")
    assert "config" not in before
    assert states(report(organisation)) == {key: "lacks-config"}
    assert reconcile(organisation).exit_code == 1

    repaired = reconcile(organisation, "--repair")
    assert repaired.exit_code == 0
    assert repaired.stdout.startswith(f"lacks-config  {key}  uploaded ")
    assert repaired.stdout.splitlines()[0].endswith("  → config recorded")
    assert "; 1 repaired\n" in repaired.stdout
    after = record_of(shared_stack, organisation, "run")
    assert (after["status"], after["errors"], after["name"]) == (before["status"], before["errors"], "good")
    assert after["config"]["model"] == {"name": "deployed", "version": "7"}
    assert "lacks-config" not in states(report(organisation)).values()


def test_config_of_an_older_accepted_upload_is_replaced(shared_stack: LocalStack, record_version: Record) -> None:
    record_version("replaced", b'{"name": "first"}')
    key = record_version("replaced", b'{"name": "second"}', BAD)
    assert record_of(shared_stack, "replaced", "run")["name"] == "first"
    assert states(report("replaced", "--repair")) == {key: "lacks-config"}
    assert record_of(shared_stack, "replaced", "run")["name"] == "second"


def test_config_of_the_last_accepted_upload_is_current(record_run: Callable[..., Outcome]) -> None:
    record_run("kept", "run", b"{}")
    record_run("kept", "run", BAD)
    record_run("never-accepted", "run", BAD)
    document = report("kept", "never-accepted")
    assert (document["findings"], document["counts"]["current"]) == ([], 2)


def test_run_whose_files_came_is_unsettled_whatever_its_config(
    shared_stack: LocalStack, record_version: Record
) -> None:
    key = record_version("both", b"{}", LISTS_A_FILE)
    shared_stack.upload("runs/both/run/data.csv", b"1")
    assert states(report("both")) == {key: "unsettled"}
    (finding,) = report("both", "--repair")["findings"]
    assert (finding["state"], finding["outcome"]) == ("unsettled", "recorded")


def test_only_records_that_are_not_accepted_cost_further_requests(
    record_run: Callable[..., Outcome], record_version: Record
) -> None:
    """As docs/command-line.md states them."""
    for number in range(5):
        record_run("cost", f"accepted-{number}")
    for body in (b"{}", BAD, BAD):
        record_run("cost", "rejected", body)
    calls: dict[str, Any] = {"DescribeStacks": 1, "ListObjectsV2": 1, "Query": 1, "HeadObject": 6}
    calls |= {"GetFunctionConfiguration": 1, "ListObjectVersions": 1}
    document = report("cost")
    # One GET request for the rejected version between the current one and the last accepted one.
    assert (document["findings"], document["aws_calls"]) == ([], {**calls, "GetObject": 1})
    assert "ListObjectVersions" not in report("cost", "--quick")["aws_calls"]

    record_version("cost-2", b"{}", BAD)
    calls |= {"HeadObject": 2, "GetItem": 1, "ListObjectVersions": 2, "GetObject": 2}
    assert report("cost-2")["aws_calls"] == calls


def test_configs_are_not_compared_without_the_settings_of_the_function(
    shared_stack: LocalStack, record_version: Record
) -> None:
    record_version("unknown", b"{}", BAD)
    options = ["--bucket", shared_stack.outputs["RunsBucket"], "--table", shared_stack.outputs["RunsTable"]]
    result = run_command("reconcile", "unknown", "--stack", "another", *options)
    assert (result.exit_code, result.stdout[:21]) == (0, "1 compared: 1 current")
    assert result.stderr.startswith("configs of runs that are not accepted are not compared: leave out --bucket")
    assert run_command("reconcile", "unknown", "--stack", "another", "--quick", *options).stderr == ""


def test_older_version_that_cannot_be_read_is_named(shared_stack: LocalStack, record_version: Record) -> None:
    key = "runs/older/run/metadata.json"
    bucket = shared_stack.outputs["RunsBucket"]
    archived = shared_stack.s3.put_object(Bucket=bucket, Key=key, Body=b"{}", StorageClass="GLACIER")["VersionId"]
    record_version("older", BAD)
    (finding,) = report("older")["findings"]
    assert finding["state"] == "unreadable"
    assert finding["error"].startswith(f"reading s3://{bucket}/{key}, version {archived}, failed: ")
    assert "InvalidObjectState" in finding["error"]
