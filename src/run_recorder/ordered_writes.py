"""The writes that keep a record in S3's order, each conditional on what the record shows."""

import enum

from run_recorder.domain import Run
from run_recorder.record_state import (
    NO_RECORD,
    NO_SOURCE,
    RecordState,
    record_is,
    record_is_newer_than,
    record_is_older_than,
    source_is_older_than,
)
from run_recorder.runs import Attributes, RunTable
from run_recorder.verdict import RecordUpdate


class WriteResult(enum.Enum):
    """The result of the write of an upload in the order of sequencers."""

    WRITTEN = enum.auto()
    """The record now shows the upload."""
    DUPLICATE = enum.auto()
    """The record showed this very upload already, and still does."""
    PENDING = enum.auto()
    """The record showed this very upload already, and still does: files of it are late."""
    STALE = enum.auto()
    """The record shows a newer upload, and an upload newer than this one is accepted."""
    STALE_NOT_ACCEPTED = enum.auto()
    """The record shows a newer upload, and this one may still become the last accepted one."""
    INCOMPARABLE = enum.auto()
    """Sequencers cannot order the upload and the record: compare and swap has to."""
    CHANGED = enum.auto()
    """Another writer changed the record between two steps: start over."""


def record_in_order(table: RunTable, update: RecordUpdate, sequencer: str) -> WriteResult:
    """Record an upload whose place in S3's order is known: the higher sequencer wins.

    In S3's order, from old to new, the upload stands to the record's latest upload as ::

        the record's     this upload                      written
                   this upload, twice                     duplicate, pending, or settled: `_settle`
        this upload      the record's, accepted           stale
        this upload      the record's, not accepted       stale, and filled in: `_fill_in`
    """
    refusal = table.write(update.run, _all_attributes(update), NO_RECORD | record_is_older_than(sequencer))
    if refusal is None:
        return WriteResult.WRITTEN
    state = refusal.state
    if state is None or (state.sequencer or sequencer) < sequencer:
        return WriteResult.CHANGED  # since it was refused
    if state.sequencer is None:
        return WriteResult.INCOMPARABLE
    if state.sequencer == sequencer:
        return _settle(table, update, state)
    if state.is_accepted or (not update.accepted and (state.source_sequencer or sequencer) > sequencer):
        return WriteResult.STALE
    return _fill_in(table, update, sequencer) if update.accepted else WriteResult.STALE_NOT_ACCEPTED


def replace_record(table: RunTable, seen: RecordState | None, update: RecordUpdate) -> bool:
    """Record an upload if the record is still the one that was seen.

    Returns:
        Whether it was; if not, nothing was written.
    """
    return _replace(table, seen, update.run, _all_attributes(update))


def replace_source(table: RunTable, seen: RecordState | None, run: Run, accepted: Attributes) -> bool:
    """Record the last accepted upload alone, if the record is still the one that was seen.

    The latest upload keeps its verdict, and loses its sequencer: the bucket orders what follows.

    Returns:
        Whether it was; if not, nothing was written.
    """
    return _replace(table, seen, run, {**accepted, "sequencer": None})


def _replace(table: RunTable, seen: RecordState | None, run: Run, attributes: Attributes) -> bool:
    condition = record_is(seen) if seen else NO_RECORD
    return table.write(run, attributes, condition, after=seen.recorded_at if seen else None) is None


def _settle(table: RunTable, update: RecordUpdate, state: RecordState) -> WriteResult:
    """Record another verdict on the upload that the record shows, if the one there is not final."""
    if state.version != update.version:
        # Emulators send a constant sequencer.
        return WriteResult.INCOMPARABLE
    if state.is_settled or state.is_kept_by(update):
        return WriteResult.PENDING if state.is_pending else WriteResult.DUPLICATE
    # The condition holds for this sequencer and this `recorded_at` only.
    refusal = table.write(update.run, _all_attributes(update), record_is(state), after=state.recorded_at)
    return WriteResult.WRITTEN if refusal is None else WriteResult.CHANGED


def _fill_in(table: RunTable, update: RecordUpdate, sequencer: str) -> WriteResult:
    """Record a stale upload as the last accepted one, unless a newer one is."""
    source_is_missing = NO_SOURCE | source_is_older_than(sequencer)
    refusal = table.write(update.run, update.accepted, record_is_newer_than(sequencer) & source_is_missing)
    if refusal is None:
        return WriteResult.STALE
    state = refusal.state
    if state is None:
        return WriteResult.CHANGED
    is_comparable = state.sequencer and (state.source is None or state.source_sequencer)
    return WriteResult.STALE if is_comparable else WriteResult.INCOMPARABLE


def _all_attributes(update: RecordUpdate) -> Attributes:
    errors = [{"path": error.path, "message": error.message} for error in update.errors]
    latest = {
        "status": update.status.value,
        "errors": errors or None,
        "errors_truncated": update.errors_truncated or None,
        "sequencer": update.sequencer,
        "uploaded_at": update.uploaded_at,
        "version_id": update.version.version_id,
        "etag": update.version.etag,
        "bucket": update.bucket,
        "key": update.key,
    }
    return {**latest, **update.accepted}
