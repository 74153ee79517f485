"""The example of a worker, on a stack of the recorder: from the upload of a folder to the result in S3."""

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from moto import mock_aws
from moto.core import enable_iam_authentication

from examples.worker.src import worker
from handler.app import lambda_handler
from local.cloudformation import connect, create_stack, read_environment, take_event_source
from local.poller import deliver
from local.samples import OBJECTS
from local.stack import LocalStack
from local.template import REGION, TEMPLATE, translate
from run_recorder import ModelConfig, RunEvent, VerdictState, __version__, upload_run, wait_for_verdict
from tests.support.deployment import CreatedResources, enforce_tables, record_calls
from tests.support.documents import BAD, good
from tests.support.events import Event, sqs_event
from tests.support.pipes import EventStream, matches
from tests.support.policies import ACCOUNT, Request, allows, check_grants
from tests.support.stack_fixtures import enter_environment

FOLDER = TEMPLATE.parent / "examples" / "worker"
STACK = "model"
ROLE = "WorkerRole"


class World:
    """The stacks of the recorder and of the worker."""

    def __init__(self) -> None:
        self.recorder = LocalStack()
        self.bucket, self.table = self.recorder.outputs["RunsBucket"], self.recorder.outputs["RunsTable"]
        parameters = {"RunsTable": self.table, "OutputBucket": self.bucket}
        self.template = translate(parameters, FOLDER / "template.yaml")
        self.outputs = create_stack(STACK, self.template, parameters)
        self.queue = take_event_source(self.outputs["EventsQueue"])
        self.created = CreatedResources(STACK, self.template)
        self.sqs = connect("sqs")
        self.stream = EventStream(self.recorder)
        self.events: list[Event] = []

    def record(self, run_id: str, *documents: bytes) -> list[Event]:
        """Upload documents of a run and record them, one after the other; return all events of the run."""
        for each in documents:
            self.recorder.upload(f"runs/acme/{run_id}/metadata.json", each)
            self.record_uploads()
        self.events += self.stream.read()
        return [event for event in self.events if event["detail"]["run_id"] == run_id]

    def record_uploads(self) -> None:
        """Record the uploads in the queue of the recorder."""
        while self.recorder.deliver(lambda_handler):
            pass

    def send(self, event: Event) -> None:
        """Send an event to the targets of the worker's rule, if it matches."""
        rule = self.created.resources["RunRecordedRule"]
        if matches(json.dumps(rule["EventPattern"]), event):
            (target,) = rule["Targets"]
            assert target["Arn"] == self.queue.queue_arn
            self.sqs.send_message(QueueUrl=self.queue.queue_url, MessageBody=json.dumps(event))

    def results(self, run_id: str) -> list[dict[str, Any]]:
        """Return every version of the result of a run, the first one first."""
        key = f"results/acme/{run_id}/result.json"
        listed = self.recorder.s3.list_object_versions(Bucket=self.bucket, Prefix=key).get("Versions", [])
        read = functools.partial(self.recorder.s3.get_object, Bucket=self.bucket, Key=key)
        return [json.load(read(VersionId=version["VersionId"])["Body"]) for version in reversed(listed)]

    def numbers(self, run_id: str) -> list[str]:
        """Return the sequence number of every version of the result of a run."""
        return [result["sequence_number"] for result in self.results(run_id)]


@pytest.fixture(scope="module")
def created() -> Iterator[World]:
    with mock_aws():
        yield World()


@pytest.fixture
def world(created: World, environment: pytest.MonkeyPatch) -> Iterator[World]:
    """The stacks, of which each test has a run of its own, and the environment of both functions."""
    enter_environment(environment, created.recorder)
    for name, value in read_environment(created.outputs["WorkerFunction"]).items():
        environment.setenv(name, value)
    worker.connect.cache_clear()
    yield created
    worker.connect.cache_clear()


def handle(*events: Event | str) -> list[str]:
    """Hand a batch of events to the worker; return the ids of the messages that failed."""
    answer = worker.lambda_handler(sqs_event(*events), None)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def number_of(event: Event) -> str:
    number: str = event["detail"]["sequence_number"]
    return number


def test_upload_of_a_folder_ends_in_the_result_of_the_model(world: World) -> None:
    names: dict[str, Any] = {"bucket": world.bucket, "table": world.table}
    upload_run(OBJECTS / "runs/acme/run-0001", "acme", "run-0001", **names, wait=False)
    world.record_uploads()
    assert wait_for_verdict("acme", "run-0001", **names, timeout=0).state is VerdictState.RECORDED
    (event,) = world.record("run-0001")
    world.send(event)
    assert deliver(world.sqs, world.queue, worker.lambda_handler)
    assert world.results("run-0001") == [
        {
            "table": world.table,
            "sequence_number": number_of(event),
            "result": {
                "model": {"name": "amplification", "version": "2.1.0"},
                "input": f"s3://{world.bucket}/runs/acme/run-0001/",
                "parameters": ["baseline_cycles", "threshold"],
            },
        }
    ]
    assert not deliver(world.sqs, world.queue, worker.lambda_handler)


