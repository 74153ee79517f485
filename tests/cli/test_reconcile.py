"""`run-recorder reconcile`: each class of difference reported and repaired, at the stated cost."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from pytest_mock import MockerFixture

from local.show import plain
from local.stack import LocalStack
from run_recorder.cli.inspection import Inspection
from run_recorder.cli.records import Records
from run_recorder.cli.run_locations import find_run_locations
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.errors import AWSCallError
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from tests.support.stack_fixtures import run_command

BAD = b'{"name": ""}'
LISTS_A_FILE = b'{"files": [{"path": "data.csv"}]}'
# Ids that the table and the listing sort differently, and neighbours of theirs.
IDS = ["a", "a+", "a+b", "a-", "a-1", "a-1-1", "a-10", "a.", "a0", "a:", "aa", "b", "b-1", "b~"]


def reconcile(*arguments: str) -> Result:
    return run_command("reconcile", *arguments)


def report(*arguments: str) -> dict[str, Any]:
    return parse_report(reconcile("--json", *arguments))


def parse_report(result: Result) -> dict[str, Any]:
    """Return the summary, and the findings as one of its members."""
    *findings, last = map(json.loads, result.stdout.splitlines())
    return {"findings": findings, **last["summary"]}


@pytest.fixture
def write_record(shared_stack: LocalStack) -> Callable[..., None]:
    """Put an item into the table, whatever the bucket holds."""

    def put(organisation: str, run: str, **attributes: str) -> None:
        item = {"organisation_id": organisation, "run_id": run, **attributes}
        shared_stack.dynamodb.put_item(
            TableName=shared_stack.outputs["RunsTable"], Item={name: {"S": value} for name, value in item.items()}
        )

    return put


def record_of(stack: LocalStack, organisation: str, run: str) -> dict[str, Any]:
    key = {"organisation_id": {"S": organisation}, "run_id": {"S": run}}
    return plain(stack.dynamodb.get_item(TableName=stack.outputs["RunsTable"], Key=key).get("Item", {}))


def delete(stack: LocalStack, key: str) -> None:
    """Delete an object for good: moto's listings show the prefix of one that has a delete marker."""
    bucket = stack.outputs["RunsBucket"]
    for version in stack.s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]:
        stack.s3.delete_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])


@pytest.fixture
def one_of_each(shared_stack: LocalStack, record_run: Callable[..., Outcome]) -> Callable[[str], dict[str, str]]:
    """Make a run of each state for an organisation; return the states by run or key, without the current ones."""

    def make(organisation: str) -> dict[str, str]:
        for run in ("current", "outdated", "spoilt", "orphaned", "unlisted"):
            record_run(organisation, run, b'{"name": "first"}')
        record_run(organisation, "rejected", BAD)
        for run in ("unsettled", "lacks-files"):
            record_run(organisation, run, LISTS_A_FILE)
        prefix = f"runs/{organisation}"
        for name, body in {
            "missing/data.csv": b"1",
            "unsettled/data.csv": b"1",
            "missing/metadata.json": b'{"name": "new"}',
            "missing-and-bad/metadata.json": BAD,
            "outdated/metadata.json": b'{"name": "second"}',
            "spoilt/metadata.json": BAD,
            "incomplete/data.csv": b"1",
            "incomplete/data/metadata.json": b"a file of the run",
            "orphaned/data.csv": b"1",
            "bad id/metadata.json": b"{}",
            "bad id, incomplete/data.csv": b"1",
            "/metadata.json": b"{}",
            "metadata.json": b"{}",
            "README": b"not below a run",
        }.items():
            shared_stack.upload(f"{prefix}/{name}", body)
        shared_stack.s3.delete_object(Bucket=shared_stack.outputs["RunsBucket"], Key=f"{prefix}/orphaned/metadata.json")
        delete(shared_stack, f"{prefix}/unlisted/metadata.json")
        states = {
            "missing": "missing",
            "missing-and-bad": "missing",
            "outdated": "outdated",
            "spoilt": "outdated",
            "incomplete": "incomplete",
            "unsettled": "unsettled",
            "lacks-files": "lacks-files",
            "orphaned": "orphaned",
            "unlisted": "orphaned",
            "bad id": "unrecordable",
            "bad id, incomplete": "incomplete",
            "": "unrecordable",
        }
        return {f"{prefix}/{run}/metadata.json": state for run, state in states.items()} | {
            f"{prefix}/metadata.json": "unrecordable"
        }

    return make


