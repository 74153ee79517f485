"""Every AWS operation, in every way in which it can fail: nothing is lost, half done, or recorded wrongly.

For example, the call "write" of the scenario `FIRST` under the fault "answer lost":

1. A document is uploaded, and its event is handled.
2. DynamoDB makes the write, and the connection breaks before its answer arrives, each time that the SDK tries.
3. The event has failed, and the record is that of the document, since the fault is `applied`.
4. Another run meets the fault once only: the SDK repeats the write, and the event does not fail.
5. Both events are handled again without a fault. Both records are the same as that of a run that met no fault.

Each fault meets a run of its own in the same invocation, beside one that meets none and must not fail.
"""

import itertools
import json
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.retries.standard import RetryQuotaChecker
from moto import mock_aws
from moto.sqs.models import sqs_backends

from handler.app import backfill_handler, lambda_handler
from local.stack import LocalStack
from local.template import REGION
from run_recorder.errors import UploadFailedError
from run_recorder.waiting import Wait
from tests.properties.faults import FAULTS, OF_A_VERSION
from tests.support.documents import BAD, INCOMPLETE, good
from tests.support.events import batch_event, batch_task, notification, s3_record, sqs_record
from tests.support.faulty_network import Exchange, FaultyNetwork, Plan, Reply, faulty_network
from tests.support.names import key_of

OLD = good("old", name="old", tags={"é": "ü"})
NEW = good("new")
WITH_FILES = good("new", files=[{"path": "data.csv", "size": 3}])
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Event:
    """The event of a document: ``number`` counts them from 1 and is the sequencer, if there is one."""

    number: int
    sequenced: bool = True


Step = bytes | Event
"""A document to upload, or an event to handle."""


@dataclass(frozen=True)
class Run:
    """A run in the bucket; ``uploads`` is what events say of each of its documents."""

    run_id: str
    uploads: list[dict[str, str]]

    @property
    def key(self) -> str:
        """Of its metadata.json."""
        return key_of(self.run_id)

    @property
    def names(self) -> list[str]:
        """All by which its record differs from those of other runs in the same state."""
        return [f"{self.run_id}/", f'"{self.run_id}"', *(upload["versionId"] for upload in self.uploads)]

    def record(self, event: Event) -> dict[str, Any]:
        """The event as a record of an S3 notification."""
        s3_object = {"key": self.key, **self.uploads[event.number - 1]}
        if event.sequenced:
            s3_object["sequencer"] = str(event.number)
        return s3_record(**s3_object)


def send_directly(runs: list[Run], event: Event) -> set[str]:
    """Hand the event of each run to the function; return the runs that failed."""
    try:
        answer = lambda_handler(notification(*(run.record(event) for run in runs)), None)
    except UploadFailedError as error:
        return set(re.findall(r"runs/acme/(run-\d+)/", str(error)))
    assert len(answer["outcomes"]) == len(runs)
    return set()


def send_by_sqs(runs: list[Run], event: Event) -> set[str]:
    """The same, a message each."""
    messages = [sqs_record(notification(run.record(event)), run.run_id) for run in runs]
    answer = lambda_handler({"Records": messages}, None)
    return {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}


def send_as_tasks(runs: list[Run], _: Event) -> set[str]:
    """The same, a task of S3 Batch Operations each."""
    tasks = [batch_task(run.key, task_id=run.run_id) for run in runs]
    results = backfill_handler(batch_event(*tasks), None)["results"]
    assert [result["taskId"] for result in results] == [run.run_id for run in runs]
    assert {result["resultCode"] for result in results} <= {"Succeeded", "TemporaryFailure"}
    return {result["taskId"] for result in results if result["resultCode"] == "TemporaryFailure"}


@dataclass(frozen=True)
class Scenario:
    """What is there before, the event that meets the fault, and the entry point that takes it."""

    before: list[Step]
    event: Event
    send: Callable[[list[Run], Event], set[str]]


FIRST = Scenario([NEW], Event(1), send_directly)
LATE = Scenario([NEW, BAD, Event(2)], Event(1), send_by_sqs)
BACK_FILL = Scenario([OLD, Event(1), NEW], Event(2, sequenced=False), send_as_tasks)
FIRST_REJECTED = Scenario([BAD], Event(1), send_directly)
NEWER = Scenario([OLD, Event(1), NEW], Event(2), send_directly)
AFTER_BACK_FILL = Scenario([OLD, Event(1, sequenced=False), NEW], Event(2), send_by_sqs)
BACK_FILL_OF_A_REJECTED_UPLOAD = Scenario([OLD, NEW, BAD], Event(3, sequenced=False), send_as_tasks)
FILL_IN_FROM_THE_LIST = Scenario([NEW, BAD, Event(2)], Event(2, sequenced=False), send_by_sqs)
LATE_FILE = Scenario([INCOMPLETE], Event(1), send_by_sqs)
REPLAY_OF_AN_OLDER_UPLOAD = Scenario([OLD, NEW, Event(2)], Event(1, sequenced=False), send_by_sqs)