def test_only_events_of_recorded_runs_of_the_stack_reach_the_queue(world: World) -> None:
    recorded, rejected = world.record("rule", good("a"), BAD)
    world.send(rejected)
    world.send({**recorded, "source": "run-recorder-development"})
    assert not deliver(world.sqs, world.queue, worker.lambda_handler)
    world.send(recorded)
    assert deliver(world.sqs, world.queue, worker.lambda_handler)


def test_repeated_event_does_nothing(world: World) -> None:
    (event,) = world.record("repeated", good("a"))
    assert handle(event, event) == []
    assert handle(event) == []
    assert world.numbers("repeated") == [number_of(event)]


def test_older_event_after_a_newer_one_does_nothing(world: World) -> None:
    first, second = world.record("older", good("a"), good("b"))
    assert handle(second, first) == []
    (result,) = world.results("older")
    assert (result["sequence_number"], result["result"]["model"]["name"]) == (number_of(second), "b")


def test_newer_event_replaces_the_result(world: World) -> None:
    (first,) = world.record("newer", good("a"))
    handle(first)
    _, second = world.record("newer", good("b"))
    handle(second)
    assert [result["result"]["model"]["name"] for result in world.results("newer")] == ["a", "b"]


def test_numbers_are_compared_as_integers(world: World) -> None:
    (event,) = world.record("integers", good("a"))
    for number in ("9", "10", "9", "9" * 40):
        assert handle({**event, "detail": {**event["detail"], "sequence_number": number}}) == []
    assert world.numbers("integers") == ["9", "10", "9" * 40]


def test_config_of_a_run_that_was_rejected_since_stays_valid(world: World) -> None:
    event, _ = world.record("rejected", good("a"), BAD)
    assert handle(event) == []
    assert [result["result"]["model"]["name"] for result in world.results("rejected")] == ["a"]


def test_event_of_a_deleted_record_does_nothing(world: World) -> None:
    (event,) = world.record("deleted", good("a"))
    key = {"organisation_id": {"S": "acme"}, "run_id": {"S": "deleted"}}
    world.recorder.dynamodb.delete_item(TableName=world.table, Key=key)
    assert handle(event) == []
    assert world.results("deleted") == []


def test_event_of_another_table_replaces_the_result_whatever_its_number_is(world: World) -> None:
    (event,) = world.record("restored", good("a"))
    before = {**event, "detail": {**event["detail"], "sequence_number": "9" * 40}}
    replace(worker.connect(), table="before").handle(RunEvent.parse(before))
    assert handle(event) == []
    assert world.numbers("restored") == ["9" * 40, number_of(event)]


@pytest.mark.parametrize("is_written", [False, True], ids=["before the write", "after the write"])
def test_event_that_crashes_is_repeated_and_gives_one_result(
    world: World, environment: pytest.MonkeyPatch, *, is_written: bool
) -> None:
    run_id = f"crash-{is_written}"
    (event,) = world.record(run_id, good("a"))
    s3 = worker.connect().s3

    def crash(put_object: Callable[..., Any], **request: Any) -> None:
        if is_written:
            put_object(**request)
        raise ConnectionError

    with environment.context() as patch:
        patch.setattr(s3, "put_object", functools.partial(crash, s3.put_object))
        assert handle(event) == ["0"]
    assert handle(event) == []
    assert world.numbers(run_id) == [number_of(event)]


