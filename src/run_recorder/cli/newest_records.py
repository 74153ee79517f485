"""The records of one organisation or of several, newest first."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, dropwhile
from typing import Any

from run_recorder.concurrency import map_in_order
from run_recorder.domain import Run
from run_recorder.record_state import Item
from run_recorder.runs import RunTable

# The queries of several organisations hold this many records together, but each of them at least the second number.
_MAX_HELD = 20_000
_MIN_PAGE = 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The records that are wanted.

    Attributes:
        status: only records in this status; None for any.
        since: only records written at this time or later, in the format of ``recorded_at``; None for any.
        after: only records that follow this one in the list, named by its ``recorded_at`` and its run; None for all.
    """

    status: str | None = None
    since: str | None = None
    after: tuple[str, Run] | None = None


def run_of(item: Item) -> Run:
    """Return the run of a record."""
    return Run(item["organisation_id"]["S"], item["run_id"]["S"])


def find_newest(
    table: RunTable, organisations: Sequence[str], selection: Selection, wanted: int | None = None
) -> Iterator[Item]:
    """Return records, newest first, with the attributes of the index NewestRuns.

    Sends a Query request for each organisation before the first record, and then one for each page of an organisation.

    Args:
        table: table of the records.
        organisations: whose records are found.
        selection: the records that are wanted.
        wanted: how many of them are wanted; None for all.

    Raises:
        AWSCallError: DynamoDB refuses or does not answer.
    """
    if selection.since and selection.after and selection.since > selection.after[0]:
        return iter(())  # DynamoDB refuses a query of no time
    page_size = max(_MAX_HELD // max(len(organisations), 1), _MIN_PAGE)
    if wanted and not selection.status:
        page_size = min(page_size, wanted)
    query = partial(_query, table, selection, page_size)
    # The first pages are read concurrently; the merge reads the further ones, one after the other.
    found = [items for _, items in map_in_order(lambda organisation: _begin(query(organisation)), organisations)]
    return heapq.merge(*found, key=_place, reverse=True)


def _place(item: Item) -> tuple[str, str]:
    return item["recorded_at"]["S"], item["organisation_id"]["S"]


def _begin(items: Iterator[Item]) -> Iterator[Item]:
    """Read the first page of a query; return all of its items."""
    first = next(items, None)
    return iter(()) if first is None else chain([first], items)


def _query(table: RunTable, selection: Selection, page_size: int, organisation_id: str) -> Iterator[Item]:
    """Return the records of one organisation."""
    values = {":organisation_id": {"S": organisation_id}}
    request: dict[str, Any] = {"IndexName": "NewestRuns", "ScanIndexForward": False, "Limit": page_size}
    if selection.status:
        request |= {"FilterExpression": "#status = :status", "ExpressionAttributeNames": {"#status": "status"}}
        values[":status"] = {"S": selection.status}
    condition = "organisation_id = :organisation_id"
    until: str | None = None
    if selection.after:
        until, run = selection.after
        if organisation_id == run.organisation_id:
            key = {"organisation_id": organisation_id, "recorded_at": until, "run_id": run.run_id}
            request["ExclusiveStartKey"] = {name: {"S": value} for name, value in key.items()}
            until = None
    if selection.since and until:
        condition += " AND recorded_at BETWEEN :since AND :until"
    elif selection.since:
        condition += " AND recorded_at >= :since"
    elif until:
        condition += " AND recorded_at <= :until"
    values |= {f":{name}": {"S": time} for name, time in (("since", selection.since), ("until", until)) if time}
    items = table.find("query", KeyConditionExpression=condition, ExpressionAttributeValues=values, **request)
    # Of records that were written at the same time, those of the greater organisation id come first.
    last = (until, selection.after[1].organisation_id) if selection.after and until else None
    return dropwhile(lambda item: last is not None and _place(item) > last, items)
