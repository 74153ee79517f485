"""The pipes of the template, which moto lacks: the events that they make of the changes in the table's stream.

Stands for: the choice of the changes that match a pipe's event patterns, which moto's EventBridge evaluates, and the
text that the input template becomes, with paths in angle brackets only.

Leaves out: batches, retries, the maximum age of a record, the queue of discarded records, reserved variables of
templates, and the delivery to the event bus.
"""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config
from jsonschema import Draft202012Validator
from moto.events.models import EventPattern

from local.stack import LocalStack
from local.template import REGION, TEMPLATE
from run_recorder import Run, RunEvent
from tests.support.events import Event
from tests.support.resolution import resolve

SCHEMA = json.loads((TEMPLATE.parent / "src" / "run_recorder" / "run-event.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/run-recorder-RunsTable"


@functools.cache
def load_pipes() -> list[dict[str, Any]]:
    """Return the properties of the pipes of the template."""
    return [resource["Properties"] for resource in resolve({}).values() if resource["Type"] == "AWS::Pipes::Pipe"]


class EventStream:
    """The events that the changes in the table's stream become, in their order, from the beginning of the stream."""

    def __init__(self, stack: LocalStack) -> None:
        # An ARN would send the client to an endpoint of the account, which moto does not know.
        self._client = boto3.client(
            "dynamodbstreams", region_name=REGION, config=Config(account_id_endpoint_mode="disabled")
        )
        table = stack.dynamodb.describe_table(TableName=stack.outputs["RunsTable"])["Table"]
        stream = {"StreamArn": table["LatestStreamArn"]}
        (shard,) = self._client.describe_stream(**stream)["StreamDescription"]["Shards"]
        position = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        self._iterator = self._client.get_shard_iterator(**stream, **position)["ShardIterator"]

    def read(self) -> list[Event]:
        """Return the events of the changes since the previous call."""
        page = self._client.get_records(ShardIterator=self._iterator)
        self._iterator = page["NextShardIterator"]
        return [event for change in page["Records"] for pipe in load_pipes() for event in _send(pipe, change)]


def matches(pattern: str | None, message: Any) -> bool:
    """Return whether a message matches a pattern, which is JSON."""
    return bool(EventPattern.load(pattern).matches_event(message))


def _send(pipe: dict[str, Any], change: dict[str, Any]) -> Iterator[Event]:
    """Yield the event that a pipe sends to the event bus for one change in the stream, if there is one."""
    patterns = [given["Pattern"] for given in pipe["SourceParameters"]["FilterCriteria"]["Filters"]]
    message: Any = json.loads(json.dumps(change, default=str))
    if any(matches(pattern, message) for pattern in patterns):
        bus = pipe["TargetParameters"]["EventBridgeEventBusParameters"]
        event = {
            "source": "run-recorder",
            "detail-type": bus["DetailType"],
            "resources": [TABLE_ARN],
            "detail": _read_detail(pipe["TargetParameters"]["InputTemplate"], message),
        }
        VALIDATOR.validate(event)
        assert RunEvent.parse(event).run == Run(event["detail"]["organisation_id"], event["detail"]["run_id"])
        yield event


def _read_detail(template: str, change: dict[str, Any]) -> Any:
    """Return what a template makes of a change, which must be the same in both readings of the documentation.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html requires quotation
    marks around the paths of texts and none around those of objects. Its samples leave all marks out. So a pipe may put
    a text between the marks as it is, or replace path and marks by a JSON string.
    """
    as_it_is, as_json = (
        re.sub(r'("?)<\$\.([\w.]+)>\1', functools.partial(_fill_in, change, as_json=as_json), template)
        for as_json in (False, True)
    )
    detail = json.loads(as_json)
    assert json.loads(as_it_is) == detail
    return detail


def _fill_in(change: dict[str, Any], path: re.Match[str], *, as_json: bool) -> str:
    value: Any = change
    for name in path[2].split("."):
        value = value[name]
    assert isinstance(value, str) is bool(path[1])
    return json.dumps(value) if as_json or not path[1] else f'"{value}"'
