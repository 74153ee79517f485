"""SQS in memory: queues, and the requests that the commands for dead letters send.

It keeps to the semantics that moto leaves out: a message is visible again when its time ends, a handle is then worth
nothing, and a deletion under an old handle is answered as if it was done.
"""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

_Entries = list[dict[str, Any]]
_BATCH_BYTES = 256 * 1024


@dataclass
class _Stored:
    body: str
    visible_at: float = 0
    handle: str = ""
    receives: int = 0


@dataclass
class FakeSQS:
    """Queues, asked as boto3's client is.

    Attributes:
        seconds: how long each request takes.
        now: the time, as a clock that requests advance.
        requests: how many requests of each operation there were.
        refused: codes with which entries of batches fail, by operation and message id or body.
    """

    seconds: float = 0.02
    now: float = 1000.0
    requests: Counter[str] = field(default_factory=Counter)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    _queues: dict[str, dict[str, _Stored]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)

    def put(self, url: str, body: str) -> str:
        """Put a message into a queue; return its id."""
        message_id = f"message-{next(self._numbers)}"
        self._queue(url)[message_id] = _Stored(body)
        return message_id

    def remove(self, url: str, message_id: str) -> None:
        """Delete a message, as somebody else does."""
        del self._queue(url)[message_id]

    def bodies(self, url: str) -> list[str]:
        """Return the bodies of all messages of a queue."""
        return [stored.body for stored in self._queue(url).values()]

    def hidden(self, url: str) -> list[str]:
        """Return the ids of the messages that are hidden."""
        return [message_id for message_id, stored in self._queue(url).items() if stored.visible_at > self.now]

    def monotonic(self) -> float:
        """Return the time, in place of the clock."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        """Return the number of visible messages."""
        self._begin("GetQueueAttributes")
        visible = len(self._queue(QueueUrl)) - len(self.hidden(QueueUrl))
        return {"Attributes": dict.fromkeys(AttributeNames, str(visible))}

    def receive_message(
        self,
        *,
        QueueUrl: str,  # noqa: N803
        MaxNumberOfMessages: int,  # noqa: N803
        VisibilityTimeout: int,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        """Return visible messages, and hide them."""
        self._begin("ReceiveMessage")
        visible = (item for item in self._queue(QueueUrl).items() if item[1].visible_at <= self.now)
        messages = []
        for message_id, stored in itertools.islice(visible, MaxNumberOfMessages):
            stored.visible_at = self.now + VisibilityTimeout
            stored.handle = f"{message_id} {next(self._numbers)}"
            stored.receives += 1
            attributes = {"SentTimestamp": "0", "ApproximateReceiveCount": str(stored.receives)}
            messages.append(
                {"MessageId": message_id, "Body": stored.body, "ReceiptHandle": stored.handle, "Attributes": attributes}
            )
        return {"Messages": messages} if messages else {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: _Entries) -> dict[str, Any]:  # noqa: N803
        """Hide messages that are hidden for another time."""
        self._begin("ChangeMessageVisibilityBatch", Entries)
        answer: dict[str, _Entries] = {"Successful": [], "Failed": []}
        for entry in Entries:
            stored = self._queue(QueueUrl).get(entry["ReceiptHandle"].split()[0])
            if stored is None or stored.handle != entry["ReceiptHandle"] or stored.visible_at <= self.now:
                answer["Failed"].append({"Id": entry["Id"], "SenderFault": True, "Code": "MessageNotInflight"})
            else:
                stored.visible_at = self.now + entry["VisibilityTimeout"]
                answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def delete_message_batch(self, *, QueueUrl: str, Entries: _Entries) -> dict[str, Any]:  # noqa: N803
        """Delete messages; under an old handle nothing is deleted, and the answer is the same."""
        self._begin("DeleteMessageBatch", Entries)
        answer: dict[str, _Entries] = {"Successful": [], "Failed": []}
        for entry in Entries:
            message_id = entry["ReceiptHandle"].split()[0]
            if code := self.refused.get(("DeleteMessageBatch", message_id)):
                answer["Failed"].append({"Id": entry["Id"], "SenderFault": False, "Code": code, "Message": "sorry"})
                continue
            stored = self._queue(QueueUrl).get(message_id)
            if stored and stored.handle == entry["ReceiptHandle"] and stored.visible_at > self.now:
                del self._queue(QueueUrl)[message_id]
            answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def send_message_batch(self, *, QueueUrl: str, Entries: _Entries) -> dict[str, Any]:  # noqa: N803
        """Add messages."""
        self._begin("SendMessageBatch", Entries)
        if sum(len(entry["MessageBody"].encode()) for entry in Entries) > _BATCH_BYTES:
            raise ClientError({"Error": {"Code": "AWS.SimpleQueueService.BatchRequestTooLong"}}, "SendMessageBatch")
        answer: dict[str, _Entries] = {"Successful": [], "Failed": []}
        for entry in Entries:
            if code := self.refused.get(("SendMessageBatch", entry["MessageBody"])):
                answer["Failed"].append({"Id": entry["Id"], "SenderFault": False, "Code": code, "Message": "sorry"})
            else:
                self.put(QueueUrl, entry["MessageBody"])
                answer["Successful"].append({"Id": entry["Id"]})
        return answer

    def _begin(self, operation: str, entries: _Entries | None = None) -> None:
        self.requests[operation] += 1
        self.now += self.seconds
        if entries is not None:
            ids = [entry["Id"] for entry in entries]
            assert 1 <= len(set(ids)) == len(ids) <= 10

    def _queue(self, url: str) -> dict[str, _Stored]:
        return self._queues.setdefault(url, {})
