"""The stack's roles allow every call that its functions make, and no other.

Two checks are necessary. moto evaluates real requests, but ignores conditions. `allows` evaluates conditions, but
depends on `Call.asks` for the permissions that a call needs.
"""

import functools
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import enable_iam_authentication

from build_package import find_operations
from handler.app import backfill_handler, lambda_handler
from local.stack import LocalStack
from local.template import REGION
from run_recorder.cli.backfill import build_job
from tests.support.deployment import Deployment, enforce_tables, record_calls
from tests.support.documents import BAD, GOOD, document
from tests.support.events import batch_event, batch_task
from tests.support.names import KEY, key_of
from tests.support.policies import ACCOUNT, Call, Request, actions, allows, check_grants
from tests.support.stack_fixtures import create_table

WITH_FILES = document(files=[{"path": "data.csv"}])
DATA = "runs/acme/run-0001/data.csv"
EXISTING = "legacy"
KEY_ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/runs"
MODES = {
    "own bucket": {},
    "existing bucket": {"ExistingRunsBucket": EXISTING, "ExistingRunsBucketKeyArn": KEY_ARN},
    "existing table": {"ExistingRunsTable": "records"},
}
FUNCTION_ROLES = ("RecorderRole", "BackfillRole")
QUEUES = ("UploadsQueue", "DeadLetterQueue", "UndeliveredEventsQueue")
SERVICES = ("lambda", "batchoperations.s3", "pipes", "s3", "events", "sns")


