"""The current upload of a run, evaluated again with the rules and settings of this moment, though it is settled."""

import enum
from dataclasses import dataclass

from run_recorder.compare_and_swap import MAX_ATTEMPTS, CompareAndSwap, shows
from run_recorder.domain import ObjectEvent, Outcome, Run
from run_recorder.dynamodb_value import deserialize
from run_recorder.errors import ContentionError, FieldError
from run_recorder.record_state import Condition, RecordState
from run_recorder.recorder import Recorder
from run_recorder.runs import Attributes, RunTable
from run_recorder.s3_objects import StoredObject
from run_recorder.verdict import Evaluation


class ReplayState(enum.StrEnum):
    """What a replay did to a record, or would do."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    LEFT = "left"
    WAITING = "waiting"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay.

    Attributes:
        state: ``CHANGED`` if the record was written; ``UNCHANGED`` if it is right already; ``LEFT`` if it is accepted,
            and would be rejected now; ``WAITING`` if files of the upload may still arrive in time; ``GONE`` if the run
            has no document.
        before: the status of the record before; None if there was no record.
        after: the status after.
        errors: of the document, if it is not accepted now.
        changes: the attributes that only an accepted upload sets and that changed, such as ``config``.
    """

    state: ReplayState
    before: str | None = None
    after: str | None = None
    errors: tuple[FieldError, ...] = ()
    changes: tuple[str, ...] = ()


class ReplaySwap(CompareAndSwap):
    """Evaluates the current upload of one run again.

    A record whose upload is accepted keeps its verdict and its config, even if the upload would be rejected now: a
    config that workers have acted on is never withdrawn. Otherwise the record becomes that of an event without a
    sequencer. It is written only if something other than its times changes.
    """

    def replay(self) -> Replay:
        """Return the result.

        Raises:
            UploadFailedError: AWS refused or did not answer, or other writers changed the record under each attempt.
        """
        for _ in range(MAX_ATTEMPTS):
            state = self._table.get(self._run)
            current = self._uploads.read_current(self._event.key)
            if current is None:
                status = state.status if state else None
                return Replay(ReplayState.GONE, status, status)
            replay = self._replay(state, current)
            if replay:
                return replay
        raise ContentionError(f"the record of {self._run.path} changed under each of {MAX_ATTEMPTS} attempts")

    def _replay(self, state: RecordState | None, current: StoredObject) -> Replay | None:
        """Return the result of an attempt; None if the record or the bucket changed since they were read."""
        verdict = self.verdicts.on(current)
        before = state.status if state else None
        if verdict.is_waiting:
            return Replay(ReplayState.WAITING, before, before, verdict.errors)
        if state and state.is_accepted and shows(state, current):
            return self._renew(state, verdict, current)
        swap = self._swap(state, current, verdict)
        if swap is None:
            return None
        has_source = verdict.is_accepted or (swap.search is not None and swap.search.found is not None)
        after = Outcome.RECORDED if verdict.is_accepted else Outcome.REJECTED
        return Replay(
            ReplayState.CHANGED if swap.is_recorded or has_source else ReplayState.UNCHANGED,
            before,
            after.value,
            verdict.errors,
            ("config",) if has_source else (),
        )

    def _renew(self, state: RecordState, verdict: Evaluation, current: StoredObject) -> Replay | None:
        """Record what an accepted upload becomes now, if it is still accepted."""
        if not verdict.is_accepted:
            return Replay(ReplayState.LEFT, state.status, state.status, verdict.errors)
        changes = self._find_changes(state, verdict)
        if changes is None:
            return None
        if changes and self._swap(state, current, verdict) is None:
            return None
        return Replay(
            ReplayState.CHANGED if changes else ReplayState.UNCHANGED, state.status, state.status, changes=changes
        )

    def _find_changes(self, state: RecordState, verdict: Evaluation) -> tuple[str, ...] | None:
        """Return the attributes that differ from the verdict; None if the record is not in this state any more.

        The source is that of the same upload.
        """
        item = self._table.read(self._run)
        if item is None or RecordState.of(item) != state:
            return None
        return tuple(
            name
            for name, value in verdict.accepted.items()
            if name not in ("source", "config_sha256") and value != (deserialize(item[name]) if name in item else None)
        )


class ReplayingRecorder(Recorder):
    """A recorder that can also evaluate a settled upload again."""

    def replay(self, run: Run) -> Replay:
        """Evaluate the current upload of a run again; see `ReplaySwap`.

        Raises:
            UploadFailedError: AWS refused or did not answer, or other writers changed the record under each attempt.
        """
        event = ObjectEvent(self._runs_bucket, run.document_key, run, created=True)
        return ReplaySwap(self._table, self._uploads, self._evaluator, self._write_gate, event, run).replay()


class UnchangedTable(RunTable):
    """A table whose records are read, and never written: every write seems to succeed."""

    def write(self, run: Run, attributes: Attributes, condition: Condition, after: str | None = None) -> None:
        """Write nothing."""