Call = tuple[Scenario, str, int]
# Every call in the code: how many of the same operation come before it, and what it is for.
CALLS: dict[str, Call] = {
    "read a version": (FIRST, "GetObject", 0),
    "list the files": (FIRST, "ListObjectsV2", 0),
    "write": (FIRST, "UpdateItem", 0),
    "write what is refused as stale": (LATE, "UpdateItem", 0),
    "fill in": (LATE, "UpdateItem", 1),
    "read the record": (BACK_FILL, "GetItem", 0),
    "read the current object": (BACK_FILL, "GetObject", 0),
    "replace the record": (BACK_FILL, "UpdateItem", 0),
    "write what cannot be compared": (AFTER_BACK_FILL, "UpdateItem", 0),
    "list the versions": (BACK_FILL_OF_A_REJECTED_UPLOAD, "ListObjectVersions", 0),
    "read an older version": (BACK_FILL_OF_A_REJECTED_UPLOAD, "GetObject", 1),
    "fill in from the list": (FILL_IN_FROM_THE_LIST, "UpdateItem", 0),
    "look for a version": (REPLAY_OF_AN_OLDER_UPLOAD, "HeadObject", 0),
}
# The same calls by other ways.
CALLS_AGAIN: dict[str, Call] = {
    **{
        f"{name}, {send.__name__}": (replace(scenario, send=send), operation, skip)
        for name, (scenario, operation, skip) in CALLS.items()
        for send in (send_directly, send_by_sqs)
    },
    "list the current files": (BACK_FILL, "ListObjectsV2", 0),
    "list the files of an older version": (BACK_FILL_OF_A_REJECTED_UPLOAD, "ListObjectsV2", 0),
    "replace the record by two uploads": (BACK_FILL_OF_A_REJECTED_UPLOAD, "UpdateItem", 0),
    "read the record to fill in": (FILL_IN_FROM_THE_LIST, "GetItem", 0),
    "read what cannot be compared": (AFTER_BACK_FILL, "GetItem", 0),
    "read the current object instead": (AFTER_BACK_FILL, "GetObject", 1),
    "replace what cannot be compared": (AFTER_BACK_FILL, "UpdateItem", 1),
}


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with mock_aws():
        yield LocalStack()


@pytest.fixture(scope="module")
def network(stack: LocalStack) -> Iterator[FaultyNetwork]:  # noqa: ARG001 - which it leads to
    with faulty_network(FAULTS) as network:
        yield network


class Bench:
    """Runs in the state of a scenario, and their records."""

    def __init__(self, stack: LocalStack, scenario: Scenario, *, files: bool) -> None:
        self._stack = stack
        self._scenario = scenario
        self._files = files
        self.model = Run(f"run-{next(NUMBERS)}", [])
        for step in scenario.before:
            if isinstance(step, Event):
                assert send_by_sqs([self.model], step) == set()
            else:
                self._upload(self.model, step)
        self.before = self.read([self.model])[0]

    def make(self) -> Run:
        """A run in the state in which the model was."""
        run = Run(f"run-{next(NUMBERS)}", [])
        for step in self._scenario.before:
            if isinstance(step, bytes):
                self._upload(run, step)
        if self.before:
            text = json.dumps(self.before)
            for name, value in zip(run.names, self.model.names, strict=True):
                text = text.replace(value, name)
            self._stack.dynamodb.put_item(TableName=os.environ["RUNS_TABLE"], Item=json.loads(text))
        return run

    def read(self, runs: list[Run]) -> list[Any]:
        """The records of runs, each as if it were that of the model; None for one that has none."""
        table = os.environ["RUNS_TABLE"]
        keys = [{"organisation_id": {"S": "acme"}, "run_id": {"S": run.run_id}} for run in runs]
        items = self._stack.dynamodb.batch_get_item(RequestItems={table: {"Keys": keys}})["Responses"][table]
        by_id = {item["run_id"]["S"]: json.dumps(item) for item in items}
        records = []
        for run in runs:
            text = by_id.get(run.run_id, "null")
            for name, value in zip(run.names, self.model.names, strict=True):
                text = text.replace(name, value)
            records.append(json.loads(text))
        return records

    def _upload(self, run: Run, body: bytes) -> None:
        bucket = os.environ["RUNS_BUCKET"]
        if self._files and body == NEW:
            body = WITH_FILES
            self._stack.s3.put_object(Bucket=bucket, Key=f"runs/acme/{run.run_id}/data.csv", Body=b"1,2")
        response = self._stack.s3.put_object(Bucket=bucket, Key=run.key, Body=body)
        run.uploads.append({"versionId": response["VersionId"], "eTag": response["ETag"].strip('"')})


