"""Queries of many records: the organisations, and the records of one organisation in the order of the bucket."""

from collections.abc import Iterator
from typing import Any

from run_recorder.domain import Run
from run_recorder.record_state import STATE_ATTRIBUTES, RecordState
from run_recorder.runs import RunTable

# Greater than any id: the end of the records of an organisation.
_LAST = "\U0010ffff"
# Some of the names are reserved words in DynamoDB expressions.
_NAMES = {f"#{name}": name for name in ("run_id", *STATE_ATTRIBUTES)}


class Records:
    """Queries of the table; every method raises `AWSCallError` as `RunTable` does."""

    def __init__(self, table: RunTable) -> None:
        self._table = table

    def organisations(self) -> Iterator[str]:
        """Yield the ids of the organisations that have records, in no order; one record of each is read.

        A scan returns the records of one organisation after the other. If it starts after the greatest
        possible run id of an organisation, it returns the first record of the next organisation:
        https://aws.amazon.com/blogs/database/generate-a-distinct-set-of-partition-keys-for-an-amazon-dynamodb-table-efficiently/
        """
        start: dict[str, Any] = {}
        while item := next(self._table.find("scan", Limit=1, ProjectionExpression="organisation_id", **start), None):
            yield item["organisation_id"]["S"]
            start = {"ExclusiveStartKey": {**item, "run_id": {"S": _LAST}}}

    def in_listing_order(self, organisation_id: str, after: str = "") -> Iterator[tuple[Run, RecordState]]:
        """Yield the records of an organisation in the order in which S3 lists the prefixes of its runs.

        The table sorts by run id, S3 by run id and the ``/`` after it: "a" is before "a-1" in the
        table, "a/" is after "a-1/" in the listing. An id is therefore held back until all ids are read
        that begin with it and continue with a character below "/".

        Args:
            organisation_id: the organisation.
            after: a run id; only the records that follow it in the listing are yielded.
        """
        waiting: list[tuple[Run, RecordState]] = []  # each id begins with the one before it
        for run, record in self._in_table_order(organisation_id, after):
            while waiting and waiting[-1][0].prefix < run.prefix:
                yield waiting.pop()
            if not after or run.run_id + "/" > after + "/":
                waiting.append((run, record))
        yield from reversed(waiting)

    def _in_table_order(self, organisation_id: str, after: str) -> Iterator[tuple[Run, RecordState]]:
        """Yield the records after an id, and before them the records that `in_listing_order` holds back."""
        for end in range(1, len(after)):
            run = Run(organisation_id, after[:end])
            if after[end] < "/" and (record := self._table.get(run)):
                yield run, record
        condition, values = "organisation_id = :organisation_id", {":organisation_id": {"S": organisation_id}}
        if after:
            condition += " AND run_id > :after"
            values[":after"] = {"S": after}
        for item in self._table.find(
            "query",
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ExpressionAttributeNames=_NAMES,
            ProjectionExpression=", ".join(_NAMES),
        ):
            yield Run(organisation_id, item["run_id"]["S"]), RecordState.of(item)