def states(document: dict[str, Any]) -> dict[str, str]:
    return {finding["key"]: finding["state"] for finding in document["findings"]}


def test_each_difference_is_reported_once(one_of_each: Callable[[str], dict[str, str]]) -> None:
    expected = one_of_each("reported")
    document = report("reported")
    assert states(document) == expected
    assert len(document["findings"]) == len(expected)
    assert document["counts"] == {
        "current": 2, "unsettled": 1, "lacks-files": 1, "lacks-config": 0, "missing": 2, "outdated": 2, "orphaned": 2,
        "unrecordable": 3, "unreadable": 0, "incomplete": 2,
    }  # fmt: skip
    assert (document["finished"], document["repaired"]) == (True, 0)

    result = reconcile("reported")
    assert result.exit_code == 1
    *lines, summary, _ = result.stdout.splitlines()
    assert sorted(line.split(maxsplit=1)[0] for line in lines) == sorted(expected.values())
    assert summary == (
        "15 compared: 2 current, 1 unsettled, 1 lacks-files, 0 lacks-config, 2 missing, 2 outdated, 2 orphaned, "
        "3 unrecordable, 0 unreadable, 2 incomplete; 0 repaired"
    )
    assert result.stderr == ""


@pytest.mark.parametrize("options", [[], ["--quick"]])
def test_run_that_lacked_files_is_evaluated_again_by_a_repair(
    shared_stack: LocalStack, record_run: Callable[..., Outcome], options: list[str]
) -> None:
    organisation = f"late{len(options)}"
    assert record_run(organisation, "run", LISTS_A_FILE) == "rejected"
    before = record_of(shared_stack, organisation, "run")
    assert reconcile(organisation, *options).exit_code == 0
    still_missing = report(organisation, "--repair", *options)
    assert [finding["state"] for finding in still_missing["findings"]] == ["lacks-files"]
    assert still_missing["repaired"] == 0
    assert record_of(shared_stack, organisation, "run") == before

    shared_stack.upload(f"runs/{organisation}/run/data.csv", b"1")
    assert states(report(organisation, *options)) == {f"runs/{organisation}/run/metadata.json": "unsettled"}
    assert reconcile(organisation, *options).exit_code == 1
    repaired = report(organisation, "--repair", *options)
    assert [finding["outcome"] for finding in repaired["findings"]] == ["recorded"]
    assert repaired["repaired"] == 1
    assert record_of(shared_stack, organisation, "run")["status"] == "recorded"
    assert report(organisation, *options)["findings"] == []


def test_run_that_was_left_pending_is_settled_by_a_repair(
    shared_stack: LocalStack, recorder: Recorder, mocker: MockerFixture
) -> None:
    key = "runs/pending/run/metadata.json"
    shared_stack.upload(key, LISTS_A_FILE)
    bucket = shared_stack.outputs["RunsBucket"]
    event = ObjectEvent(bucket, key, Run("pending", "run"), created=True, can_wait=True)
    assert recorder.handle(event).outcome is Outcome.PENDING
    for options in ([], ["--repair"]):
        while_it_waits = reconcile("pending", *options)
        assert while_it_waits.exit_code == 0
        assert while_it_waits.stdout.startswith(f"lacks-files   {key}")
    shared_stack.upload("runs/pending/run/data.csv", b"1")
    assert states(report("pending")) == {key: "unsettled"}
    delete(shared_stack, "runs/pending/run/data.csv")

    for module in ("run_recorder.cli.inspection", "run_recorder.waiting"):
        clock = mocker.patch(f"{module}.datetime", autospec=True)
        clock.now.return_value = datetime.now(UTC) + timedelta(hours=25, minutes=1)
    assert reconcile("pending").exit_code == 1
    assert states(report("pending")) == {key: "unsettled"}
    repaired = reconcile("pending", "--repair")
    assert repaired.exit_code == 0
    assert "→ rejected" in repaired.stdout
    assert record_of(shared_stack, "pending", "run")["status"] == "rejected"
    assert states(report("pending")) == {key: "lacks-files"}


