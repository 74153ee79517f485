"""How the record of a run stands to its metadata.json, and what can be done about it."""

import enum
from dataclasses import dataclass, replace

from run_recorder.cli.run_locations import DOCUMENT, RunLocation
from run_recorder.domain import JSON, ObjectEvent, Outcome, Run
from run_recorder.keys import parse_key
from run_recorder.record_state import RecordState
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3, StoredObject


class State(enum.StrEnum):
    """How the two sides stand to each other."""

    CURRENT = "current"
    UNSETTLED = "unsettled"
    MISSING = "missing"
    OUTDATED = "outdated"
    ORPHANED = "orphaned"
    UNRECORDABLE = "unrecordable"
    INCOMPLETE = "incomplete"


_REPAIRABLE = {State.MISSING, State.OUTDATED, State.UNSETTLED}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at both sides showed.

    Attributes:
        key: of the metadata.json, whether it is there or not.
        state: how they stand.
        record: what the table holds.
        stored: what the bucket holds, without its body.
        outcome: of the repair, if there was one.
    """

    key: str
    state: State
    record: RecordState | None
    stored: StoredObject | None
    outcome: Outcome | None = None

    @property
    def needs_a_look(self) -> bool:
        """Whether something is wrong that was not repaired."""
        return self.outcome is None and self.state not in {State.CURRENT, State.UNSETTLED, State.INCOMPLETE}

    def as_json(self) -> dict[str, JSON]:
        """The finding for programs; what is absent is null."""
        return {
            "key": self.key,
            "state": self.state.value,
            "uploaded_at": self.stored and self.stored.uploaded_at,
            "version_id": self.stored and self.stored.version_id,
            "etag": self.stored and self.stored.etag,
            "recorded_version_id": self.record and self.record.version_id,
            "recorded_etag": self.record and self.record.etag,
            "outcome": self.outcome and self.outcome.value,
        }


def compare(record: RecordState | None, stored: StoredObject | None) -> State:
    """The state of a run, if what is in the bucket was read after what is in the table."""
    if record is None:
        return State.MISSING if stored else State.INCOMPLETE
    if stored is None:
        return State.ORPHANED
    if record.version != stored.version:
        return State.OUTDATED
    return State.CURRENT if record.is_settled else State.UNSETTLED


class Comparison:
    """Compares one run at a time. Safe beside live events, and to share between threads.

    Every method raises `UploadFailedError` if AWS refuses or does not answer.
    """

    def __init__(
        self, bucket: str, s3: S3, table: RunTable, recorder: Recorder | None = None, *, quick: bool = False
    ) -> None:
        """Prepares it.

        Args:
            bucket: of runs.
            s3: where it is.
            table: of the records.
            recorder: to repair with; None to leave all as it is.
            quick: whether to take a run that is in both for current.
        """
        self._bucket = bucket
        self._s3 = s3
        self._table = table
        self._recorder = recorder
        self._quick = quick

    def inspect(self, location: RunLocation) -> Finding:
        """Look at a location, and repair a record that is missing, outdated or not settled.

        One HEAD shows most runs to be current. What it does not is looked at again, on both
        sides, since it may have been uploaded or recorded meanwhile.
        """
        run = parse_key(location.key)
        if run is None:
            stored = self._s3.head_object(self._bucket, location.key)
            return Finding(location.key, State.UNRECORDABLE if stored else State.INCOMPLETE, None, stored)
        if location.listed and location.record:
            if self._quick and location.record.is_settled:
                return Finding(location.key, State.CURRENT, location.record, None)
            stored = self._s3.head_object(self._bucket, location.key)
            if compare(location.record, stored) is State.CURRENT:
                return Finding(location.key, State.CURRENT, location.record, stored)
        finding = self.look(run)
        if self._recorder is None or finding.state not in _REPAIRABLE:
            return finding
        outcome = self._recorder.handle(ObjectEvent(self._bucket, finding.key, run, created=True)).outcome
        if (finding.state, outcome) == (State.UNSETTLED, Outcome.DUPLICATE):
            return finding  # the files are still missing
        return replace(finding, outcome=outcome)

    def look(self, run: Run) -> Finding:
        """The run as of now. The object is read after the record, so it is never the older one."""
        key = run.prefix + DOCUMENT
        record = self._table.get(run)
        stored = self._s3.head_object(self._bucket, key)
        return Finding(key, compare(record, stored), record, stored)