def interrupt(environment: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Perform an action, once, when the model runs: after the worker's reads and before its write."""
    run_model = worker.run_model

    def run(config: ModelConfig) -> dict[str, Any]:
        environment.setattr(worker, "run_model", run_model)
        action()
        return run_model(config)

    environment.setattr(worker, "run_model", run)


@pytest.mark.parametrize(
    ("models", "has_result"), [("abc", False), ("aba", True)], ids=["no result yet", "a result that comes again"]
)
def test_event_that_a_newer_one_overtakes_does_not_replace_its_result(
    world: World, environment: pytest.MonkeyPatch, models: str, *, has_result: bool
) -> None:
    """In "aba" the newest result is equal to the first one, but for its number."""
    run_id = f"overtaken-{models}"
    first, second = world.record(run_id, *map(good, models[:2]))
    if has_result:
        worker.connect().handle(RunEvent.parse(first))

    def handle_a_newer_event() -> None:
        *_, third = world.record(run_id, good(models[2]))
        assert handle(third) == []

    interrupt(environment, handle_a_newer_event)
    assert handle(second) == ["0"]
    assert handle(second) == []
    third = world.record(run_id)[2]
    newest = world.results(run_id)[-1]
    assert (newest["sequence_number"], newest["result"]["model"]["name"]) == (number_of(third), models[2])


def test_event_that_an_older_one_interrupts_is_redelivered(world: World, environment: pytest.MonkeyPatch) -> None:
    first, second = world.record("interrupted", good("a"), good("b"))
    interrupt(environment, lambda: worker.connect().handle(RunEvent.parse(first)))
    assert handle(second) == ["0"]
    assert handle(second) == []
    assert world.numbers("interrupted") == [number_of(first), number_of(second)]


def test_message_that_is_no_event_fails_alone(world: World) -> None:
    first, second = (world.record(run_id, good("a"))[0] for run_id in ("batch-1", "batch-2"))
    lacking = {**first, "detail": {}}
    assert handle("no JSON", first, lacking, {"source": "aws.s3"}, second) == ["0", "2", "3"]
    assert [world.numbers(f"batch-{index}") for index in (1, 2)] == [[number_of(first)], [number_of(second)]]


def test_message_is_logged_with_its_run_and_its_outcome(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", worker.logger.name)
    (event,) = world.record("logged", good("a"))
    handle("no JSON", event, event)
    logged = [vars(line) for line in caplog.records if line.name == worker.logger.name]
    assert [line["message_id"] for line in logged] == ["0", "1", "2"]
    assert logged[0]["exc_info"]
    assert [(line["run_id"], line["outcome"].partition(":")[0]) for line in logged[1:]] == [
        ("logged", "done"),
        ("logged", "skipped"),
    ]


def test_worker_may_do_what_it_does_and_is_granted_no_more(world: World, environment: pytest.MonkeyPatch) -> None:
    enforce_tables(environment)
    events = world.record("allowed", good("a"), good("b"))
    for event in events:
        world.send(event)
    session = world.created.assume(ROLE)
    calls = record_calls(session)
    environment.setattr(boto3, "DEFAULT_SESSION", session)
    with enable_iam_authentication():
        sqs = session.client("sqs")
        assert len(deliver(sqs, world.queue, worker.lambda_handler)) == len(events)
        sqs.get_queue_attributes(QueueUrl=world.queue.queue_url, AttributeNames=["All"])
    assert world.numbers("allowed") == [number_of(event) for event in events]
    check_grants(world.created.statements[ROLE], [request for call in calls for request in call.asks()])


def test_worker_may_do_nothing_else(world: World) -> None:
    bucket = f"arn:aws:s3:::{world.bucket}"
    table = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{world.table}"
    forbidden = [
        *(
            Request(f"s3:{action}", f"{of}/{key}")
            for action in ("GetObject", "PutObject")
            for of, key in (
                (bucket, "runs/acme/run-0001/metadata.json"),
                (bucket, "runs/acme/run-0001/result.json"),
                (bucket, "results/acme/run-0001/other.json"),
                (f"{bucket}-2", "results/acme/run-0001/result.json"),
            )
        ),
        Request("s3:DeleteObject", f"{bucket}/results/acme/run-0001/result.json"),
        Request("s3:ListBucket", bucket, context={"s3:prefix": "runs/"}),
        Request("dynamodb:GetItem", f"{table}-2"),
        Request("dynamodb:UpdateItem", table),
        Request("sqs:ReceiveMessage", world.created.arn("DeadLetterQueue")),
        Request("sqs:SendMessage", world.created.arn("EventsQueue")),
    ]
    assert [request for request in forbidden if allows(world.created.statements[ROLE], request)] == []


@pytest.mark.parametrize("queue", ["EventsQueue", "DeadLetterQueue"])
def test_only_the_rule_sends_to_the_queues_and_only_with_tls(world: World, queue: str) -> None:
    rule = world.created.arn("RunRecordedRule")

    def may_send(principal: str, source: str, tls: str) -> bool:
        context = {"aws:SourceArn": source, "aws:SecureTransport": tls}
        request = Request("sqs:SendMessage", world.created.arn(queue), principal, context)
        return allows(world.created.policy("QueuesPolicy"), request)

    assert may_send("events", rule, "true")
    assert not may_send("events", f"{rule}-2", "true")
    assert not may_send("sns", rule, "true")
    assert not may_send("events", rule, "false")


def test_translated_template_has_no_lint(world: World) -> None:
    config = ManualArgs(regions=["us-east-1", "eu-central-1"])
    assert [str(match) for match in lint(json.dumps(world.template), config=config)] == []


def test_queue_redelivers_single_messages_and_gives_up_after_five_times(world: World) -> None:
    resources = world.created.resources
    source, queue = resources["WorkerFunctionRuns"], resources["EventsQueue"]
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert queue["VisibilityTimeout"] >= 6 * resources["WorkerFunction"]["Timeout"]
    dead_letters = world.created.arn("DeadLetterQueue")
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": dead_letters, "maxReceiveCount": 5}
    assert resources["RunRecordedRule"]["Targets"][0]["DeadLetterConfig"] == {"Arn": dead_letters}


def test_template_names_the_function_of_the_code(world: World) -> None:
    module, _, function = world.created.resources["WorkerFunction"]["Handler"].partition(".")
    assert Path(worker.__file__).stem == module
    assert callable(getattr(worker, function))


def test_parameters_are_documented(world: World) -> None:
    text = (FOLDER / "README.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))
    assert documented == {
        name: f"`{parameter['Default']}`"
        if parameter.get("Default")
        else "none"
        if "Default" in parameter
        else "required"
        for name, parameter in world.template["Parameters"].items()
    }


def test_requirements_name_the_wheel_of_this_version() -> None:
    lines = (FOLDER / "src" / "requirements.txt").read_text().splitlines()
    assert lines[-1] == f"./run_recorder-{__version__}-py3-none-any.whl"
