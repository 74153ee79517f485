"""The result of comparing the record of a run with its metadata.json. Pure."""

import enum
from dataclasses import dataclass

from run_recorder.domain import JSON, Outcome
from run_recorder.record_state import RecordState
from run_recorder.s3_objects import StoredObject


class State(enum.StrEnum):
    """The result of a comparison."""

    CURRENT = "current"
    UNSETTLED = "unsettled"
    LACKS_FILES = "lacks-files"
    LACKS_CONFIG = "lacks-config"
    MISSING = "missing"
    OUTDATED = "outdated"
    ORPHANED = "orphaned"
    UNRECORDABLE = "unrecordable"
    UNREADABLE = "unreadable"
    INCOMPLETE = "incomplete"


_NO_ERROR = {State.CURRENT, State.LACKS_FILES, State.INCOMPLETE}


@dataclass(frozen=True, slots=True)
class Finding:
    """A run that was compared, and the result.

    Attributes:
        key: key of the metadata.json, which need not exist.
        state: result of the comparison.
        record: the record; None if there is none.
        stored: the object, without its body; None if there is none, or if it cannot be read.
        outcome: outcome of the repair; None without a repair.
        error: why the run could not be compared or repaired; None if it could.
    """

    key: str
    state: State
    record: RecordState | None
    stored: StoredObject | None
    outcome: Outcome | None = None
    error: str | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether there is a difference that was not repaired."""
        return self.outcome is None and self.state not in _NO_ERROR

    def as_json(self) -> dict[str, JSON]:
        """Return the finding as JSON; an absent value is null."""
        return {
            "key": self.key,
            "state": self.state.value,
            "uploaded_at": self.stored and self.stored.uploaded_at,
            "version_id": self.stored and self.stored.version_id,
            "etag": self.stored and self.stored.etag,
            "recorded_version_id": self.record and self.record.version_id,
            "recorded_etag": self.record and self.record.etag,
            "outcome": self.outcome and self.outcome.value,
            "error": self.error,
        }


def compare(record: RecordState | None, stored: StoredObject | None) -> State:
    """Return the result of comparing a record with an object that was read after it, but not with the run's files."""
    if record is None:
        return State.MISSING if stored else State.INCOMPLETE
    if stored is None:
        return State.ORPHANED
    if record.version != stored.version:
        return State.OUTDATED
    return State.CURRENT if record.is_settled else State.UNSETTLED
