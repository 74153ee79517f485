"""The verdict on an upload, the update of the record that follows from it, and the result for the event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from run_recorder.domain import JSON, ObjectEvent, ObjectVersion, Outcome, Run
from run_recorder.errors import FieldError
from run_recorder.waiting import Look, Wait

MISSING_FILES = "listed files are missing or differ in size"
"""The reason of a result if nothing else is wrong with the upload."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict on one upload, by its document, its files and the settings of this moment.

    Attributes:
        version: the upload.
        uploaded_at: when S3 stored it, as ``2026-11-20T08:30:00Z``.
        size: of the document, in bytes.
        errors: why the upload is rejected, 20 at most; empty if it is accepted.
        errors_truncated: whether there are more errors than these.
        accepted: the attributes of a record that only an accepted upload sets, None for one to
            remove; empty if the upload is not accepted.
        wait: if listed files are all that is missing, the wait for them as of a moment before they were
            looked for; else None.
    """

    version: ObjectVersion
    uploaded_at: str
    size: int
    errors: tuple[FieldError, ...]
    errors_truncated: bool
    accepted: Mapping[str, JSON]
    wait: Wait | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the upload has no error."""
        return not self.errors

    @property
    def is_waiting(self) -> bool:
        """Whether listed files are all that is missing, and may still arrive in time."""
        return self.wait is not None and not self.wait.is_over


@dataclass(frozen=True, slots=True)
class RecordUpdate:
    """The attributes that a write gives a record.

    Attributes:
        status: of the latest upload: ``RECORDED``, ``REJECTED`` or ``PENDING``.
        is_waiting: whether files of the latest upload may still arrive in time, as in `Evaluation`.
        bucket, key: where the latest upload is.
        version: the latest upload.
        uploaded_at: its LastModified, as ``2026-11-20T08:30:00Z``.
        sequencer: its place in S3's order, as `ObjectEvent.sequencer`; None if unknown.
        errors, errors_truncated: of the latest upload, as in `Evaluation`.
        accepted: the attributes of the last accepted upload, as in `Evaluation`; empty to
            leave those of the record.
    """

    run: Run
    status: Outcome
    is_waiting: bool
    bucket: str
    key: str
    version: ObjectVersion
    uploaded_at: str
    sequencer: str | None
    errors: tuple[FieldError, ...]
    errors_truncated: bool
    accepted: Mapping[str, JSON]

    @classmethod
    def of(
        cls,
        event: ObjectEvent,
        run: Run,
        latest: Evaluation,
        *,
        sequencer: str | None = None,
        source: Evaluation | None = None,
    ) -> Self:
        """Return the update that a verdict makes.

        Args:
            event: which led to it; names bucket and key. Late files are waited for if it can wait.
            run: the run of that key.
            latest: the verdict on the latest upload.
            sequencer: the place of the latest upload in S3's order, if it is known.
            source: the verdict on an older upload, if that is the last accepted one.
        """
        accepted = dict(source.accepted if source else latest.accepted)
        if latest.is_accepted and sequencer:
            accepted["source"] = {**accepted["source"], "sequencer": sequencer}
        status = Outcome.REJECTED if latest.errors else Outcome.RECORDED
        return cls(
            run=run,
            status=Outcome.PENDING if latest.is_waiting and event.can_wait else status,
            is_waiting=latest.is_waiting,
            bucket=event.bucket,
            key=event.key,
            version=latest.version,
            uploaded_at=latest.uploaded_at,
            sequencer=sequencer,
            errors=latest.errors,
            errors_truncated=latest.errors_truncated,
            accepted=accepted,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What handling an object event did to the record.

    Attributes:
        outcome: of the upload that the event names.
        errors, errors_truncated: of the document, if it is rejected or pending; as in `Evaluation`.
        reason: why the event is ignored, or what an operator has to know of it.
        version_id: of the upload, if the event names another one.
        newer: the result for the newer upload that was recorded instead, if one was.
        looks: the looks at uploads that are incomplete.
    """

    outcome: Outcome
    errors: tuple[FieldError, ...] = ()
    errors_truncated: bool = False
    reason: str | None = None
    version_id: str | None = None
    newer: Self | None = None
    looks: tuple[Look, ...] = ()

    @classmethod
    def of(cls, outcome: Outcome, latest: Evaluation) -> Self:
        """Return the result for the upload that the record shows, with its errors if it is not accepted."""
        if outcome not in (Outcome.REJECTED, Outcome.PENDING):
            return cls(outcome)
        return cls(
            outcome,
            latest.errors,
            latest.errors_truncated,
            reason=MISSING_FILES if latest.wait else None,
            looks=(Look(latest.wait, is_latest=True),) if latest.wait else (),
        )


GONE = Result(Outcome.IGNORED, reason="the object or this version of it is gone")
