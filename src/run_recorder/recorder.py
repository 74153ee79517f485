"""One object event to one outcome: read, evaluate, record."""

from run_recorder.compare_and_swap import MAX_ATTEMPTS, CompareAndSwap
from run_recorder.config import Settings
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.errors import ContentionError
from run_recorder.evaluator import Evaluator
from run_recorder.large_document_gate import LargeDocumentGate
from run_recorder.last_accepted import Search, Verdicts
from run_recorder.ordered_writes import WriteResult, record_in_order
from run_recorder.record_state import RecordState
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject
from run_recorder.uploads import Uploads
from run_recorder.verdict import GONE, Evaluation, RecordUpdate, Result
from run_recorder.waiting import Look

_PATIENCE = 5  # seconds


class Recorder:
    """Handles object events, each to exactly one outcome. Safe to share between threads."""

    def __init__(self, settings: Settings, s3: S3, table: RunTable) -> None:
        self._runs_bucket = settings.runs_bucket
        self._table = table
        self._uploads = Uploads(s3, settings.runs_bucket)
        self._evaluator = Evaluator(settings, s3)
        self._write_gate = LargeDocumentGate(_PATIENCE)

    def handle(self, event: ObjectEvent) -> Result:
        """Bring the record up to the upload that an event names, or to a newer one.

        Raises:
            UploadFailedError: AWS refused or did not answer; the event has to be delivered again.
        """
        if not event.created:
            return Result(Outcome.IGNORED, reason="not the creation of an object")
        if event.bucket != self._runs_bucket:
            return Result(Outcome.IGNORED, reason="not the bucket of runs")
        if event.run is None:
            return Result(Outcome.IGNORED, reason="not the key of a run's metadata.json")
        swap = CompareAndSwap(self._table, self._uploads, self._evaluator, self._write_gate, event, event.run)
        if event.sequencer is None:
            return swap.run()
        return self._record_in_order(event, event.run, event.sequencer, swap)

    def find_last_accepted(self, run: Run, key: str, state: RecordState, current: StoredObject) -> Search | None:
        """Search the upload whose config a record should have, as `handle` does without a sequencer, and write nothing.

        Args:
            run: the run.
            key: key of its metadata.json.
            state: its record, which shows ``current`` and does not accept it.
            current: the current upload; its body is not needed.

        Returns:
            The result, as `Verdicts.find_last_accepted` states it.

        Raises:
            AWSCallError: S3 refused or did not answer.
        """
        return Verdicts(self._evaluator, self._uploads, run, key).find_last_accepted(current, state.source)

    def _record_in_order(self, event: ObjectEvent, run: Run, sequencer: str, swap: CompareAndSwap) -> Result:
        """Record the upload of a sequenced event by one read and one write, or else by compare and swap."""
        stored = self._uploads.read_named(event.key, event.version_id, event.etag)
        if stored is None:
            return GONE
        evaluation = self._evaluator.evaluate(run, stored)
        update = RecordUpdate.of(event, run, evaluation, sequencer=sequencer)
        for _ in range(MAX_ATTEMPTS):
            with self._write_gate.hold(stored.size):
                written = record_in_order(self._table, update, sequencer)
            match written:
                case WriteResult.WRITTEN:
                    return Result.of(update.status, evaluation)
                case WriteResult.PENDING:
                    return Result.of(Outcome.PENDING, evaluation)
                case WriteResult.DUPLICATE:
                    return Result(Outcome.DUPLICATE)
                case WriteResult.STALE | WriteResult.STALE_NOT_ACCEPTED:
                    return _stale(evaluation, is_newer_accepted=written is WriteResult.STALE)
                case WriteResult.INCOMPARABLE:
                    swap.verdicts.add(evaluation)
                    return swap.run()
        raise ContentionError(f"the record of {run.path} changed under each of {MAX_ATTEMPTS} attempts to write it")


def _stale(evaluation: Evaluation, *, is_newer_accepted: bool) -> Result:
    """Return the result for an upload behind the one that the record shows."""
    if evaluation.wait is None:
        return Result(Outcome.STALE)
    return Result(Outcome.STALE, looks=(Look(evaluation.wait, is_latest=False, is_newer_accepted=is_newer_accepted),))
