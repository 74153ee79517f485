"""The dead-letter queue: its messages, and the message move task of SQS that puts them back."""

import time
from collections.abc import Collection, Iterator
from typing import Any

_HIDDEN_SECONDS = 60
_POLL_SECONDS = 1
_WAIT_SECONDS = 1  # without long polling, SQS queries only a subset of its servers
_MOVING = {"RUNNING", "CANCELLING"}

Message = dict[str, Any]
"""A message in the format of SQS."""


class DeadLetterQueue:
    """A dead-letter queue. Every method raises the errors of the client."""

    def __init__(self, sqs: Any, url: str) -> None:  # noqa: ANN401 - a client, whose types are for tests only
        self._sqs = sqs
        self._url = url

    def count(self) -> int:
        """Return the approximate number of messages that can be received."""
        return int(self._attribute(self._url, "ApproximateNumberOfMessages"))

    def peek(self, limit: int) -> list[Message]:
        """Return messages of the queue, and make them visible to others again.

        Args:
            limit: the greatest number of messages.
        """
        messages, _ = self._receive(limit, set())
        return messages

    def discard(self, limit: int, message_ids: Collection[str]) -> tuple[list[Message], set[str]]:
        """Delete messages of the queue for good.

        Args:
            limit: the greatest number of messages to receive while looking for them.
            message_ids: the messages to delete.

        Returns:
            The messages that were received, and the ids of those that were deleted.
        """
        return self._receive(limit, set(message_ids))

    def move(self, destination_url: str, rate: int | None = None) -> Iterator[dict[str, Any]]:
        """Move all messages to another queue by a message move task of SQS.

        If a task is already running, it is followed instead.

        Args:
            destination_url: the queue to move them to.
            rate: messages per second; None to leave the rate to SQS.

        Yields:
            The state of the task, as ListMessageMoveTasks returns it, repeatedly until the task ends.
        """
        source = self._attribute(self._url, "QueueArn")
        task = self._latest_task(source)
        if task.get("Status") not in _MOVING:
            started_before = task.get("StartedTimestamp")
            destination = self._attribute(destination_url, "QueueArn")
            limits = {"MaxNumberOfMessagesPerSecond": rate} if rate else {}
            self._sqs.start_message_move_task(SourceArn=source, DestinationArn=destination, **limits)
            while (task := self._latest_task(source)).get("StartedTimestamp") == started_before:
                time.sleep(_POLL_SECONDS)
        yield task
        while task["Status"] in _MOVING:
            time.sleep(_POLL_SECONDS)
            task = self._latest_task(source)
            yield task

    def _receive(self, limit: int, to_delete: set[str]) -> tuple[list[Message], set[str]]:
        received: dict[str, Message] = {}
        deleted: set[str] = set()
        try:
            while len(received) < limit:
                messages = self._sqs.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=min(10, limit - len(received)),
                    VisibilityTimeout=_HIDDEN_SECONDS,
                    WaitTimeSeconds=_WAIT_SECONDS,
                    MessageSystemAttributeNames=["All"],
                    MessageAttributeNames=["All"],
                ).get("Messages", [])
                new = {message["MessageId"]: message for message in messages if message["MessageId"] not in received}
                if not new:
                    break
                received |= new
            for message_id in sorted(to_delete & received.keys()):
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=received[message_id]["ReceiptHandle"])
                deleted.add(message_id)
        finally:
            for message_id in received.keys() - deleted:
                self._sqs.change_message_visibility(
                    QueueUrl=self._url, ReceiptHandle=received[message_id]["ReceiptHandle"], VisibilityTimeout=0
                )
        return list(received.values()), deleted

    def _latest_task(self, source_arn: str) -> dict[str, Any]:
        tasks = self._sqs.list_message_move_tasks(SourceArn=source_arn, MaxResults=1).get("Results", [])
        return dict(tasks[0]) if tasks else {}

    def _attribute(self, url: str, name: str) -> str:
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"]
        value: str = attributes[name]
        return value
