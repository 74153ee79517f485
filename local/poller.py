"""A poller of the queue. A process of it works like an execution environment of Lambda: one invocation at a time.

Stands for: the event source mapping, which receives a batch, invokes the function, and deletes the messages that its
answer does not report as failed; and for the function's environment.

Leaves out: the maximum concurrency, the batching window, the time limit and the memory of an invocation, and the end of
an execution environment. A batch whose invocation raises ends the poller.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import boto3

from handler.app import lambda_handler

Handler = Callable[[dict[str, Any], object], dict[str, Any]]

_IDLE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class EventSource:
    """The queue that triggers the function, with the properties of the event source mapping."""

    queue_url: str
    queue_arn: str
    region: str
    batch_size: int


def deliver(sqs: Any, source: EventSource, handler: Handler) -> list[dict[str, Any]]:  # noqa: ANN401 - a client
    """Hand one batch to the handler, as Lambda does, and delete the messages that it does not report as failed.

    Returns:
        The SQS event records that the handler got; none if the queue was empty.
    """
    received = sqs.receive_message(
        QueueUrl=source.queue_url, MaxNumberOfMessages=source.batch_size, MessageSystemAttributeNames=["All"]
    )
    records = [_to_record(message, source) for message in received.get("Messages", [])]
    if not records:
        return []
    answer = handler({"Records": records}, None)
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    for record in records:
        if record["messageId"] not in failed:
            sqs.delete_message(QueueUrl=source.queue_url, ReceiptHandle=record["receiptHandle"])
    return records


def _to_record(message: dict[str, Any], source: EventSource) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": source.queue_arn,
        "awsRegion": source.region,
    }


def to_argument(source: EventSource) -> str:
    """Return the argument from which `python -m local.poller` takes its queue."""
    return json.dumps(asdict(source))


def _end_with_parent() -> None:
    sys.stdin.read()  # returns when the process that holds the other end of the pipe has ended
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    queue = EventSource(**json.loads(sys.argv[1]))
    client = boto3.client("sqs")
    while True:
        if not deliver(client, queue, lambda_handler):
            time.sleep(_IDLE_SECONDS)