def test_report_has_the_version_of_both_sides(shared_stack: LocalStack, record_run: Callable[..., Outcome]) -> None:
    record_run("sides", "run")
    recorded = record_of(shared_stack, "sides", "run")
    version = shared_stack.upload("runs/sides/run/metadata.json", BAD)
    (finding,) = report("sides")["findings"]
    assert finding["recorded_version_id"] == recorded["version_id"]
    assert finding["recorded_etag"] == recorded["etag"]
    assert finding["version_id"] == version
    assert finding["etag"] not in (None, recorded["etag"])
    assert finding["uploaded_at"] >= recorded["uploaded_at"]
    assert finding["outcome"] is None


def test_repair_records_what_is_missing_or_outdated(
    shared_stack: LocalStack, one_of_each: Callable[[str], dict[str, str]]
) -> None:
    one_of_each("repaired")
    before = record_of(shared_stack, "repaired", "spoilt")
    document = report("repaired", "--repair")
    outcomes = {finding["key"].split("/")[2]: finding["outcome"] for finding in document["findings"]}
    assert {run: outcome for run, outcome in outcomes.items() if outcome} == {
        "missing": "recorded", "missing-and-bad": "rejected", "outdated": "recorded", "spoilt": "rejected",
        "unsettled": "recorded",
    }  # fmt: skip
    assert document["repaired"] == 5

    missing = record_of(shared_stack, "repaired", "missing")
    assert (missing["status"], missing["name"]) == ("recorded", "new")
    # The settings are those of the deployed function, not of this process.
    assert missing["config"]["model"] == {"name": "deployed", "version": "7"}
    assert missing["config"]["output"].startswith(f"s3://{shared_stack.outputs['RunsBucket']}/results/")
    assert record_of(shared_stack, "repaired", "outdated")["name"] == "second"
    spoilt = record_of(shared_stack, "repaired", "spoilt")
    assert (spoilt["status"], spoilt["config"]) == ("rejected", before["config"])

    after = shared_stack.records()
    again = report("repaired", "--repair")
    assert again["repaired"] == again["counts"]["missing"] == again["counts"]["outdated"] == 0
    assert shared_stack.records() == after


def test_exit_code_is_0_once_all_is_repaired(shared_stack: LocalStack, record_run: Callable[..., Outcome]) -> None:
    record_run("repaired-all", "run")
    shared_stack.upload("runs/repaired-all/run/metadata.json", BAD)
    shared_stack.upload("runs/repaired-all/unfinished/data.csv", b"1")
    assert reconcile("repaired-all").exit_code == 1
    repaired = reconcile("repaired-all", "--repair")
    assert repaired.exit_code == 0
    assert [line[:8] for line in repaired.stdout.splitlines() if line.endswith("  → rejected")] == ["outdated"]
    assert reconcile("repaired-all").exit_code == 0


def test_organisations_are_found_on_both_sides(shared_stack: LocalStack, write_record: Callable[..., None]) -> None:
    for run in ("r1", "r2", "z"):
        write_record("only-in-table", run, etag="e")
    write_record("only-in-table-2", "r", etag="e")
    shared_stack.upload("runs/only-in-bucket/r/metadata.json", b"{}")
    shared_stack.upload("runs/bad organisation/r/metadata.json", b"{}")
    shared_stack.upload("runs/metadata.json", b"{}")
    found = states(report())
    expected = {
        **{f"runs/only-in-table/{run}/metadata.json": "orphaned" for run in ("r1", "r2", "z")},
        "runs/only-in-table-2/r/metadata.json": "orphaned",
        "runs/only-in-bucket/r/metadata.json": "missing",
        "runs/bad organisation/r/metadata.json": "unrecordable",
        "runs/metadata.json": "unrecordable",
    }
    assert expected.items() <= found.items()


def test_only_the_organisations_that_are_named_are_compared(shared_stack: LocalStack) -> None:
    expected = [f"runs/named-{letter}/r/metadata.json" for letter in "abd"]
    for letter in "dcba":
        shared_stack.upload(f"runs/named-{letter}/r/metadata.json", b"{}")
    named = ["named-d", "named-a", "named-b", "named-a"]
    assert [finding["key"] for finding in report(*named)["findings"]] == expected
    rest = report(*named, "--start-after", "named-a/r")
    assert [finding["key"] for finding in rest["findings"]] == expected[1:]
    assert reconcile("named-a", "named/b").exit_code == 2


