"""The runs that a command works on: of organisations, or from a list, and by their records."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from run_recorder.cli.records import Records
from run_recorder.domain import Run
from run_recorder.record_state import RecordState
from run_recorder.runs import RunTable


@dataclass(frozen=True, slots=True)
class Filter:
    """Properties of a record; None for any.

    Attributes:
        status: its status.
        error_path: a JSON Pointer; one of its errors is at this place, or below.
        since: its ``recorded_at`` is this time or later.
    """

    status: str | None = None
    error_path: str | None = None
    since: str | None = None

    def matches(self, state: RecordState) -> bool:
        """Return whether a record has the properties."""
        return (
            self.status in (None, state.status)
            and (self.since is None or (state.recorded_at or "") >= self.since)
            and (self.error_path is None or self._has_error(state, self.error_path))
        )

    @staticmethod
    def _has_error(state: RecordState, pointer: str) -> bool:
        return any(f"{error.path}/".startswith(f"{pointer}/") for error in state.errors)


ANY = Filter()


def select_of_organisations(
    records: Records, organisations: Iterable[str], wanted: Filter, after: Run | None = None
) -> Iterator[Run]:
    """Yield the runs of organisations whose records match, in the order of S3's listing; all organisations if none.

    Holds one page of records in memory, and the ids of the organisations.
    """
    for organisation in sorted(set(organisations) or set(records.organisations())):
        if after and organisation < after.organisation_id:
            continue
        start = after.run_id if after and organisation == after.organisation_id else ""
        for run, state in records.in_listing_order(organisation, start):
            if wanted.matches(state):
                yield run


def select_of_list(table: RunTable, runs: Iterable[Run], wanted: Filter, after: Run | None = None) -> Iterator[Run]:
    """Yield the runs of a list whose records match; if the filter matches any record, no record is read."""
    is_skipping = after is not None
    for run in runs:
        if is_skipping:
            is_skipping = run != after
        elif wanted == ANY or ((state := table.get(run)) and wanted.matches(state)):
            yield run
