"""The record of a run compared with its metadata.json, and its repair."""

import enum
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from run_recorder.cli.run_locations import DOCUMENT, RunLocation
from run_recorder.domain import JSON, ObjectEvent, Outcome, Run
from run_recorder.files import find_missing_files
from run_recorder.keys import parse_key
from run_recorder.metadata import MAX_BYTES, parse_metadata
from run_recorder.record_state import RecordState
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject

# FilesWaitSeconds is a day at most, and a message is handled again within 15 minutes.
_LONGEST_WAIT = timedelta(hours=25)


class State(enum.StrEnum):
    """The result of a comparison."""

    CURRENT = "current"
    UNSETTLED = "unsettled"
    LACKS_FILES = "lacks-files"
    MISSING = "missing"
    OUTDATED = "outdated"
    ORPHANED = "orphaned"
    UNRECORDABLE = "unrecordable"
    INCOMPLETE = "incomplete"


_REPAIRABLE = {State.MISSING, State.OUTDATED, State.UNSETTLED}
_NO_ERROR = {State.CURRENT, State.LACKS_FILES, State.INCOMPLETE}


@dataclass(frozen=True, slots=True)
class Finding:
    """A run that was compared, and the result.

    Attributes:
        key: key of the metadata.json, which need not exist.
        state: result of the comparison.
        record: the record; None if there is none.
        stored: the object, without its body; None if there is none.
        outcome: outcome of the repair; None without a repair.
    """

    key: str
    state: State
    record: RecordState | None
    stored: StoredObject | None
    outcome: Outcome | None = None

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


class Comparison:
    """A comparison of runs, one at a time; safe beside live events, and safe to share between threads.

    Every method raises `UploadFailedError` if AWS refuses a call or does not answer.
    """

    def __init__(
        self, bucket: str, s3: S3, table: RunTable, recorder: Recorder | None = None, *, quick: bool = False
    ) -> None:
        """Make a comparison.

        Args:
            bucket: bucket of runs.
            s3: S3, where the bucket is.
            table: table of records.
            recorder: recorder that repairs; None to change nothing.
            quick: whether a run with a record and a metadata.json counts as current, without a request.
        """
        self._bucket = bucket
        self._s3 = s3
        self._table = table
        self._recorder = recorder
        self._quick = quick

    def inspect(self, location: RunLocation) -> Finding:
        """Compare a run, and repair a record that is missing, outdated or not settled.

        For most runs, one HEAD request shows that the record is current. Any other run is read again on both
        sides, because it may have been uploaded or recorded in the meantime.
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
        if self._recorder and finding.state in _REPAIRABLE:
            return self._repair(run, finding, self._recorder)
        return self._look_for_files(run, finding) if finding.state is State.UNSETTLED else finding

    def look(self, run: Run) -> Finding:
        """Compare a run as of now, but for its files.

        The object is read after the record, so it is never the older one.
        """
        key = run.prefix + DOCUMENT
        record = self._table.get(run)
        stored = self._s3.head_object(self._bucket, key)
        return Finding(key, compare(record, stored), record, stored)

    def _repair(self, run: Run, finding: Finding, recorder: Recorder) -> Finding:
        outcome = recorder.handle(ObjectEvent(self._bucket, finding.key, run, created=True)).outcome
        if finding.state is State.UNSETTLED and outcome in (Outcome.DUPLICATE, Outcome.PENDING):
            return replace(finding, state=State.LACKS_FILES)
        return replace(finding, outcome=outcome)

    def _look_for_files(self, run: Run, finding: Finding) -> Finding:
        """Return the finding of a run that is not settled, by the files that are there now."""
        document = self._s3.read_object(self._bucket, finding.key, max_bytes=MAX_BYTES)
        if document is None or document.body is None:
            return finding
        is_pending = finding.record is not None and finding.record.is_pending
        if is_pending and datetime.now(UTC) - document.last_modified > _LONGEST_WAIT:
            return finding  # no message is left that would end the wait
        metadata, _ = parse_metadata(document.body, run)
        missing = next(find_missing_files(self._s3, self._bucket, run, metadata.files), None)
        return replace(finding, state=State.LACKS_FILES) if missing else finding
