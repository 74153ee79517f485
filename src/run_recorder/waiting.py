"""How long the files of an upload may be late, and when its message is handled again. Pure, but for the clock."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

MIN_DELAY = 15
MAX_DELAY = 900
"""The shortest and the longest delay of a message, in seconds; SQS allows no longer one."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The wait for the files of an upload, as of one moment.

    Attributes:
        age: seconds since S3 stored the upload; below 0 if this clock is behind that of S3.
        remaining: seconds until the wait is over; 0 or less once it is.
    """

    age: float
    remaining: float

    @classmethod
    def of(cls, last_modified: datetime, seconds: int) -> Self:
        """Return the wait as of now.

        Args:
            last_modified: when S3 stored the upload.
            seconds: how long its files may be late; 0 for no wait, whatever the clocks say.
        """
        age = (datetime.now(UTC) - last_modified).total_seconds()
        return cls(age, seconds - age if seconds else 0)

    @property
    def is_over(self) -> bool:
        """Whether files that are not there now are missing for good."""
        return self.remaining <= 0

    @property
    def next_delay(self) -> int:
        """Seconds until the upload is looked at again: as long as it has waited, or just after the end."""
        return min(max(MIN_DELAY, int(self.age)), MAX_DELAY, math.ceil(self.remaining) + 1)


@dataclass(frozen=True, slots=True)
class Look:
    """The state in which the handling of an event found an upload whose document is valid.

    Attributes:
        wait: the wait for its files; None if all of them are there.
        is_latest: whether the record shows this upload as the latest.
        is_newer_accepted: whether an upload that S3 stored after it is accepted.
    """

    wait: Wait | None
    is_latest: bool
    is_newer_accepted: bool = False


def is_put_back(look: Look, *, is_from_queue: bool, has_failed_record: bool) -> bool:
    """Return whether the message that led to a look is put back into the queue, to be handled again.

    ====== ======== ============== ========= ========== ============= ========
    latest complete newer accepted wait over from queue failed record put back
    ====== ======== ============== ========= ========== ============= ========
    any    no       no             no        yes        no            yes
    any    yes      any            any       any        any           no
    any    any      yes            any       any        any           no
    any    any      any            yes       any        any           no
    any    any      any            any       no         any           no
    any    any      any            any       any        yes           no
    ====== ======== ============== ========= ========== ============= ========

    Whether the upload is the latest decides its outcome alone: an older one may still become the last accepted.

    Args:
        look: at one upload.
        is_from_queue: whether the event is a message of the function's own queue.
        has_failed_record: whether another record of the same message failed, so that SQS redelivers the message.
    """
    is_incomplete = look.wait is not None and not look.wait.is_over
    return is_incomplete and not look.is_newer_accepted and is_from_queue and not has_failed_record


def choose_delay(looks: Iterable[Look], *, is_from_queue: bool, has_failed_record: bool) -> int | None:
    """Return after how many seconds a message is delivered again; None if it is not put back.

    Args:
        looks: at all uploads that the message led to.
        is_from_queue: as in `is_put_back`.
        has_failed_record: as in `is_put_back`.
    """
    return min(
        (
            look.wait.next_delay
            for look in looks
            if look.wait and is_put_back(look, is_from_queue=is_from_queue, has_failed_record=has_failed_record)
        ),
        default=None,
    )
