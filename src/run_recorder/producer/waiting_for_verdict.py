"""The wait for the verdict on an upload."""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from run_recorder.consumer.run_reader import RunRecord
from run_recorder.domain import Run
from run_recorder.errors import AWSCallError, RunNotFoundError
from run_recorder.producer.destination import Destination

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_GROWTH = 1.5


class VerdictState(enum.StrEnum):
    """What is known of an upload when the wait ends."""

    RECORDED = "recorded"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    PENDING = "pending"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on an upload.

    Attributes:
        state: ``RECORDED`` or ``REJECTED`` if the record shows the upload; ``SUPERSEDED`` if a newer upload of the run
            came before; ``PENDING`` or ``UNKNOWN`` if the time was over, while files were missing or the record
            did not show the upload.
        record: the record of the run, as it was read last; None if there was none.
        is_of_current: whether it was known which upload is the current one.
    """

    state: VerdictState
    record: RunRecord | None
    is_of_current: bool = True


@dataclass(frozen=True, slots=True)
class AwaitedUpload:
    """An upload whose verdict is waited for; None for what is unknown.

    Attributes:
        version_id: None in a bucket without versions.
        etag: its entity tag, without quotes.
        uploaded_at: its LastModified in the format of a record.
        stored_by: a time, by the clock of S3, at which it was stored already.
        before: a record that shows an earlier upload with the same entity tag.
    """

    version_id: str | None = None
    etag: str | None = None
    uploaded_at: str | None = None
    stored_by: datetime | None = None
    before: RunRecord | None = None

    def is_shown_by(self, record: RunRecord) -> bool:
        """Return whether a record shows this upload as the latest."""
        if self.version_id or record.version_id:
            return self.version_id in (None, record.version_id) and self.etag in (None, record.etag)
        is_new = self.before is None or record.recorded_at != self.before.recorded_at
        return is_new and self.etag in (None, record.etag) and self.uploaded_at in (None, record.uploaded_at)

    def is_older_than(self, record: RunRecord | None) -> bool:
        """Return whether a record certainly shows a newer upload; LastModified has no fractions of a second."""
        if record is None or self.stored_by is None or record.uploaded_at is None:
            return False
        return datetime.fromisoformat(record.uploaded_at) > self.stored_by


def wait_for_upload(
    destination: Destination,
    run: Run,
    awaited: AwaitedUpload,
    *,
    timeout: float,
    report: Callable[[], None] = lambda: None,
) -> Verdict:
    """Wait until the record shows the verdict on an upload, or a newer upload replaces it.

    Args:
        destination: the bucket and the table.
        run: the run.
        awaited: the upload.
        timeout: the longest wait, in seconds; 0 for one look.
        report: called after each look that does not end the wait.

    Raises:
        AWSCallError: AWS refuses a call or does not answer.
    """
    end = time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        record = destination.read_record(run)
        state = VerdictState.UNKNOWN
        if record and awaited.is_shown_by(record):
            state = VerdictState(record.status)
        elif awaited.is_older_than(record) or _is_replaced(destination, run, awaited):
            state = VerdictState.SUPERSEDED
        left = end - time.monotonic()
        if left <= 0 or state not in (VerdictState.UNKNOWN, VerdictState.PENDING):
            return Verdict(state, record)
        report()
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def wait_for_current(destination: Destination, run: Run, *, timeout: float) -> Verdict:
    """Wait for the verdict on the current upload of a run, or, if it cannot be read, on the one that the record shows.

    Args:
        destination: the bucket and the table.
        run: the run.
        timeout: as in `wait_for_upload`.

    Raises:
        RunNotFoundError: the run has no ``metadata.json``.
        AWSCallError: AWS refuses a call or does not answer.
    """
    try:
        current = destination.s3.head_object(destination.bucket, run.document_key)
    except AWSCallError as error:
        if not error.is_denied:
            raise
        verdict = wait_for_upload(destination, run, AwaitedUpload(), timeout=timeout)
        return replace(verdict, is_of_current=False)
    if current is None:
        raise RunNotFoundError(f"there is no s3://{destination.bucket}/{run.document_key}")
    awaited = AwaitedUpload(current.version_id, current.etag, current.uploaded_at)
    return wait_for_upload(destination, run, awaited, timeout=timeout)


def _is_replaced(destination: Destination, run: Run, awaited: AwaitedUpload) -> bool:
    """Return whether another upload is the current one, as far as the caller may read that."""
    try:
        current = destination.s3.head_object(destination.bucket, run.document_key)
    except AWSCallError as error:
        if error.is_denied:
            return False
        raise
    if current is None:
        return False
    if awaited.version_id:
        return current.version_id != awaited.version_id
    is_same = awaited.etag in (None, current.etag) and awaited.uploaded_at in (None, current.uploaded_at)
    return current.version_id is not None or not is_same
