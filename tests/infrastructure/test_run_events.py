"""The events for consumers: the output of the pipes for the changes in the table's stream."""

import functools
import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handler.app import lambda_handler
from local.samples import EVENTS
from local.stack import LocalStack
from run_recorder import RunEvent, UnknownEventError
from tests.support.documents import BAD, GOOD, INCOMPLETE
from tests.support.events import Event, notification, s3_record, sqs_event
from tests.support.pipes import TABLE_ARN, VALIDATOR, EventStream, load_pipes
from tests.support.resolution import resolve


@pytest.fixture
def published(stack: LocalStack) -> Callable[[], list[Event]]:
    """Read the stream from its beginning; return the events that its changes become, in their order."""
    return lambda: EventStream(stack).read()


def test_recorded_run_becomes_one_event(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., Event],
    record: Callable[[], Event],
    published: Callable[[], list[Event]],
) -> None:
    uploaded = put_metadata(b'{"model": {"name": "amplification", "version": "2.1.0"}, "parameters": {"cycles": 40}}')
    assert notify(sequencer="0A", **uploaded)["outcome"] == "recorded"
    assert notify(sequencer="0A", **uploaded)["outcome"] == "duplicate"
    (event,) = published()
    item, bucket = record(), stack.outputs["RunsBucket"]
    sequence_number = event["detail"].pop("sequence_number")
    assert sequence_number.isdigit()
    assert event == {
        "source": "run-recorder",
        "detail-type": "Run Recorded",
        "resources": [TABLE_ARN],
        "detail": {
            "organisation_id": "acme",
            "run_id": "run-0001",
            "status": "recorded",
            "recorded_at": item["recorded_at"],
            "upload": {
                "bucket": bucket,
                "key": "runs/acme/run-0001/metadata.json",
                "etag": uploaded["eTag"],
                "uploaded_at": item["uploaded_at"],
            },
            "config_sha256": item["config_sha256"],
            "config": {
                "environment": "production",
                "model": {"name": {"S": "amplification"}, "version": {"S": "2.1.0"}},
                "input": f"s3://{bucket}/runs/acme/run-0001/",
                "output": f"s3://{bucket}/results/acme/run-0001/",
            },
        },
    }


def test_each_write_becomes_one_event_and_nothing_else_does(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., Event],
    published: Callable[[], list[Event]],
) -> None:
    good, bad, better = put_metadata(GOOD), put_metadata(BAD), put_metadata(GOOD)
    outcomes = [
        notify(sequencer=sequencer, **uploaded)["outcome"]
        for sequencer, uploaded in [("0A", good), ("0B", bad), ("0B", bad), ("0A", good), ("0C", better)]
    ]
    assert outcomes == ["recorded", "rejected", "duplicate", "stale", "recorded"]
    stack.delete_records()
    first, rejected, last = published()
    assert [event["detail-type"] for event in (first, rejected, last)] == [
        "Run Recorded",
        "Run Rejected",
        "Run Recorded",
    ]
    assert rejected["detail"]["upload"]["etag"] == bad["eTag"]
    numbers = [int(event["detail"]["sequence_number"]) for event in (first, rejected, last)]
    assert numbers == sorted(set(numbers))


def test_late_good_upload_gives_a_second_event_of_a_rejected_run(
    put_metadata: Callable[..., dict[str, str]], notify: Callable[..., Event], published: Callable[[], list[Event]]
) -> None:
    good, bad = put_metadata(GOOD), put_metadata(BAD)
    notify(sequencer="0B", **bad)
    assert notify(sequencer="0A", **good)["outcome"] == "stale"
    alone, filled_in = published()
    assert alone["detail-type"] == filled_in["detail-type"] == "Run Rejected"
    assert alone["detail"]["upload"] == filled_in["detail"]["upload"]
    assert int(alone["detail"]["sequence_number"]) < int(filled_in["detail"]["sequence_number"])


def test_run_that_is_pending_gives_no_event_until_its_verdict(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    published: Callable[[], list[Event]],
) -> None:
    uploaded = put_metadata(INCOMPLETE)
    message = sqs_event(notification(s3_record(sequencer="0A", **uploaded)))
    lambda_handler(message, None)
    assert [item["status"]["S"] for item in stack.records()] == ["pending"]
    assert published() == []
    stack.upload("runs/acme/run-0001/late.csv", b"1")
    lambda_handler(message, None)
    assert [event["detail-type"] for event in published()] == ["Run Recorded"]


