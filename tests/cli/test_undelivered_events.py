"""`run-recorder dead-letters list`: the events that a pipe could not deliver, and the runs that they are of."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.domain import Outcome
from tests.support.fake_s3 import client_error
from tests.support.stack_fixtures import empty_queue, run_command

pytestmark = pytest.mark.usefixtures("no_waiting")

Send = Callable[[Any], str]


@pytest.fixture
def send(shared_stack: LocalStack) -> Iterator[Send]:
    """A function that puts a message into the queue of undelivered events and returns its id."""
    url = shared_stack.outputs["UndeliveredEventsQueue"]

    def put(body: Any) -> str:
        text = body if isinstance(body, str) else json.dumps(body)
        message_id: str = shared_stack.sqs.send_message(QueueUrl=url, MessageBody=text)["MessageId"]
        return message_id

    yield put
    empty_queue(shared_stack, "UndeliveredEventsQueue")


@pytest.fixture
def streams(mocker: MockerFixture) -> Any:
    """The client of the stream; of an ARN it would make an endpoint of the account, which moto does not know."""
    client = boto3.client(
        "dynamodbstreams", region_name="us-east-1", config=Config(account_id_endpoint_mode="disabled")
    )
    make_client: Any = boto3.Session.client

    def choose(session: boto3.Session, name: str, **options: Any) -> Any:
        return client if name == "dynamodbstreams" else make_client(session, name, **options)

    mocker.patch.object(boto3.Session, "client", choose)
    return client


@pytest.fixture
def message_of_a_pipe(
    shared_stack: LocalStack, streams: Any, record_run: Callable[..., Outcome]
) -> Callable[..., dict[str, Any]]:
    """A function that records runs and returns the message that a pipe leaves for the events of the first ones."""

    def make(*runs: str, undelivered: int) -> dict[str, Any]:
        table = shared_stack.dynamodb.describe_table(TableName=shared_stack.outputs["RunsTable"])["Table"]
        stream = table["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"]
        where = {"StreamArn": stream, "ShardId": shard["ShardId"]}
        before = len(read_all(streams, where))
        for run in runs:
            record_run("undelivered", run, b"{}")
        records = [record["dynamodb"] for record in read_all(streams, where)[before:]]
        return {
            "context": {"partnerResourceArn": "arn:aws:pipes:us-east-1:123456789012:pipe/recorded"},
            "DDBStreamBatchInfo": {
                "streamArn": stream,
                "shardId": shard["ShardId"],
                "startSequenceNumber": records[0]["SequenceNumber"],
                "endSequenceNumber": records[undelivered - 1]["SequenceNumber"],
                "approximateArrivalOfFirstRecord": "2026-11-20T08:30:00.000Z",
                "batchSize": undelivered,
            },
        }

    return make


def read_all(streams: Any, where: dict[str, str]) -> list[Any]:
    iterator = streams.get_shard_iterator(**where, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records: list[Any] = streams.get_records(ShardIterator=iterator)["Records"]
    return records


def listed() -> list[dict[str, Any]]:
    result = run_command("dead-letters", "list", "--json")
    assert result.exit_code == 1
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_runs_of_undelivered_events_are_looked_up_in_the_stream(
    send: Send, message_of_a_pipe: Callable[..., dict[str, Any]]
) -> None:
    message_id = send(message_of_a_pipe("a", "b", "a", "c", undelivered=3))
    (message,) = listed()
    assert (message["queue"], message["message_id"]) == ("queue of undelivered events", message_id)
    assert message["keys"] == [f"runs/undelivered/{run}/metadata.json" for run in ("a", "b")]
    assert message["reasons"] == ["the event bus did not take the events: name these runs to the consumers"]
    result = run_command("dead-letters", "list")
    assert "runs/undelivered/a/metadata.json" in result.stdout
    assert result.stderr.endswith("1 in the queue of undelivered events\n")


def test_records_that_the_stream_no_longer_has_are_named_by_their_time(
    send: Send, message_of_a_pipe: Callable[..., dict[str, Any]], streams: Any, mocker: MockerFixture
) -> None:
    send(message_of_a_pipe("a", undelivered=1))
    mocker.patch.object(streams, "get_shard_iterator", side_effect=client_error("TrimmedDataAccessException"))
    (message,) = listed()
    assert message["keys"] == []
    assert "`run-recorder list ORG --since 2026-11-20T08:30:00.000Z` lists the runs" in message["reasons"][0]


def test_refusal_of_the_stream_ends_the_command(
    send: Send, message_of_a_pipe: Callable[..., dict[str, Any]], streams: Any, mocker: MockerFixture
) -> None:
    send(message_of_a_pipe("a", undelivered=1))
    mocker.patch.object(streams, "get_records", side_effect=client_error("AccessDeniedException"))
    result = run_command("dead-letters", "list")
    assert (result.exit_code, "docs/command-line.md lists the permissions" in result.stderr) == (3, True)


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("body", ["no JSON", [], {"DDBStreamBatchInfo": {"shardId": "s"}}], ids=str)
def test_message_that_no_pipe_sent_is_reported(send: Send, body: Any) -> None:
    send(body)
    (message,) = listed()
    assert message["reasons"] == ["not a message of a pipe: find its sender"]
