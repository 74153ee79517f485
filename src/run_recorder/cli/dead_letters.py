"""The dead-letter queue: a look at its messages, and SQS's own way to put them back."""

import time
from collections.abc import Iterator
from typing import Any

_HIDDEN_SECONDS = 60
_POLL_SECONDS = 1
_WAIT_SECONDS = 1  # without waiting, SQS asks only some of its servers
_MOVING = {"RUNNING", "CANCELLING"}

Message = dict[str, Any]
"""A message as SQS spells it."""


class DeadLetters:
    """A dead-letter queue. Every method raises what the client raises."""

    def __init__(self, sqs: Any, url: str) -> None:  # noqa: ANN401 - a client, whose types are for tests only
        self._sqs = sqs
        self._url = url

    def count(self) -> int:
        """About how many messages can be received."""
        return int(self._attribute(self._url, "ApproximateNumberOfMessages"))

    def peek(self, limit: int, discard: frozenset[str] = frozenset()) -> list[Message]:
        """Messages of the queue, which keeps them and shows them to others again at once.

        Args:
            limit: how many at most.
            discard: the ids of those to delete.
        """
        seen: dict[str, Message] = {}
        try:
            while len(seen) < limit:
                received = self._sqs.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=min(10, limit - len(seen)),
                    VisibilityTimeout=_HIDDEN_SECONDS,
                    WaitTimeSeconds=_WAIT_SECONDS,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
                new = {message["MessageId"]: message for message in received if message["MessageId"] not in seen}
                if not new:
                    break
                seen |= new
            for message_id in discard & seen.keys():
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=seen[message_id]["ReceiptHandle"])
        finally:
            for message_id in seen.keys() - discard:
                self._sqs.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=seen[message_id]["ReceiptHandle"], VisibilityTimeout=0
                )
        return list(seen.values())

    def move(self, destination_url: str, rate: int | None = None) -> Iterator[dict[str, Any]]:
        """Moves all messages to another queue by a message move task of SQS.

        A task that is running already is followed instead.

        Args:
            destination_url: the queue to move them to.
            rate: messages a second; None leaves it to SQS.

        Returns:
            The state of the task, as ListMessageMoveTasks tells it, time and again to its end.
        """
        source = self._attribute(self._url, "QueueArn")
        before = self._latest_task(source)
        if before.get("Status") not in _MOVING:
            destination = self._attribute(destination_url, "QueueArn")
            limits = {"MaxNumberOfMessagesPerSecond": rate} if rate else {}
            self._sqs.start_message_move_task(SourceArn=source, DestinationArn=destination, **limits)
            while (task := self._latest_task(source)).get("StartedTimestamp") == before.get("StartedTimestamp"):
                time.sleep(_POLL_SECONDS)
            before = task
        yield before
        while before["Status"] in _MOVING:
            time.sleep(_POLL_SECONDS)
            before = self._latest_task(source)
            yield before

    def _latest_task(self, source_arn: str) -> dict[str, Any]:
        tasks = self._sqs.list_message_move_tasks(SourceArn=source_arn, MaxResults=1).get("Results", [])
        return dict(tasks[0]) if tasks else {}

    def _attribute(self, url: str, name: str) -> str:
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
        value: str = attributes[name]
        return value