def without_times(record: Any) -> Any:
    """A record less its times, and less the hash of a config that names the run."""
    return record and {name: value for name, value in record.items() if not name.endswith(("_at", "_sha256"))}


@pytest.fixture
def _function(
    stack: LocalStack,
    network: FaultyNetwork,
    environment: pytest.MonkeyPatch,
    distinct_times: None,  # noqa: ARG001 - of uploads
) -> None:
    """The function in this network, with a bucket of its own. Its clients neither sleep nor, beside
    so many faults at once, run out of attempts.
    """
    bucket = f"bucket-{next(NUMBERS)}"
    stack.s3.create_bucket(Bucket=bucket)
    stack.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    variables = {**stack.environment, "RUNS_BUCKET": bucket, "AWS_ENDPOINT_URL": network.url}
    for name, value in variables.items():
        environment.setenv(name, value)
    environment.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    environment.setattr(RetryQuotaChecker, "_RETRY_COST", 0)
    environment.setattr(RetryQuotaChecker, "_THROTTLING_RETRY_COST", 0)


@pytest.mark.usefixtures("_function")
@pytest.mark.parametrize(
    ("scenario", "operation", "skip"),
    [
        *[pytest.param(*call, id=name) for name, call in CALLS.items()],
        *[pytest.param(*call, id=name, marks=pytest.mark.slow) for name, call in CALLS_AGAIN.items()],
    ],
)
def test_call_that_fails_loses_nothing(
    stack: LocalStack,
    network: FaultyNetwork,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
    scenario: Scenario,
    operation: str,
    skip: int,
) -> None:
    """All faults at once, each on a run of its own, beside a run that meets none: first for good, then once."""
    bench = Bench(stack, scenario, files=operation == "ListObjectsV2")
    # Events with a sequencer begin with the version that they name; others go from the current object to versions.
    names_version = scenario.event.sequenced is (skip == 0)
    faults = {name: fault for name, fault in FAULTS[operation].items() if names_version or name not in OF_A_VERSION}

    def send(runs: dict[str, Run], times: float) -> set[str]:
        plans = {name: Plan(name, operation, skip, times) for name in faults}
        network.plans = {runs[name].run_id: plan for name, plan in plans.items()}
        failed = scenario.send([*runs.values(), bench.model], scenario.event)
        network.plans = {}
        network.settle()
        assert [name for name, plan in plans.items() if not plan.met] == []
        assert bench.model.run_id not in failed
        return {name for name, run in runs.items() if run.run_id in failed}

    lasting = {name: bench.make() for name in faults}
    assert send(lasting, math.inf) == set(faults)
    right = without_times(bench.read([bench.model])[0])
    once = {}
    for (name, run), record in zip(lasting.items(), bench.read([*lasting.values()]), strict=True):
        if record == bench.before:
            once[name] = run
        else:
            assert (faults[name].applied, without_times(record)) == (True, right), name
            once[name] = bench.make()
    assert send(once, 1) == {name for name, fault in faults.items() if not fault.retried}

    runs = [*lasting.values(), *(run for name, run in once.items() if run is not lasting[name])]
    assert scenario.send(runs, scenario.event) == set()
    for run, record in zip(runs, bench.read(runs), strict=True):
        assert without_times(record) == right, run
    assert "exception" not in capsys.readouterr().out  # each fault is one that the code knows
    record_property("faults", 2 * len(faults))


