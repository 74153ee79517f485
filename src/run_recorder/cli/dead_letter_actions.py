"""The actions on the dead-letter queue: each receives all messages, and acts on those that it is meant for."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from run_recorder.cli.dead_letter_queue import BATCH, DeadLetterQueue, HeldMessages, Message
from run_recorder.cli.dead_letter_reports import DeadLetter, Prospect, Report, judge_messages
from run_recorder.cli.pacing import pace
from run_recorder.cli.stack import Stack

Send = Callable[[Iterable[Message]], dict[str, str]]
"""Sends messages to the queue of uploads; returns why some were refused, by their ids."""


@dataclass
class Redrive:
    """Puts the messages back that can succeed.

    A message is sent before it is deleted: if the command is killed between the two, the message is in both queues, and
    its upload is a ``duplicate`` the second time.

    Attributes:
        moved: how many messages were put back.
        left: the reports of the messages that were not, by their ids.
    """

    queue: DeadLetterQueue
    stack: Stack
    send: Send
    rate: int | None = None
    moved: int = 0
    left: dict[str, Report] = field(default_factory=dict)

    def survey(self) -> int:
        """Return how many messages would be put back, and set ``left`` to the others.

        Raises:
            AWSCallError: AWS fails in a way that is not of one message alone.
        """
        movable = set[str]()
        with self.queue.hold() as held:
            for letters in _judge_all(held, self.stack):
                movable |= {letter.message_id for letter in letters if _can_succeed(letter)}
                self._leave(letters)
        return len(movable)

    def run(self) -> Iterator[int]:
        """Put messages back; yield repeatedly how many messages were handled.

        Raises:
            AWSCallError: AWS fails in a way that is not of one message alone.
        """
        self.left.clear()
        with self.queue.hold() as held:
            for messages in pace(self._find_movable(held), self.rate and self.rate / self._batch_size):
                self._put_back(held, messages)
                yield self.moved + len(self.left)

    @property
    def _batch_size(self) -> int:
        return min(BATCH, self.rate or BATCH)

    def _find_movable(self, held: HeldMessages) -> Iterator[list[DeadLetter]]:
        """Yield the messages to put back, in batches."""
        for letters in _judge_all(held, self.stack):
            self._leave(letters)
            movable = [letter for letter in letters if _can_succeed(letter)]
            for start in range(0, len(movable), self._batch_size):
                yield movable[start : start + self._batch_size]

    def _leave(self, letters: list[DeadLetter]) -> None:
        self.left |= {letter.message_id: letter.report() for letter in letters if not _can_succeed(letter)}

    def _put_back(self, held: HeldMessages, letters: list[DeadLetter]) -> None:
        messages = held.keep(letter.message for letter in letters)
        refused = self.send(messages)
        sent = [message for message in messages if message["MessageId"] not in refused]
        deleted, not_deleted = held.delete(sent)
        self.moved += len(deleted)
        reasons = {message_id: f"SQS did not take it: {text}" for message_id, text in refused.items()}
        for message_id, text in not_deleted.items():
            reasons[message_id] = f"put back, but SQS did not delete it here: {text}"
        for letter in letters:
            if letter.message_id in reasons:
                self.left[letter.message_id] = {**letter.report(), "reasons": [reasons[letter.message_id]]}
            elif letter.message_id in deleted:
                self.left.pop(letter.message_id, None)


@dataclass
class Discard:
    """Deletes messages for good.

    Attributes:
        wanted: the ids of the messages to delete; None for all that cannot succeed.
        unrecordable: whether only messages are deleted that cannot succeed.
        limit: the greatest number of messages to receive; None for all.
        deleted: the ids of the messages that were deleted.
        refused: why SQS did not delete others, by their ids.
    """

    queue: DeadLetterQueue
    stack: Stack
    wanted: Collection[str] | None
    unrecordable: bool
    limit: int | None = None
    deleted: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def find(self) -> Iterator[list[DeadLetter]]:
        """Yield the messages to delete.

        Raises:
            AWSCallError: unrecordable messages are sought, and AWS fails in a way that is not of one message alone.
        """
        with self.queue.hold() as held:
            yield from self._find(held)

    def run(self) -> Iterator[list[DeadLetter]]:
        """Delete the messages, and yield them.

        Raises:
            AWSCallError: as in `find`.
        """
        with self.queue.hold() as held:
            for letters in self._find(held):
                for start in range(0, len(letters), BATCH):
                    deleted, refused = held.delete(letter.message for letter in letters[start : start + BATCH])
                    self.deleted |= deleted
                    self.refused |= refused
                yield letters

    def _find(self, held: HeldMessages) -> Iterator[list[DeadLetter]]:
        missing = set(self.wanted or ())
        for received in held.receive(self.limit):
            messages = [each for each in received if self.wanted is None or each["MessageId"] in self.wanted]
            missing -= {message["MessageId"] for message in messages}
            letters = judge_messages(messages, self.stack)
            if self.unrecordable:
                _raise_failure_of_all(letters)
                letters = [letter for letter in letters if letter.prospect is Prospect.UNRECORDABLE]
            yield letters
            if self.wanted is not None and not missing:
                return


def _judge_all(held: HeldMessages, stack: Stack) -> Iterator[list[DeadLetter]]:
    for messages in held.receive():
        letters = judge_messages(messages, stack)
        _raise_failure_of_all(letters)
        yield letters


def _raise_failure_of_all(letters: list[DeadLetter]) -> None:
    """Raise the failure of AWS because of which a message could not be judged, unless it is of one object."""
    for judgement in (judgement for letter in letters for judgement in letter.judgements):
        if judgement.failure and not judgement.failure.is_of_one_object:
            raise judgement.failure


def _can_succeed(letter: DeadLetter) -> bool:
    return letter.prospect is Prospect.RECORDABLE
