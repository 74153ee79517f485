"""Reads of many records at once."""

import time
from collections.abc import Iterable
from typing import Any

from run_recorder.domain import Run
from run_recorder.errors import AWSCallError
from run_recorder.record_state import Item
from run_recorder.runs import CALL_ERRORS, RunTable, key_of

# In seconds, before each request for what the answer to the one before left out. 100 items of 400 KB take three
# answers; a throttled table needs a few seconds.
_PAUSES = (0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


def read_many(table: RunTable, runs: Iterable[Run], *attributes: str) -> dict[Run, Item]:
    """Return the records of at most 100 runs, or these attributes of them, eventually consistent.

    A run without a record is absent. Sends one request, and another one for what DynamoDB left out of its answer:
    an answer has at most 16 MB.

    Raises:
        AWSCallError: DynamoDB refuses, does not answer, or leaves some out of each answer.
    """
    keys: list[Any] = [key_of(run) for run in runs]
    request: dict[str, Any] = {}
    if attributes:
        names = {f"#{name}": name for name in ("organisation_id", "run_id", *attributes)}
        request = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    found: dict[Run, Item] = {}
    for pause in _PAUSES:
        if not keys:
            return found
        time.sleep(pause)
        try:
            response = table.client.batch_get_item(RequestItems={table.name: {"Keys": keys, **request}})  # type: ignore[dict-item]
        except CALL_ERRORS as error:
            raise AWSCallError(f"reading the records of {table.name} failed: {error}") from error
        for item in response["Responses"].get(table.name, []):
            found[Run(item["organisation_id"]["S"], item["run_id"]["S"])] = item
        left = response["UnprocessedKeys"].get(table.name)
        keys = left["Keys"] if left else []
    raise AWSCallError(f"reading the records of {table.name} failed: DynamoDB left some out of each answer")