def test_event_holds_any_model_and_no_unbounded_part_of_the_record(
    put_metadata: Callable[..., dict[str, str]], notify: Callable[..., Event], published: Callable[[], list[Event]]
) -> None:
    model = {"name": 'a "b" \\ \n <$.run_id> ✓', "version": "1"}
    document = {"model": model, "parameters": {"grid": ["x" * 1000] * 300}, "tags": {"long": "x" * 10_000}}
    notify(sequencer="0A", **put_metadata(json.dumps(document).encode()))
    notify(sequencer="0B", **put_metadata(json.dumps({**document, "name": ""}).encode()))
    recorded, rejected = published()
    assert recorded["detail"]["config"]["model"] == {name: {"S": text} for name, text in model.items()}
    assert len(json.dumps(recorded)) < 2000
    assert len(json.dumps(rejected)) < 1000


def test_no_event_exceeds_what_the_event_bus_accepts(
    stack: LocalStack,
    environment: pytest.MonkeyPatch,
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., Event],
    published: Callable[[], list[Event]],
) -> None:
    """The limit is 256 KB. The longest texts are far below: ids of 128 characters, a model of 256 that JSON escapes."""
    bucket = "b" * 63
    stack.s3.create_bucket(Bucket=bucket)
    environment.setenv("OUTPUT_BUCKET", bucket)
    model = {"name": "\u0001" * 256, "version": "\U0001f600" * 256}
    key = f"runs/{'o' * 128}/{'r' * 128}/metadata.json"
    notify(key=key, sequencer="0A", **put_metadata(json.dumps({"model": model}).encode(), key))
    (event,) = published()
    assert len(json.dumps(event)) < 8_000


def test_event_of_an_unversioned_bucket_lacks_nothing(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., Event],
    published: Callable[[], list[Event]],
) -> None:
    versioning = {"Status": "Suspended"}
    stack.s3.put_bucket_versioning(Bucket=stack.outputs["RunsBucket"], VersioningConfiguration=versioning)
    uploaded = put_metadata(GOOD)
    uploaded.pop("versionId", None)
    notify(sequencer="0A", **uploaded)
    (event,) = published()
    assert event["detail"]["upload"]["etag"] == uploaded["eTag"]


def test_pipes_read_from_the_beginning_and_give_up_when_the_stream_does() -> None:
    pipes = load_pipes()
    assert len(pipes) == 2  # readers of a shard, at most
    for pipe in pipes:
        assert pipe["Source"] == {"Fn::GetAtt": ["RunsTable", "StreamArn"]}
        assert pipe["SourceParameters"]["DynamoDBStreamParameters"] == {
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 10,
            "OnPartialBatchItemFailure": "AUTOMATIC_BISECT",
            "MaximumRecordAgeInSeconds": 86400,
            "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["UndeliveredEventsQueue", "Arn"]}},
        }
        assert pipe["Target"]["Fn::Sub"].endswith(":event-bus/default")
        bus = pipe["TargetParameters"]["EventBridgeEventBusParameters"]
        assert bus["Source"] == {"Ref": "AWS::StackName"}
        assert bus["Resources"] == [{"Fn::GetAtt": ["RunsTable", "Arn"]}]


def test_parameter_takes_the_pipes_away_and_leaves_the_rest() -> None:
    left_out = resolve({}).keys() - resolve({"PublishEvents": "false"}).keys()
    assert left_out == {"RunRecordedPipe", "RunRejectedPipe", "EventsRole"}


def test_documented_event_is_valid() -> None:
    text = (EVENTS.parent / "docs" / "consumers.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    VALIDATOR.validate(json.loads(example))


def find_paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield (*path, name)
            yield from find_paths(member, (*path, name))


def test_library_refuses_an_event_without_a_field_exactly_if_the_schema_does() -> None:
    text = (EVENTS.parent / "docs" / "consumers.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    paths = list(find_paths(json.loads(example)["detail"]))
    assert len(paths) > 15
    for *parents, last in paths:
        event = json.loads(example)
        parent = functools.reduce(operator.getitem, parents, event["detail"])
        del parent[last]
        assert not VALIDATOR.is_valid(event)
        with pytest.raises(UnknownEventError, match=last):
            RunEvent.parse(event)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "rejected"},
        {"config_sha256": ""},
        {"config": {}},
        {"sequence_number": 7},
        {"upload": {}},
        {"organisation_id": ""},
        {"recorded_at": "yesterday"},
        {"parameters": {}},
    ],
    ids=str,
)
def test_schema_refuses_what_is_no_event(change: dict[str, Any]) -> None:
    text = (EVENTS.parent / "docs" / "consumers.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    event = json.loads(example)
    event["detail"] |= change
    assert not VALIDATOR.is_valid(event)
