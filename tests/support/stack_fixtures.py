"""The stack of the template, in moto."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from click.testing import CliRunner, Result
from moto import mock_aws
from pytest_mock import MockerFixture

from handler.app import lambda_handler
from local.show import plain
from local.stack import STACK_NAME, LocalStack
from local.template import REGION, translate
from run_recorder.cli import main
from run_recorder.cli.stack import Stack
from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.keys import parse_key
from run_recorder.recorder import Recorder
from tests.support.documents import GOOD
from tests.support.events import notification, s3_record
from tests.support.names import KEY
from tests.support.resolution import resolve


def run_command(*arguments: object, stdin: bytes | None = None) -> Result:
    """Run a command of `run-recorder`."""
    return CliRunner().invoke(main, [*map(str, arguments)], input=stdin)


def empty_queue(stack: LocalStack, output: str) -> None:
    """Delete the visible messages of a queue; moto purges a queue once a minute only."""
    url = stack.outputs[output]
    while left := stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in left:
            stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def create_table(name: str) -> str:
    """Create a table as the template does, without a stack; return the ARN of its stream."""
    properties = translate({})["Resources"]["RunsTable"]["Properties"]
    names = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    client: Any = boto3.client("dynamodb", region_name=REGION)
    created = client.create_table(
        TableName=name,
        StreamSpecification={"StreamEnabled": True, **properties["StreamSpecification"]},
        **{each: properties[each] for each in names},
    )
    stream: str = created["TableDescription"]["LatestStreamArn"]
    return stream


def enter_environment(environment: pytest.MonkeyPatch, stack: LocalStack) -> None:
    """Set the environment of the stack's function in this process."""
    for name, value in stack.environment.items():
        environment.setenv(name, value)


@pytest.fixture(scope="session")
def resources() -> dict[str, Any]:
    """Those of a deployment with the template's defaults."""
    return resolve({})


@pytest.fixture(scope="session")
def alarms(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The properties of the alarms, by their names in the template."""
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.fixture
def no_waiting(mocker: MockerFixture) -> None:
    """Long polling of the dead-letter queue waits a second for what will not come."""
    mocker.patch("run_recorder.cli.dead_letter_queue._WAIT_SECONDS", 0)


@pytest.fixture
def stack(environment: pytest.MonkeyPatch) -> Iterator[LocalStack]:
    """The stack, and the environment that its function gets."""
    with mock_aws():
        stack = LocalStack()
        enter_environment(environment, stack)
        yield stack


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[LocalStack]:
    """A stack for all tests of a module, each of which keeps to runs of its own; the model has a default."""
    with mock_aws():
        stack = LocalStack({"ModelName": "deployed", "ModelVersion": "7"})
        # What is uploaded is recorded when a test says so.
        stack.s3.put_bucket_notification_configuration(Bucket=stack.outputs["RunsBucket"], NotificationConfiguration={})
        yield stack


@pytest.fixture
def recorder(shared_stack: LocalStack) -> Recorder:  # noqa: ARG001 - in its mock
    """The function's recorder, as commands make it."""
    return Stack(STACK_NAME).recorder()


@pytest.fixture
def record_run(shared_stack: LocalStack, recorder: Recorder) -> Callable[..., Outcome]:
    """Upload a document to the shared stack and records it."""

    def put(organisation: str, run: str, body: bytes = b"{}") -> Outcome:
        key = f"runs/{organisation}/{run}/metadata.json"
        shared_stack.upload(key, body)
        return recorder.handle(
            ObjectEvent(shared_stack.outputs["RunsBucket"], key, parse_key(key), created=True)
        ).outcome

    return put


@pytest.fixture
def stub_client(mocker: MockerFixture) -> Iterator[Callable[[str], Stubber]]:
    """Make sessions return one client of a service, whose requests are checked against the service
    model, and go nowhere.
    """
    with contextlib.ExitStack() as stack:

        def stub(service: str) -> Stubber:
            make_client: Any = boto3.Session.client
            client = make_client(boto3.Session(), service)

            def choose(self: boto3.Session, name: str, **options: Any) -> Any:
                return client if name == service else make_client(self, name, **options)

            mocker.patch.object(boto3.Session, "client", choose)
            return stack.enter_context(Stubber(client))

        yield stub


@pytest.fixture
def made_stacks(mocker: MockerFixture) -> list[Stack]:
    """The stacks that commands make, which count their calls."""
    made: list[Stack] = []
    initialize = Stack.__init__

    def keep(stack: Stack, *arguments: Any, **named: Any) -> None:
        initialize(stack, *arguments, **named)
        made.append(stack)

    mocker.patch.object(Stack, "__init__", keep)
    return made


@pytest.fixture
def distinct_times(environment: pytest.MonkeyPatch) -> None:
    """Uploads that are a second apart: moto lists the versions of a key by the millisecond, and
    a record states their times by the second.
    """
    seconds = itertools.count()
    begin = datetime(2026, 11, 20, 8, 30)  # noqa: DTZ001 - as moto has it
    environment.setattr("moto.s3.models.utcnow", lambda: begin + timedelta(seconds=next(seconds)))


@pytest.fixture
def put_metadata(stack: LocalStack) -> Callable[..., dict[str, str]]:
    """Upload a metadata.json; return what an event says of the object."""

    def put(body: bytes = GOOD, key: str = KEY) -> dict[str, str]:
        response = stack.s3.put_object(Bucket=stack.outputs["RunsBucket"], Key=key, Body=body)
        version = {"versionId": response["VersionId"]} if "VersionId" in response else {}
        return {"eTag": response["ETag"].strip('"'), **version}

    return put


@pytest.fixture
def notify(stack: LocalStack) -> Callable[..., dict[str, Any]]:  # noqa: ARG001
    """Hand an S3 notification of one record to the function; return its outcome."""

    def send(**fields: Any) -> dict[str, Any]:
        outcome: dict[str, Any]
        (outcome,) = lambda_handler(notification(s3_record(**fields)), None)["outcomes"]
        return outcome

    return send


@pytest.fixture
def record(stack: LocalStack) -> Callable[[], dict[str, Any] | None]:
    """Read the only record of the table, if there is one."""

    def read() -> dict[str, Any] | None:
        items = stack.records()
        assert len(items) < 2
        return plain(items[0]) if items else None

    return read
