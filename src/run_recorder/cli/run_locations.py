"""The runs of the bucket and of the table, merged from two streams in the same order."""

import heapq
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from run_recorder.cli.records import Records
from run_recorder.domain import DOCUMENT, Run
from run_recorder.keys import parse_key
from run_recorder.record_state import RecordState
from run_recorder.s3 import S3

_ROOT = "runs/"


@dataclass(frozen=True, slots=True)
class RunLocation:
    """A key prefix under which a run may be.

    Attributes:
        key: key of the metadata.json, which need not exist.
        listed: whether the bucket holds an object of the run.
        record: the record; None if there is none.
    """

    key: str
    listed: bool
    record: RecordState | None = None

    @property
    def resume_point(self) -> Run | None:
        """The run after which a comparison can continue, its ids valid or not; None for a document of no run."""
        _, *ids, _ = self.key.split("/")
        return Run(*ids) if len(ids) == 2 else None


def find_run_locations(
    bucket: str, s3: S3, records: Records, organisation_ids: Collection[str] = (), after: Run | None = None
) -> Iterator[RunLocation]:
    """Yield the runs, in the order of their key prefixes, and the documents whose key no run can have.

    Sends a LIST request for each thousand runs and each thousand organisations, a Query for the records of
    each organisation, and a Scan request for each organisation, which finds organisations that have
    records only. Holds one page of each in memory, and the ids of the organisations.

    Args:
        bucket: bucket of runs.
        s3: S3, where the bucket is.
        records: records of the runs.
        organisation_ids: organisations whose runs are found; empty for all organisations.
        after: run after which to start; None for all runs.

    Raises:
        AWSCallError: AWS refuses a call or does not answer.
    """
    named = sorted({f"{_ROOT}{organisation_id}/" for organisation_id in organisation_ids})
    prefixes = named or _list_organisations(bucket, s3, records)
    start = f"{_ROOT}{after.organisation_id}/" if after else ""
    for prefix in prefixes:
        if prefix < start:
            continue
        if not prefix.endswith("/"):
            yield RunLocation(prefix, listed=True)
            continue
        after_run = after.run_id if after and prefix == start else ""
        listed = _list_runs(bucket, s3, prefix, after_run)
        recorded = _recorded_runs(records, prefix, after_run)
        yield from _merge(listed, recorded)


def _merge(listed: Iterator[tuple[str, None]], recorded: Iterator[tuple[str, RecordState]]) -> Iterator[RunLocation]:
    """Merge the names in the bucket and in the table, both in the order of the names."""
    for name, group in groupby(heapq.merge(listed, recorded, key=itemgetter(0)), key=itemgetter(0)):
        found = [record for _, record in group]
        record = next(filter(None, found), None)
        yield RunLocation(name + DOCUMENT if name.endswith("/") else name, None in found, record)


def _list_organisations(bucket: str, s3: S3, records: Records) -> list[str]:
    listed = _without_other_files(s3.list_level(bucket, _ROOT))
    return sorted({*listed, *(f"{_ROOT}{organisation_id}/" for organisation_id in records.organisations())})


def _list_runs(bucket: str, s3: S3, prefix: str, after: str) -> Iterator[tuple[str, None]]:
    # "0" is the character after "/": the objects of the run itself are not listed again.
    names = s3.list_level(bucket, prefix, f"{prefix}{after}0" if after else "")
    return ((name, None) for name in _without_other_files(names))


def _recorded_runs(records: Records, prefix: str, after: str) -> Iterator[tuple[str, RecordState]]:
    run = parse_key(f"{prefix}any/{DOCUMENT}")
    if run:  # an organisation id outside the grammar has no records, and DynamoDB refuses an empty one
        for recorded, record in records.in_listing_order(run.organisation_id, after):
            yield recorded.prefix, record


def _without_other_files(names: Iterable[str]) -> Iterator[str]:
    """Return the prefixes, and the keys of objects that are named metadata.json."""
    return (name for name in names if name.endswith(("/", f"/{DOCUMENT}")))
