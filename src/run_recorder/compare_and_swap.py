"""Compare and swap: the record of a run against the bucket, where sequencers cannot order them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from run_recorder.domain import ObjectEvent, ObjectVersion, Outcome, Run
from run_recorder.errors import ContentionError
from run_recorder.evaluator import Evaluator
from run_recorder.large_document_gate import LargeDocumentGate
from run_recorder.last_accepted import MAX_OLDER_VERSIONS, Search, Verdicts
from run_recorder.ordered_writes import replace_record, replace_source
from run_recorder.record_state import RecordState
from run_recorder.runs import RunTable
from run_recorder.s3_objects import StoredObject
from run_recorder.uploads import Uploads
from run_recorder.verdict import GONE, Evaluation, RecordUpdate, Result
from run_recorder.waiting import Look

MAX_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Swap:
    """An attempt that ended.

    Attributes:
        result: for the current upload.
        is_recorded: whether this attempt recorded the verdict on the current upload.
        search: for the last accepted upload; None if there was no need of one.
    """

    result: Result
    is_recorded: bool
    search: Search | None = None

    @property
    def reason(self) -> str | None:
        """What an operator has to know of the search."""
        if self.search is None or self.search.is_complete:
            return None
        return f"more than {MAX_OLDER_VERSIONS} uploads before this one are not accepted"


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
            swap = self._attempt(state, current)
            if swap:
                return self._result_for_event(current, swap)
        raise ContentionError(
            f"the record of {self._run.path} changed under each of {MAX_ATTEMPTS} attempts to replace it"
        )

    def _attempt(self, state: RecordState | None, current: StoredObject) -> Swap | None:
        """Return the swap to the current upload; None if the record or the bucket changed since they were read."""
        shown = state if state and shows(state, current) else None
        if shown and shown.is_accepted:
            return Swap(Result(Outcome.DUPLICATE), is_recorded=False)
        verdict = None if shown and shown.is_settled else self.verdicts.on(current)
        return self._swap(state, current, verdict)

    def _swap(self, state: RecordState | None, current: StoredObject, verdict: Evaluation | None) -> Swap | None:
        """Bring the record up to the verdict on the current upload; None for the verdict that it shows."""
        shown = state if state and shows(state, current) else None
        if verdict and verdict.is_accepted:
            self.verdicts.keep_only(verdict)
            sequencer = self._event.sequencer if _certainly_names(self._event, current) else None
            update = RecordUpdate.of(self._event, self._run, verdict, sequencer=sequencer)
            return self._record(state, update, verdict)
        search = self.verdicts.find_last_accepted(current, state.source if state else None)
        if search is None:
            return None
        if verdict:
            # Without a sequencer, so that the bucket orders all that follows until an upload is accepted.
            update = RecordUpdate.of(self._event, self._run, verdict, source=search.found)
            if not (shown and shown.is_kept_by(update)):
                return self._record(state, update, verdict, search)
        if not self._replace_source(state, search.found):
            return None
        is_pending = verdict and shown and shown.is_pending
        result = Result.of(Outcome.PENDING, verdict) if verdict and is_pending else Result(Outcome.DUPLICATE)
        return Swap(result, is_recorded=False, search=search)

    def _record(
        self, state: RecordState | None, update: RecordUpdate, verdict: Evaluation, search: Search | None = None
    ) -> Swap | None:
        """Replace the record that was read; return None if it is another one by now."""
        source = search.found if search else None
        with self._write_gate.hold((source or verdict).size):
            is_written = replace_record(self._table, state, update)
        return Swap(Result.of(update.status, verdict), is_recorded=True, search=search) if is_written else None

    def _replace_source(self, state: RecordState | None, source: Evaluation | None) -> bool:
        """Record the last accepted upload, if the record lacks it, and leave the verdict on the latest one."""
        if source is None:
            return True
        with self._write_gate.hold(source.size):
            return replace_source(self._table, state, self._run, source.accepted)

    def _result_for_event(self, current: StoredObject, swap: Swap) -> Result:
        """Return the result for the upload that the event names, which may be older than the current one."""
        event, latest = self._event, swap.result
        latest = replace(latest, reason=swap.reason or latest.reason)
        if _is_named(event, current.version):
            return latest
        # A sequenced event comes here only after its version was read.
        is_gone = (
            event.version_id and not event.sequencer and not self._uploads.has_version(event.key, event.version_id)
        )
        own = GONE if is_gone else Result(Outcome.STALE, reason=swap.reason)
        own = replace(own, looks=(*latest.looks, *self._looks_at_own(swap.search)))
        return replace(own, newer=replace(latest, version_id=current.version_id)) if swap.is_recorded else own

    def _looks_at_own(self, search: Search | None) -> Iterator[Look]:
        """Return the look at an older upload that the event names, if it may still become the last accepted one."""
        for verdict in search.incomplete if search else ():
            if verdict.wait and _is_named(self._event, verdict.version):
                yield Look(verdict.wait, is_latest=False)


def shows(state: RecordState, current: StoredObject) -> bool:
    """Return whether a record shows this very upload; without versions, the same bytes may have been uploaded again."""
    return state.version == current.version and (
        current.version_id is not None or state.uploaded_at == current.uploaded_at
    )


def _is_named(event: ObjectEvent, upload: ObjectVersion) -> bool:
    """Whether an event is about this upload, as far as it says."""
    if event.version_id:
        return event.version_id == upload.version_id
    return event.etag in (None, upload.etag)


def _certainly_names(event: ObjectEvent, current: StoredObject) -> bool:
    """Whether an event is about this very upload: an entity tag alone is also that of other versions."""
    if event.version_id or current.version_id:
        return event.version_id == current.version_id
    return event.etag == current.etag
