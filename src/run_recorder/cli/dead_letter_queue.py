"""A queue of messages that failed: they are received, hidden from others meanwhile, deleted or made visible again."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Self

from botocore.exceptions import BotoCoreError, ClientError

BATCH = 10
"""The greatest number of entries in one request of SQS."""

_HIDDEN_SECONDS = 300
_RENEWED_SECONDS = 150  # a message that is hidden for less time than this is hidden anew before it is used
_WAIT_SECONDS = 1  # without long polling, SQS queries only a subset of its servers
_BATCH_BYTES = 256 * 1024
_CHUNK = 100

Message = dict[str, Any]
"""A message in the format of SQS."""


class DeadLetterQueue:
    """A queue of messages that failed. Every method raises the errors of the client."""

    def __init__(self, sqs: Any, url: str) -> None:  # noqa: ANN401 - a client, whose types are for tests only
        self._sqs = sqs
        self._url = url

    def count(self) -> int:
        """Return the approximate number of messages that can be received."""
        name = "ApproximateNumberOfMessages"
        return int(self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])["Attributes"][name])

    def hold(self) -> "HeldMessages":
        """Return a context in which messages are received, and hidden from others."""
        return HeldMessages(self._sqs, self._url)


@dataclass(frozen=True, slots=True)
class _Receipt:
    """The handle of a message, and the time until which SQS hides the message: so long the handle is valid."""

    handle: str
    hidden_until: float


class HeldMessages:
    """Messages that are hidden from others until they are deleted, or until this context ends.

    SQS may ignore the deletion of a message under a handle that expired, and answers as if it was done. So a message
    is hidden anew before its time ends, however many are held. If SQS refuses that, somebody else received or deleted
    the message: it is given up, and returned again if it can be received again.
    """

    def __init__(self, sqs: Any, url: str) -> None:  # noqa: ANN401 - a client
        self._sqs = sqs
        self._url = url
        self._receipts: dict[str, _Receipt] = {}

    def __enter__(self) -> Self:
        """Begin without a message."""
        return self

    def __exit__(self, *_: object) -> None:
        """Make all messages visible again; one for which this fails is visible when its time ends."""
        now = monotonic()
        for batch in _batches(id_ for id_, receipt in self._receipts.items() if receipt.hidden_until > now):
            with contextlib.suppress(ClientError, BotoCoreError):
                self._change_visibility(batch, 0)

    def receive(self, limit: int | None = None) -> Iterator[list[Message]]:
        """Receive the messages of the queue, up to 100 at a time, until there are no more.

        Args:
            limit: the greatest number of messages; None for all.
        """
        left = sys.maxsize if limit is None else limit
        while left > 0 and (messages := self._receive(min(_CHUNK, left))):
            left -= len(messages)
            yield messages

    def keep(self, messages: Iterable[Message]) -> list[Message]:
        """Return those of the messages that are still hidden from others, and for long enough to be handled."""
        self._renew()
        return [message for message in messages if message["MessageId"] in self._receipts]

    def delete(self, messages: Iterable[Message]) -> tuple[set[str], dict[str, str]]:
        """Delete at most `BATCH` messages for good.

        Returns:
            The ids of the messages that SQS deleted, and why it did not delete others. A message of neither was
            received or deleted by somebody else.
        """
        batch = [message["MessageId"] for message in self.keep(messages)]
        deleted, refused = set[str](), dict[str, str]()
        if not batch:
            return deleted, refused
        entries = [{"Id": str(place), "ReceiptHandle": self._receipts[id_].handle} for place, id_ in enumerate(batch)]
        response = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        answered = monotonic()
        for entry in response.get("Successful", []):
            receipt = self._receipts.pop(batch[int(entry["Id"])])
            if answered < receipt.hidden_until:
                deleted.add(batch[int(entry["Id"])])
        for entry in response.get("Failed", []):
            if entry["SenderFault"]:  # the handle is not valid any more
                del self._receipts[batch[int(entry["Id"])]]
            else:
                refused[batch[int(entry["Id"])]] = _describe(entry)
        return deleted, refused

    def _receive(self, limit: int) -> list[Message]:
        """Return messages that are not held yet; fewer than the limit only if there are no more."""
        received: dict[str, Message] = {}
        while len(received) < limit:
            self._renew()
            hidden_until = monotonic() + _HIDDEN_SECONDS
            messages = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(BATCH, limit - len(received)),
                VisibilityTimeout=_HIDDEN_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not messages:
                break
            for message in messages:
                if message["MessageId"] not in self._receipts:  # else SQS delivered it twice
                    received[message["MessageId"]] = message
                self._receipts[message["MessageId"]] = _Receipt(message["ReceiptHandle"], hidden_until)
        return list(received.values())

    def _renew(self) -> None:
        """Hide the messages anew whose time ends soon, and give up those for which SQS refuses that."""
        due = monotonic() + _RENEWED_SECONDS
        for batch in _batches([id_ for id_, receipt in self._receipts.items() if receipt.hidden_until < due]):
            hidden_until = monotonic() + _HIDDEN_SECONDS
            renewed = self._change_visibility(batch, _HIDDEN_SECONDS)
            for id_ in batch:
                receipt = self._receipts.pop(id_)
                if id_ in renewed:
                    self._receipts[id_] = _Receipt(receipt.handle, hidden_until)

    def _change_visibility(self, batch: list[str], seconds: int) -> set[str]:
        """Hide messages for some more seconds; return the ids of those for which SQS accepted it."""
        entries = [
            {"Id": str(place), "ReceiptHandle": self._receipts[id_].handle, "VisibilityTimeout": seconds}
            for place, id_ in enumerate(batch)
        ]
        response = self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        return {batch[int(entry["Id"])] for entry in response.get("Successful", [])}


def send(sqs: Any, url: str, messages: Iterable[Message]) -> dict[str, str]:  # noqa: ANN401 - a client
    """Send the bodies of messages to a queue, as new messages without the attributes of the old ones.

    Returns:
        Why SQS did not accept some of them, by the ids of the old messages.
    """
    refused: dict[str, str] = {}
    for batch in _batches_by_size(messages):
        entries = [{"Id": str(place), "MessageBody": message["Body"]} for place, message in enumerate(batch)]
        response = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        refused |= {batch[int(entry["Id"])]["MessageId"]: _describe(entry) for entry in response.get("Failed", [])}
    return refused


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    remaining = list(ids)
    for start in range(0, len(remaining), BATCH):
        yield remaining[start : start + BATCH]


def _batches_by_size(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """Yield the messages in batches that one request may send: SQS limits the entries, and the bytes of them all."""
    batch: list[Message] = []
    size = 0
    for message in messages:
        added = len(message["Body"].encode())
        if batch and (len(batch) == BATCH or size + added > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += added
    if batch:
        yield batch


def _describe(entry: dict[str, Any]) -> str:
    """Return why SQS refused an entry of a batch."""
    return ": ".join(entry[name] for name in ("Code", "Message") if name in entry)
