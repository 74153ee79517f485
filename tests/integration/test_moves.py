"""The data through the moves of docs/deploy.md: what a repair or a back-fill brings back, in moto."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handler.app import backfill_handler, lambda_handler
from local.show import plain
from local.stack import LocalStack
from local.template import REGION
from tests.support.documents import BAD, GOOD, document
from tests.support.events import batch_event, batch_task
from tests.support.names import key_of
from tests.support.stack_fixtures import create_table, enter_environment, run_command

pytestmark = pytest.mark.usefixtures("distinct_times")

SECOND = "run-recorder-2"
TIMES = {"first_recorded_at", "recorded_at"}
OLD = document(name="old")


class World:
    """A bucket and a table that outlive their stacks."""

    def __init__(self, environment: pytest.MonkeyPatch) -> None:
        self._environment = environment
        self._dynamodb = boto3.client("dynamodb", region_name=REGION)
        self.stack = self._deploy({})
        self.bucket, self.table = self.stack.outputs["RunsBucket"], self.stack.outputs["RunsTable"]

    def upload(self, run_id: str, body: bytes = GOOD) -> None:
        """Store a metadata.json."""
        self.stack.s3.put_object(Bucket=self.bucket, Key=key_of(run_id), Body=body)

    def deliver(self) -> None:
        """Let the function handle what is in the queue."""
        while self.stack.deliver(lambda_handler):
            pass

    def create_table(self, name: str, items: list[dict[str, Any]] | None = None) -> str:
        """Create a table as the template does, with these items; return the ARN of its stream."""
        stream = create_table(name)
        for item in items or []:
            self._dynamodb.put_item(TableName=name, Item=item)
        return stream

    def deploy_again(self, table: str, stream: str) -> None:
        """Deploy a second stack with the bucket and a table that are there.

        The first one stays, since moto would delete the bucket and the table with it.
        """
        self.stack = self._deploy(
            {
                "ExistingRunsBucket": self.bucket,
                "ExistingRunsTable": table,
                "ExistingRunsTableStreamArn": stream,
            },
            name=SECOND,
        )

    def records(self) -> dict[str, dict[str, Any]]:
        """Return the records of the deployed stack by their run ids."""
        records = map(plain, self.stack.records())
        return {record["run_id"]: record for record in records}

    def _deploy(self, parameters: dict[str, str], name: str = "run-recorder") -> LocalStack:
        stack = LocalStack(parameters, name=name)
        enter_environment(self._environment, stack)
        return stack


@pytest.fixture
def world(environment: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        yield World(environment)


def without(record: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def test_new_stack_goes_on_with_the_records_and_repairs_what_was_uploaded_in_between(world: World) -> None:
    world.upload("before")
    world.upload("again", OLD)
    world.deliver()
    before = world.records()
    stream = world.stack.dynamodb.describe_table(TableName=world.table)["Table"]["LatestStreamArn"]

    world.upload("between")
    world.upload("again")
    world.stack.sqs.purge_queue(QueueUrl=world.stack.outputs["UploadsQueue"])
    world.deploy_again(world.table, stream)
    assert world.records() == before
    assert run_command("reconcile", "--stack", SECOND).exit_code == 1
    assert run_command("reconcile", "--repair", "--stack", SECOND).exit_code == 0
    after = world.records()
    assert after.keys() == {"before", "again", "between"}
    assert after["before"] == before["before"]
    assert "name" not in after["again"]
    assert after["again"]["first_recorded_at"] == before["again"]["first_recorded_at"]


def test_lost_table_comes_back_from_the_bucket_but_for_times_and_sequencers(world: World) -> None:
    world.upload("good", OLD)
    world.upload("bad")
    world.deliver()
    world.upload("bad", BAD)
    world.upload("pending", document(files=[{"path": "late.csv"}]))
    world.deliver()
    before = world.records()
    world.deploy_again("empty", world.create_table("empty"))
    assert world.records() == {}
    tasks = [batch_task(key_of(run_id), task_id=run_id) for run_id in before]
    results = backfill_handler(batch_event(*tasks), None)["results"]
    assert {result["resultCode"] for result in results} == {"Succeeded"}
    after = world.records()
    for run_id in ("good", "bad"):
        assert without(after[run_id], TIMES) == without(before[run_id], TIMES)
    # A back-fill waits for no file: it rejects, until the file is there.
    assert after["pending"]["status"] == "rejected"
    assert without(after["pending"], TIMES | {"status"}) == without(before["pending"], TIMES | {"status"})


def test_restored_table_is_brought_up_to_the_bucket_by_a_repair(world: World) -> None:
    world.upload("same")
    world.upload("changed", OLD)
    world.deliver()
    backup = world.stack.records()
    world.upload("changed")
    world.upload("new")
    world.deliver()
    latest = world.records()
    world.deploy_again("restored", world.create_table("restored", backup))
    assert run_command("reconcile", "--repair", "--stack", SECOND).exit_code == 0
    restored = world.records()
    assert restored.keys() == latest.keys()
    for run_id, record in latest.items():
        assert without(restored[run_id], TIMES) == without(record, TIMES)
    assert restored["same"] == latest["same"]
    assert restored["changed"]["first_recorded_at"] == latest["changed"]["first_recorded_at"]
    assert restored["new"]["first_recorded_at"] > latest["new"]["first_recorded_at"]


def test_deleted_run_is_not_recorded_again(world: World) -> None:
    world.upload("doomed")
    world.upload("kept")
    world.deliver()
    versions = world.stack.s3.list_object_versions(Bucket=world.bucket, Prefix="runs/acme/doomed/")["Versions"]
    for version in versions:
        world.stack.s3.delete_object(Bucket=world.bucket, Key=version["Key"], VersionId=version["VersionId"])
    key = {"organisation_id": {"S": "acme"}, "run_id": {"S": "doomed"}}
    world.stack.dynamodb.delete_item(TableName=world.table, Key=key)
    (result,) = backfill_handler(batch_event(batch_task(key_of("doomed"))), None)["results"]
    assert result["resultString"] == "ignored"
    assert run_command("reconcile", "--repair").exit_code == 0
    assert world.records().keys() == {"kept"}