def test_quick_takes_a_run_on_both_sides_as_current(one_of_each: Callable[[str], dict[str, str]]) -> None:
    expected = one_of_each("quick")
    document = report("quick", "--quick")
    hidden = {
        "runs/quick/outdated/metadata.json",
        "runs/quick/spoilt/metadata.json",
        "runs/quick/orphaned/metadata.json",
    }
    assert states(document) == {key: state for key, state in expected.items() if key not in hidden}


def test_cost_depends_on_runs_and_not_on_their_files(
    shared_stack: LocalStack,
    record_run: Callable[..., Outcome],
    write_record: Callable[..., None],
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(25):
        record_run("busy", f"run-{number}")
        for file in range(5):
            shared_stack.upload(f"runs/busy/run-{number}/{file}.csv", b"1")
    common = {"DescribeStacks": 1, "ListObjectsV2": 3, "Query": 1}
    assert report("busy")["aws_calls"] == {**common, "HeadObject": 25}
    assert report("busy", "--quick")["aws_calls"] == common
    # What differs is looked at once more, on both sides.
    write_record("busy", "run-7", etag="another")
    assert report("busy")["aws_calls"] == {**common, "HeadObject": 26, "GetItem": 1}


def keys(stack: LocalStack, organisation: str, after: str | None = None) -> Iterator[str]:
    records = Records(RunTable(stack.outputs["RunsTable"], stack.dynamodb))
    start = Run(organisation, after) if after is not None else None
    for location in find_run_locations(stack.outputs["RunsBucket"], S3(stack.s3), records, [organisation], start):
        sides = "both" if location.listed and location.record else "bucket" if location.listed else "table"
        yield f"{location.key.split('/')[2]} {sides}"


def test_streams_are_merged_although_table_and_listing_sort_differently(
    shared_stack: LocalStack, write_record: Callable[..., None], environment: pytest.MonkeyPatch
) -> None:
    """After each run, too, so that a comparison can continue anywhere."""
    environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    choose = random.Random(2)  # noqa: S311
    sides = {run: choose.choice(["both", "bucket", "table"]) for run in IDS}
    assert set(sides.values()) == {"both", "bucket", "table"}
    for run, side in sides.items():
        if side != "bucket":
            write_record("sorted", run, etag="e")
        if side != "table":
            shared_stack.upload(f"runs/sorted/{run}/data.csv", b"1")
    in_order = sorted(IDS, key=lambda run: f"{run}/")
    assert in_order != sorted(IDS)
    expected = [f"{run} {sides[run]}" for run in in_order]
    assert list(keys(shared_stack, "sorted")) == expected
    for after in [*in_order, "a-1-", "a~", "0", "zz"]:
        rest = [f"{run} {sides[run]}" for run in in_order if f"{run}/" > f"{after}/"]
        assert list(keys(shared_stack, "sorted", after)) == rest, after


def test_comparison_continues_where_it_was_interrupted(
    one_of_each: Callable[[str], dict[str, str]], mocker: MockerFixture
) -> None:
    expected = one_of_each("interrupted") | one_of_each("interrupted-2")
    whole = {key: state for key, state in states(report()).items() if key in expected}
    assert whole == expected
    inspect = Inspection.inspect

    def press_ctrl_c(self: Inspection, location: Any) -> Any:
        if location.key == "runs/interrupted/missing/metadata.json":
            raise KeyboardInterrupt
        return inspect(self, location)

    mocker.patch.object(Inspection, "inspect", press_ctrl_c)
    result = reconcile("--json")
    assert result.exit_code == 130
    first = parse_report(result)
    assert not first["finished"]
    assert result.stderr.splitlines() == [f"stopped early; continue with --start-after {first['last']}", "interrupted"]
    assert first["last"] == "interrupted/missing-and-bad"
    mocker.stopall()
    second = report("--start-after", first["last"])
    assert second["finished"]
    both = [finding["key"] for document in (first, second) for finding in document["findings"]]
    assert sorted(key for key in both if key in expected) == sorted(expected)


def test_failure_of_aws_stops_the_comparison_and_prints_where_to_continue(
    record_run: Callable[..., Outcome], mocker: MockerFixture
) -> None:
    for run in ("r1", "r2", "r3"):
        record_run("failing", run)
    head_object = S3.head_object

    def refuse(self: S3, bucket: str, key: str) -> Any:
        if key == "runs/failing/r2/metadata.json":
            raise AWSCallError("looking failed: SlowDown")
        return head_object(self, bucket, key)

    mocker.patch.object(S3, "head_object", refuse)
    result = reconcile("failing")
    assert result.exit_code == 3
    assert result.stderr == ("stopped early; continue with --start-after failing/r1\nError: looking failed: SlowDown\n")
    assert result.stdout.startswith("1 compared: 1 current")


def test_failure_before_the_first_run_is_reported(shared_stack: LocalStack, mocker: MockerFixture) -> None:  # noqa: ARG001
    mocker.patch.object(S3, "list_level", side_effect=AWSCallError("listing failed"))
    result = reconcile()
    assert (result.exit_code, result.stderr) == (3, "stopped early; nothing was compared yet\nError: listing failed\n")


@pytest.mark.parametrize("start", ["acme", ""])
def test_start_that_is_no_run_is_a_usage_error(start: str) -> None:
    assert reconcile("--start-after", start).exit_code == 2


def test_run_that_is_uploaded_and_recorded_meanwhile_is_not_reported(
    record_run: Callable[..., Outcome], mocker: MockerFixture
) -> None:
    record_run("live", "run")
    head_object = S3.head_object
    looks = []

    def upload_before_the_first_look(self: S3, bucket: str, key: str) -> Any:
        looks.append(key)
        if len(looks) == 1:
            record_run("live", "run", b'{"name": "newer"}')
        return head_object(self, bucket, key)

    mocker.patch.object(S3, "head_object", upload_before_the_first_look)
    document = report("live", "--repair")
    assert (document["findings"], document["counts"]["current"], len(looks)) == ([], 1, 2)


def test_run_that_a_live_event_records_first_is_a_duplicate(
    shared_stack: LocalStack, recorder: Recorder, mocker: MockerFixture
) -> None:
    """The repair depends on the record as it is then, not on the record that was compared."""
    key = "runs/raced/run/metadata.json"
    shared_stack.upload(key, b"{}")
    handle = Recorder.handle

    def be_late(self: Recorder, upload: ObjectEvent) -> Any:
        handle(recorder, upload)
        return handle(self, upload)

    mocker.patch.object(Recorder, "handle", be_late)
    (finding,) = report("raced", "--repair")["findings"]
    assert (finding["state"], finding["outcome"]) == ("missing", "duplicate")


def test_same_document_uploaded_again_is_another_version(
    shared_stack: LocalStack, record_run: Callable[..., Outcome]
) -> None:
    record_run("same", "run")
    shared_stack.upload("runs/same/run/metadata.json", b"{}")
    assert report("same")["counts"]["outdated"] == 1


def test_progress_is_shown_on_standard_error_alone(
    record_run: Callable[..., Outcome], environment: pytest.MonkeyPatch
) -> None:
    record_run("progress", "run")
    # By which rich takes standard error for a terminal, and for one that can move its cursor.
    environment.setenv("FORCE_COLOR", "1")
    environment.setenv("TERM", "xterm")
    result = reconcile("progress")
    assert "1 run compared" in result.stderr
    assert result.stdout.startswith("1 compared: 1 current")
    assert "1 run compared" in reconcile("progress", "--json").stderr


def test_findings_are_printed_above_the_progress_bar_of_their_terminal(
    shared_stack: LocalStack, environment: pytest.MonkeyPatch, mocker: MockerFixture
) -> None:
    key = f"runs/terminal/{'x' * 120}/metadata.json"
    shared_stack.upload(key, b"{}")
    environment.setenv("FORCE_COLOR", "1")
    mocker.patch("click.testing._NamedTextIOWrapper.isatty", create=True, return_value=True)
    result = reconcile("terminal")
    assert f"missing       {key}  uploaded" in result.stderr
    assert result.stdout.startswith("1 compared: ")
    assert reconcile("terminal", "--json").stderr == ""


def test_unversioned_objects_differ_by_their_entity_tags(
    shared_stack: LocalStack, record_run: Callable[..., Outcome]
) -> None:
    bucket = shared_stack.outputs["RunsBucket"]
    shared_stack.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    try:
        record_run("unversioned", "run")
        assert report("unversioned")["counts"]["current"] == 1
        shared_stack.upload("runs/unversioned/run/metadata.json", BAD)
        assert report("unversioned")["counts"]["outdated"] == 1
    finally:
        shared_stack.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
