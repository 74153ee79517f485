"""The queue of events that a pipe could not deliver: each message names records of the table's stream."""

import json
from typing import Any

from botocore.exceptions import ClientError

from run_recorder.cli.dead_letter_queue import Message
from run_recorder.cli.dead_letter_reports import Report, make_report
from run_recorder.cli.stack import Stack
from run_recorder.domain import Run

_GONE = {"TrimmedDataAccessException", "ResourceNotFoundException", "ExpiredIteratorException"}


def describe_events(messages: list[Message], stack: Stack) -> list[Report]:
    """Return a report of each message; its keys are those of the runs, while the stream has them: for 24 hours."""
    streams = stack.client("dynamodbstreams") if messages else None
    return [_report(message, streams) for message in messages]


def _report(message: Message, streams: Any) -> Report:  # noqa: ANN401 - a client
    keys, reason = _find_keys(message["Body"], streams)
    return make_report(message, keys, [reason])


def _find_keys(body: str, streams: Any) -> tuple[list[str], str]:  # noqa: ANN401 - a client
    """Return the keys of the runs whose events a message stands for, and what to do."""
    match _load(body):
        case {
            "DDBStreamBatchInfo": {
                "streamArn": str(stream),
                "shardId": str(shard),
                "startSequenceNumber": str(first),
                "endSequenceNumber": str(last),
                **info,
            }
        }:
            since = info.get("approximateArrivalOfFirstRecord", "their time")
            try:
                records = _read_stream(streams, stream, shard, first)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _GONE:
                    raise
                return (
                    [],
                    f"the stream no longer has its records: `run-recorder list ORG --since {since}` lists the runs",
                )
            keys = {_key_of(record): None for record in records if int(record["SequenceNumber"]) <= int(last)}
            return [*keys], "the event bus did not take the events: name these runs to the consumers"
    return [], "not a message of a pipe: find its sender"


def _load(body: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(body)
    except ValueError:
        return None


def _read_stream(streams: Any, stream: str, shard: str, first: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a client
    iterator = streams.get_shard_iterator(
        StreamArn=stream, ShardId=shard, ShardIteratorType="AT_SEQUENCE_NUMBER", SequenceNumber=first
    )
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    return [record["dynamodb"] for record in records]


def _key_of(record: dict[str, Any]) -> str:
    keys = record["Keys"]
    return Run(keys["organisation_id"]["S"], keys["run_id"]["S"]).document_key
