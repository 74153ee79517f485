"""Compare and swap: the record of a run against the bucket, where sequencers cannot order them."""

from dataclasses import replace

from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.errors import ContentionError
from run_recorder.evaluator import Evaluator
from run_recorder.large_document_gate import LargeDocumentGate
from run_recorder.last_accepted import MAX_OLDER_VERSIONS, Verdicts
from run_recorder.ordered_writes import replace_record, replace_source
from run_recorder.record_state import RecordState
from run_recorder.runs import RunTable
from run_recorder.s3 import StoredObject
from run_recorder.uploads import Uploads
from run_recorder.verdict import GONE, Evaluation, RecordUpdate, Result

MAX_ATTEMPTS = 10


class CompareAndSwap:
    """Brings the record of one run up to the current upload, and to the last accepted one.

    Each attempt reads the record, then the current upload, and writes only if the record is
    still the one that was read. Because the upload is read after the record, it is never older
    than the upload that the record shows.
    """

    def __init__(
        self,
        table: RunTable,
        uploads: Uploads,
        evaluator: Evaluator,
        write_gate: LargeDocumentGate,
        event: ObjectEvent,
        run: Run,
    ) -> None:
        """Prepare it for one event of the run; this calls nothing."""
        self._table = table
        self._uploads = uploads
        self._write_gate = write_gate
        self._event = event
        self._run = run
        self.verdicts = Verdicts(evaluator, uploads, run, event.key)

    def run(self) -> Result:
        """Return the result for the event.

        Raises:
            UploadFailedError: AWS refused or did not answer, or other writers changed the
                record under each attempt; the event has to be delivered again.
        """
        for _ in range(MAX_ATTEMPTS):
            state = self._table.get(self._run)
            current = self._uploads.read_current(self._event.key)
            if current is None:
                return GONE
            result = self._attempt(state, current)
            if result:
                return self._result_for_event(current, result)
        raise ContentionError(
            f"the record of {self._run.path} changed under each of {MAX_ATTEMPTS} attempts to replace it"
        )

    def _attempt(self, state: RecordState | None, current: StoredObject) -> Result | None:
        """Return the result for the current upload; None if the record or the bucket changed since they were read."""
        shown = state if state and _shows(state, current) else None
        if shown and shown.is_accepted:
            return Result(Outcome.DUPLICATE)
        verdict = None if shown and shown.is_settled else self.verdicts.on(current)
        if verdict and verdict.is_accepted:
            self.verdicts.keep_only(verdict)
            sequencer = self._event.sequencer if _certainly_names(self._event, current) else None
            return self._replace_record(state, current, verdict, sequencer=sequencer)
        search = self.verdicts.find_last_accepted(current, state.source if state else None)
        if search is None:
            return None
        if verdict is None or (shown and shown.has_errors_of(verdict)):
            result = self._replace_source(state, search.found)
        else:
            # Without a sequencer, so that the bucket orders all that follows until an upload is accepted.
            result = self._replace_record(state, current, verdict, source=search.found)
        if result and not search.is_complete:
            return replace(result, reason=f"more than {MAX_OLDER_VERSIONS} uploads before this one are rejected")
        return result

    def _replace_record(
        self,
        state: RecordState | None,
        current: StoredObject,
        verdict: Evaluation,
        *,
        sequencer: str | None = None,
        source: Evaluation | None = None,
    ) -> Result | None:
        update = RecordUpdate.of(
            self._event, self._run, verdict, current.uploaded_at, sequencer=sequencer, source=source
        )
        with self._write_gate.hold((source or verdict).size):
            is_written = replace_record(self._table, state, update)
        return Result.of(update.outcome, update) if is_written else None

    def _replace_source(self, state: RecordState | None, source: Evaluation | None) -> Result | None:
        """Record the last accepted upload beside the rejected one that the record shows."""
        if source:
            with self._write_gate.hold(source.size):
                if not replace_source(self._table, state, self._run, source.accepted):
                    return None
        return Result(Outcome.DUPLICATE)

    def _result_for_event(self, current: StoredObject, result: Result) -> Result:
        """Return the result for the upload that the event names, which may be older than the current one."""
        event = self._event
        if _names(event, current):
            return result
        # A sequenced event comes here only after its version was read.
        is_gone = (
            event.version_id and not event.sequencer and not self._uploads.has_version(event.key, event.version_id)
        )
        own = GONE if is_gone else Result(Outcome.STALE, reason=result.reason)
        if result.outcome is Outcome.DUPLICATE:
            return own
        return replace(own, newer=replace(result, version_id=current.version_id))


def _shows(state: RecordState, current: StoredObject) -> bool:
    """Whether a record shows this very upload; without versions, the same bytes may have been uploaded again."""
    return state.version == current.version and (
        current.version_id is not None or state.uploaded_at == current.uploaded_at
    )


def _names(event: ObjectEvent, current: StoredObject) -> bool:
    """Whether an event is about this upload, as far as it says."""
    if event.version_id:
        return event.version_id == current.version_id
    return event.etag in (None, current.etag)


def _certainly_names(event: ObjectEvent, current: StoredObject) -> bool:
    """Whether an event is about this very upload: an entity tag alone is also that of other versions."""
    if event.version_id or current.version_id:
        return event.version_id == current.version_id
    return event.etag == current.etag