BY_POLLER = {"GetQueueAttributes", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"}
"""Operations that Lambda calls in the name of the role."""


@pytest.fixture(scope="module", params=list(MODES.values()), ids=list(MODES))
def created(request: pytest.FixtureRequest) -> Iterator[Deployment]:
    with mock_aws():
        boto3.client("s3", region_name=REGION).create_bucket(Bucket=EXISTING)
        stream = {"ExistingRunsTableStreamArn": create_table("records")} if "ExistingRunsTable" in request.param else {}
        yield Deployment(request.param | stream)


@pytest.fixture
def deployment(created: Deployment, environment: pytest.MonkeyPatch) -> Deployment:
    """The deployment with an empty table, and the environment that its functions get."""
    enforce_tables(environment)
    for name, value in created.stack.environment.items():
        environment.setenv(name, value)
    created.stack.delete_records()
    return created


@pytest.fixture
def stack(deployment: Deployment) -> LocalStack:
    return deployment.stack


@pytest.fixture
def run_as(deployment: Deployment, environment: pytest.MonkeyPatch) -> Callable[[str], list[Call]]:
    """Give a role to the functions and to the poller of the queue; return the calls that they then make."""

    def run(role: str) -> list[Call]:
        session = deployment.assume(role)
        calls = record_calls(session)
        environment.setattr(boto3, "DEFAULT_SESSION", session)
        environment.setattr(deployment.stack, "sqs", session.client("sqs"))
        return calls

    return run


@functools.cache
def packaged_operations() -> set[tuple[str, str]]:
    """Return the operations that the function finds in its package."""
    called = find_operations(Path(botocore.__file__).parent)
    return {(service, operation) for service, operations in called.items() for operation in operations}


def judge(deployment: Deployment, role: str, calls: list[Call]) -> None:
    """Check that the calls are allowed and in the package, and that the role is granted no more."""
    by_code = {(call.service, call.operation) for call in calls if call.operation not in BY_POLLER}
    assert by_code <= packaged_operations()
    asked = [request for call in calls for request in call.asks()]
    if "ExistingRunsBucketKeyArn" in deployment.parameters:
        asked.append(Request("kms:Decrypt", KEY_ARN))  # S3 decrypts in the reader's name
    check_grants(deployment.statements[role], asked)


def test_recorder_may_do_what_it_does_and_is_granted_no_more(
    deployment: Deployment, stack: LocalStack, put_metadata: Any, notify: Any, run_as: Any
) -> None:
    first, second, bad, _ = map(put_metadata, (GOOD, GOOD + b" ", BAD, WITH_FILES))
    stack.upload(DATA, b"")
    put_metadata(WITH_FILES, key_of("late"))
    calls = run_as("RecorderRole")
    events = {
        "recorded": {"sequencer": "1", **first},
        "duplicate": {"sequencer": "1", **first},
        "rejected": {"sequencer": "3", **bad},
        "stale": {"sequencer": "2", **second},  # and fills in what the bad one left out
        "recorded by compare and swap": {},  # the current document, which lists files
        "ignored, no such key": {"key": key_of("gone")},
        "ignored, no such version": {"sequencer": "4", "versionId": "gone"},
        "stale, since a newer one is recorded already": first,
        "ignored, since the version is gone": {"versionId": "gone"},
    }
    with enable_iam_authentication():
        for expected, event in events.items():
            assert expected.startswith(notify(**event)["outcome"]), expected
        while stack.deliver(lambda_handler):
            pass
        queue = stack.sqs.get_queue_attributes(QueueUrl=stack.outputs["UploadsQueue"], AttributeNames=["All"])
    assert queue["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0"
    # The one of the run whose file is late, if there are notifications.
    delayed = [call.operation for call in calls].count("SendMessage")
    assert queue["Attributes"]["ApproximateNumberOfMessagesDelayed"] == str(delayed)
    judge(deployment, "RecorderRole", calls)
    assert "ListObjectVersions" in {call.operation for call in calls}
    looked_for = [call.error for call in calls if call.operation == "HeadObject"]
    assert looked_for == [None, "404"]


def test_backfill_may_do_what_it_does_and_is_granted_no_more(
    deployment: Deployment, stack: LocalStack, put_metadata: Any, run_as: Any
) -> None:
    bad, gone = key_of("bad"), key_of("gone")
    put_metadata(WITH_FILES)
    put_metadata(GOOD, bad)
    put_metadata(BAD, bad)
    stack.upload(DATA, b"")
    event = batch_event(*(batch_task(key) for key in (KEY, bad, gone)))
    calls = run_as("BackfillRole")
    with enable_iam_authentication():
        outcomes = [result["resultString"] for _ in range(2) for result in backfill_handler(event, None)["results"]]
    assert outcomes == ["recorded", "rejected", "ignored", "duplicate", "duplicate", "ignored"]
    assert [item["config"]["M"]["model"]["M"]["name"]["S"] for item in stack.records()] == ["m", "m"]
    judge(deployment, "BackfillRole", calls)


def forbidden(stack: LocalStack, role: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield calls that no function may make: service, method of the client, parameters."""
    bucket, table = stack.outputs["RunsBucket"], stack.outputs["RunsTable"]
    for key in (KEY, DATA, "results/acme/run-0001/metadata.json", "backfill/report.csv"):
        yield "s3", "put_object", {"Bucket": bucket, "Key": key, "Body": b""}
        for version in ({}, {"VersionId": "v"}):
            yield "s3", "delete_object", {"Bucket": bucket, "Key": key, **version}
            if key != KEY:
                yield "s3", "get_object", {"Bucket": bucket, "Key": key, **version}
                yield "s3", "head_object", {"Bucket": bucket, "Key": key, **version}
    for other in ("local-artifacts", f"{bucket}-2"):
        yield "s3", "get_object", {"Bucket": other, "Key": KEY}
        yield "s3", "head_object", {"Bucket": other, "Key": KEY, "VersionId": "v"}
        yield "s3", "list_objects_v2", {"Bucket": other, "Prefix": "runs/"}
        yield "s3", "list_object_versions", {"Bucket": other, "Prefix": KEY}
    for method in ("get_bucket_policy", "delete_bucket"):
        yield "s3", method, {"Bucket": bucket}
    yield "s3", "list_buckets", {}

    item = {"organisation_id": {"S": "acme"}, "run_id": {"S": "run-0001"}}
    for method in ("get_item", "update_item", "delete_item"):
        yield "dynamodb", method, {"TableName": f"{table}-2", "Key": item}
    yield "dynamodb", "put_item", {"TableName": table, "Item": item}
    yield "dynamodb", "delete_item", {"TableName": table, "Key": item}
    for method in ("scan", "query", "describe_table", "delete_table"):
        yield "dynamodb", method, {"TableName": table}

    queue, dead_letters = stack.outputs["UploadsQueue"], stack.outputs["DeadLetterQueue"]
    for url in (queue, dead_letters):
        if (role, url) != ("RecorderRole", queue):
            yield "sqs", "send_message", {"QueueUrl": url, "MessageBody": "m"}
            yield "sqs", "receive_message", {"QueueUrl": url}
        yield "sqs", "purge_queue", {"QueueUrl": url}
    yield "lambda", "list_functions", {}
    yield "iam", "list_roles", {}


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_functions_may_do_nothing_else(deployment: Deployment, stack: LocalStack, role: str) -> None:
    calls = list(forbidden(stack, role))
    make_client: Any = deployment.assume(role).client
    clients = {service: make_client(service) for service, _, _ in calls}
    for service, method, parameters in calls:
        with enable_iam_authentication(), pytest.raises(ClientError) as refusal:
            getattr(clients[service], method)(**parameters)
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, (service, method, parameters)
        call = Call(service, clients[service].meta.method_to_api_mapping[method], parameters)
        assert not any(allows(deployment.statements[role], request) for request in call.asks()), call


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_functions_list_runs_only(deployment: Deployment, role: str) -> None:
    """A listing without a prefix is allowed: S3 checks the same permission before it returns "no such key"."""

    def may_list(prefix: str) -> bool:
        request = Request("s3:ListBucket", deployment.bucket_arn, context={"s3:prefix": prefix})
        return allows(deployment.statements[role], request)

    prefixes = ("runs/acme/run-0001/", "runs/", "runs", "", "results/", "backfill/")
    assert list(filter(may_list, prefixes)) == ["runs/acme/run-0001/", "runs/"]


@pytest.mark.parametrize("role", FUNCTION_ROLES)
def test_functions_list_versions_of_runs_only(deployment: Deployment, role: str) -> None:
    """Unlike a listing of objects, a listing of versions without any prefix is refused."""

    def may_list(prefix: str | None, bucket: str = deployment.bucket_arn) -> bool:
        context = {} if prefix is None else {"s3:prefix": prefix}
        return allows(deployment.statements[role], Request("s3:ListBucketVersions", bucket, context=context))

    prefixes = (KEY, "runs/", "runs", "", None, "results/", "backfill/")
    assert list(filter(may_list, prefixes)) == [KEY, "runs/"]
    assert not may_list(KEY, f"{deployment.bucket_arn}-2")


def test_batch_operations_may_do_what_the_job_takes_and_nothing_else(deployment: Deployment) -> None:
    statements, bucket = deployment.statements["BatchOperationsRole"], deployment.bucket_arn
    job = build_job(deployment.stack.outputs)
    report = f"{job['Report']['Prefix']}/job-1/manifest.json"
    needed = [
        Request("lambda:InvokeFunction", job["Operation"]["LambdaInvoke"]["FunctionArn"]),
        Request("s3:PutInventoryConfiguration", bucket),
        Request("s3:PutObject", f"{bucket}/{report}"),
    ]
    assert all(allows(statements, request) for request in needed)
    assert actions(statements) == {request.action for request in needed}
    assert not allows(statements, Request("lambda:InvokeFunction", deployment.arn("RecorderFunction")))
    assert not allows(statements, Request("s3:PutInventoryConfiguration", f"{bucket}-2"))
    assert not allows(statements, Request("s3:PutObject", f"{bucket}-2/{report}"))
    assert not allows(statements, Request("s3:PutObject", f"{bucket}/{KEY}"))


def test_pipes_may_read_the_stream_publish_and_keep_what_failed_and_nothing_else(deployment: Deployment) -> None:
    statements = deployment.statements["EventsRole"]
    pipe, other = deployment.resources["RunRecordedPipe"], deployment.resources["RunRejectedPipe"]
    stream, bus = pipe["Source"], pipe["Target"]
    undelivered = pipe["SourceParameters"]["DynamoDBStreamParameters"]["DeadLetterConfig"]["Arn"]
    needed = [
        *(
            Request(f"dynamodb:{name}", stream)
            for name in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
        ),
        Request("events:PutEvents", bus),
        Request("sqs:SendMessage", undelivered),
    ]
    assert (other["Source"], other["Target"], other["RoleArn"]) == (stream, bus, pipe["RoleArn"])
    assert all(allows(statements, request) for request in needed)
    assert actions(statements) == {request.action for request in needed}
    assert not allows(statements, Request("dynamodb:GetRecords", f"{stream}-2"))
    assert not allows(statements, Request("events:PutEvents", f"{bus}-2"))
    assert not allows(statements, Request("sqs:SendMessage", deployment.arn("UploadsQueue")))


def test_roles_are_assumed_by_their_service_only(deployment: Deployment) -> None:
    accounts = (ACCOUNT, "999999999999")
    trusted = {
        (role, service, account)
        for role, service, account in product(deployment.statements, SERVICES, accounts)
        if allows(
            deployment.resources[role]["AssumeRolePolicyDocument"]["Statement"],
            Request("sts:AssumeRole", principal=service, context={"aws:SourceAccount": account}),
        )
    }
    functions = product(FUNCTION_ROLES, ["lambda"], accounts)  # Lambda names no account
    assert trusted == {
        *functions,
        ("BatchOperationsRole", "batchoperations.s3", ACCOUNT),
        ("EventsRole", "pipes", ACCOUNT),
    }


def test_only_the_source_of_runs_sends_to_the_queues(deployment: Deployment) -> None:
    has_rule = "UploadsRule" in deployment.resources
    rule = deployment.arn("UploadsRule") if has_rule else "arn:aws:events:::rule/another"
    sources = (deployment.bucket_arn, f"{deployment.bucket_arn}-2", rule, f"{rule}-2")

    def senders(tls: str) -> set[tuple[str, str, str]]:
        return {
            (queue, service, source)
            for queue, service, source in product(QUEUES, SERVICES, sources)
            if allows(
                deployment.policy(f"{queue}Policy"),
                Request(
                    "sqs:SendMessage",
                    deployment.arn(queue),
                    service,
                    {"aws:SourceArn": source, "aws:SourceAccount": ACCOUNT, "aws:SecureTransport": tls},
                ),
            )
        }

    by_rule = {("UploadsQueue", "events", rule), ("DeadLetterQueue", "events", rule)}
    assert senders("true") == (by_rule if has_rule else {("UploadsQueue", "s3", deployment.bucket_arn)})
    assert senders("false") == set()