@pytest.mark.usefixtures("_function")
def test_message_that_cannot_be_put_back_is_redelivered(
    stack: LocalStack,
    network: FaultyNetwork,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:
    """All faults at once, each on a run of its own, beside a run that meets none: first for good, then once."""
    environment.setattr("run_recorder.evaluator.Wait.of", lambda *_: Wait(100, 3500))
    stack.sqs.purge_queue(QueueUrl=stack.outputs["UploadsQueue"])
    faults = FAULTS["SendMessage"]
    bench = Bench(stack, LATE_FILE, files=False)

    def send(runs: dict[str, Run], times: float) -> set[str]:
        """Return the runs that failed; check that just these lack a message, but for those whose answer was lost."""
        plans = {name: Plan(name, "SendMessage", 0, times) for name in faults}
        network.plans = {runs[name].run_id: plan for name, plan in plans.items()}
        failed = LATE_FILE.send([*runs.values(), bench.model], LATE_FILE.event)
        network.plans = {}
        network.settle()
        assert [name for name, plan in plans.items() if not plan.met] == []
        assert bench.model.run_id not in failed
        waiting = Counter(read_delayed_runs(stack))
        for name, run in runs.items():
            is_sent = run.run_id not in failed
            assert faults[name].applied or bool(waiting[run.run_id]) is is_sent, name
        return {name for name, run in runs.items() if run.run_id in failed}

    lasting = {name: bench.make() for name in faults}
    assert send(lasting, math.inf) == set(faults)
    once = {name: bench.make() for name in faults}
    assert send(once, 1) == {name for name, fault in faults.items() if not fault.retried}

    assert LATE_FILE.send([*lasting.values(), *once.values()], LATE_FILE.event) == set()
    assert {record["status"]["S"] for record in bench.read([*lasting.values(), *once.values()])} == {"pending"}
    assert "exception" not in capsys.readouterr().out  # each fault is one that the code knows
    record_property("faults", 2 * len(faults))


def read_delayed_runs(stack: LocalStack) -> list[str]:
    """Return the run of each message of the queue of uploads; all of them are delayed."""
    *_, account, name = stack.outputs["UploadsQueue"].split("/")
    messages = sqs_backends[account][REGION].queues[name]._messages  # noqa: SLF001
    return [re.findall(r"runs/acme/(run-\d+)/", message.body)[0] for message in messages]


LOST_ANSWERS = [name for name, fault in FAULTS["UpdateItem"].items() if fault.applied and fault.retried]


@pytest.fixture(params=["DynamoDB", "an emulator that leaves the item out of a refusal"])
def _refusals(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> None:
    if request.param == "DynamoDB":
        return
    forward = Exchange.forward

    def forward_without_item(exchange: Exchange) -> Reply:
        answer = forward(exchange)
        if answer.status != 400 or exchange.operation != "UpdateItem":
            return answer
        body = json.loads(answer.body)
        assert "Item" in body
        del body["Item"]
        text = json.dumps(body).encode()
        return replace(answer, body=text, headers={**answer.headers, "x-amz-crc32": str(zlib.crc32(text))})

    environment.setattr(Exchange, "forward", forward_without_item)


@pytest.mark.usefixtures("_function", "_refusals")
@pytest.mark.parametrize(
    ("scenario", "outcome", "metric"),
    [
        pytest.param(FIRST, "recorded", "RunsRecorded", id="first write"),
        pytest.param(FIRST_REJECTED, "rejected", "RunsRejected", id="first write of a rejected upload"),
        pytest.param(NEWER, "recorded", "RunsRecorded", id="write over an older upload"),
        pytest.param(BACK_FILL, "recorded", "RunsRecorded", id="replaced record"),
        pytest.param(BACK_FILL_OF_A_REJECTED_UPLOAD, "rejected", "RunsRejected", id="record of two uploads"),
    ],
)
def test_write_whose_answer_is_lost_is_reported_as_what_it_wrote(
    stack: LocalStack,
    network: FaultyNetwork,
    capsys: pytest.CaptureFixture[str],
    scenario: Scenario,
    outcome: str,
    metric: str,
) -> None:
    """The SDK repeats the write, and its condition then refuses what is there already: no duplicate."""
    bench = Bench(stack, scenario, files=False)
    runs = {name: bench.make() for name in LOST_ANSWERS}
    plans = {name: Plan(name, "UpdateItem", 0, 1) for name in LOST_ANSWERS}
    network.plans = {runs[name].run_id: plan for name, plan in plans.items()}
    capsys.readouterr()
    event = notification(*(run.record(scenario.event) for run in runs.values()))
    answer = lambda_handler(event, None)
    network.plans = {}
    network.settle()
    assert [name for name, plan in plans.items() if not plan.met] == []
    assert dict(zip(runs, [one["outcome"] for one in answer["outcomes"]], strict=True)) == dict.fromkeys(runs, outcome)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (metrics,) = [line for line in lines if "_aws" in line]
    assert {name: value for name, value in metrics.items() if name not in ("_aws", "service")} == {metric: [len(runs)]}
    again = lambda_handler(event, None)
    assert {one["outcome"] for one in again["outcomes"]} == {"duplicate"}
