"""The inspection of a run: its record compared with the bucket, and its repair."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from run_recorder.cli.comparison import Finding, State, compare
from run_recorder.cli.run_locations import RunLocation
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.errors import AWSCallError, ContentionError
from run_recorder.files import find_missing_files
from run_recorder.keys import parse_key
from run_recorder.metadata import MAX_BYTES, parse_metadata
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject

# FilesWaitSeconds is a day at most, and a message is handled again within 15 minutes.
_LONGEST_WAIT = timedelta(hours=25)
_REPAIRABLE = {State.MISSING, State.OUTDATED, State.UNSETTLED, State.LACKS_CONFIG}
_SHOWS_CURRENT = {State.CURRENT, State.UNSETTLED}


class Inspection:
    """The inspection of runs, one at a time; safe beside live events, and safe to share between threads.

    Every method raises `AWSCallError` if AWS refuses a call or does not answer.
    """

    def __init__(
        self,
        bucket: str,
        s3: S3,
        table: RunTable,
        find_recorder: Callable[[], Recorder] | None = None,
        *,
        repair: bool = False,
        quick: bool = False,
    ) -> None:
        """Make an inspection.

        Args:
            bucket: bucket of runs.
            s3: S3, where the bucket is.
            table: table of records.
            find_recorder: returns the recorder with the settings of the function; None to leave out the configs of
                records that are not accepted, and all repairs.
            repair: whether to repair what differs.
            quick: whether a run with a settled record and a metadata.json counts as current, without a request.
        """
        self._bucket = bucket
        self._s3 = s3
        self._table = table
        self._find_recorder = find_recorder
        self._repairs = repair
        self._quick = quick

    def inspect(self, location: RunLocation) -> Finding:
        """Compare a run, and repair a record that is missing, outdated, not settled, or without the right config.

        For most runs, one HEAD request shows that the record is current. Any other run is read again on both
        sides, because it may have been uploaded or recorded in the meantime.

        Raises:
            AWSCallError: AWS fails in a way that is not of this run alone.
        """
        try:
            return self._inspect(location)
        except AWSCallError as error:
            if not error.is_of_one_object:
                raise
            return Finding(location.key, State.UNREADABLE, location.record, None, error=str(error))

    def look(self, run: Run) -> Finding:
        """Compare a run as of now, but for its files and its config.

        The object is read after the record, so it is never the older one.
        """
        key = run.document_key
        record = self._table.get(run)
        stored = self._head(key)
        return Finding(key, compare(record, stored), record, stored)

    def _inspect(self, location: RunLocation) -> Finding:
        run = parse_key(location.key)
        if run is None:
            stored = self._head(location.key)
            return Finding(location.key, State.UNRECORDABLE if stored else State.INCOMPLETE, None, stored)
        if location.listed and location.record:
            if self._quick and location.record.is_settled:
                return Finding(location.key, State.CURRENT, location.record, None)
            stored = self._head(location.key)
            finding = Finding(location.key, compare(location.record, stored), location.record, stored)
            if finding.state is State.CURRENT and not self._lacks_config(run, finding):
                return finding
        finding = self.look(run)
        lacks_config = self._lacks_config(run, finding)
        if finding.state is State.CURRENT and lacks_config:
            finding = replace(finding, state=State.LACKS_CONFIG)
        if self._repairs and self._find_recorder and finding.state in _REPAIRABLE:
            return self._repair(run, finding, self._find_recorder(), lacks_config=lacks_config)
        if finding.state is State.UNSETTLED and not may_be_complete(self._s3, self._bucket, run, finding):
            return replace(finding, state=State.LACKS_CONFIG if lacks_config else State.LACKS_FILES)
        return finding

    def _head(self, key: str) -> StoredObject | None:
        """Look for an object; where S3 refuses, ask for AWS's reason, which only the answer to a GET request has."""
        try:
            return self._s3.head_object(self._bucket, key)
        except AWSCallError as error:
            if not error.is_unexplained:
                raise
            return self._s3.read_object(self._bucket, key, max_bytes=0)

    def _lacks_config(self, run: Run, finding: Finding) -> bool:
        """Return whether a record that shows the current upload, not accepted, lacks the config of an older one."""
        record, stored = finding.record, finding.stored
        if finding.state not in _SHOWS_CURRENT or record is None or stored is None or record.is_accepted:
            return False
        if self._find_recorder is None:
            return False
        search = self._find_recorder().find_last_accepted(run, finding.key, record, stored)
        return search is not None and search.found is not None

    def _repair(self, run: Run, finding: Finding, recorder: Recorder, *, lacks_config: bool) -> Finding:
        try:
            outcome = recorder.handle(ObjectEvent(self._bucket, finding.key, run, created=True)).outcome
        except ContentionError as error:
            return replace(finding, error=str(error))
        if finding.state is State.UNSETTLED and outcome in (Outcome.DUPLICATE, Outcome.PENDING):
            if not lacks_config:
                return replace(finding, state=State.LACKS_FILES)
            finding = replace(finding, state=State.LACKS_CONFIG)
        return replace(finding, outcome=outcome)


def may_be_complete(s3: S3, bucket: str, run: Run, finding: Finding) -> bool:
    """Return whether all files of a run that is not settled may be there now, or nothing waits for them.

    Raises:
        AWSCallError: S3 refuses a call, or does not answer.
    """
    document = s3.read_object(bucket, finding.key, max_bytes=MAX_BYTES)
    if document is None or document.body is None:
        return True
    is_pending = finding.record is not None and finding.record.is_pending
    if is_pending and datetime.now(UTC) - document.last_modified > _LONGEST_WAIT:
        return True  # no message is left that would end the wait
    metadata, _ = parse_metadata(document.body, run)
    return next(find_missing_files(s3, bucket, run, metadata.files), None) is None
