"""`run-recorder reconcile` of very many runs, on clients in memory that make up each page as it is requested."""

import bisect
import json
import math
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

from tests.support.stack_fixtures import run_command

PAGE = 1000
RECORDS_A_PAGE = 2500  # a megabyte
MEMORY = 10_000_000
UPLOADED_AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


class ManyRuns:
    """A bucket and a table with the same runs, in four organisations; every thousandth run is archived.

    Attributes:
        requests: how many requests of each operation there were.
    """

    def __init__(self, number: int) -> None:
        self.requests = Counter[str]()
        self._number = number // 4
        self._organisations = [f"org-{number}" for number in range(4)]

    def get_paginator(self, operation: str) -> Any:
        """Return the pages of an operation."""
        paginator = {"list_objects_v2": Listing, "query": Query, "scan": Scan}[operation]
        return paginator(self)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: ARG002, N803
        """Return the headers of the current version."""
        self.requests["HeadObject"] += 1
        if Key.endswith("999/metadata.json"):
            raise ClientError({"Error": {"Code": "403"}}, "HeadObject")
        return {"ContentLength": 2, "ETag": '"e"', "LastModified": UPLOADED_AT, "VersionId": "v"}

    def get_object(self, **_: Any) -> dict[str, Any]:
        """Refuse to return an archived object."""
        self.requests["GetObject"] += 1
        raise ClientError({"Error": {"Code": "InvalidObjectState"}}, "GetObject")

    def organisations(self) -> list[str]:
        """Return the ids, in order."""
        return self._organisations

    def runs(self) -> range:
        """Return the numbers of the runs of each organisation, in order."""
        return range(self._number)


class Listing:
    """The pages of ListObjectsV2 with a delimiter."""

    def __init__(self, store: ManyRuns) -> None:
        self._store = store

    def paginate(self, *, Bucket: str, Prefix: str, Delimiter: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:  # noqa: ARG002, N803
        """Make up the pages of a level."""
        names = self._store.organisations() if Prefix == "runs/" else self._store.runs()
        first = bisect.bisect_right(names, StartAfter, key=lambda name: f"{Prefix}{_id(name)}/")
        for start in range(first, len(names), PAGE):
            self._store.requests["ListObjectsV2"] += 1
            page = [{"Prefix": f"{Prefix}{_id(name)}/"} for name in names[start : start + PAGE]]
            yield {"IsTruncated": start + PAGE < len(names), "CommonPrefixes": page}


class Query:
    """The pages of a query of the records of one organisation."""

    def __init__(self, store: ManyRuns) -> None:
        self._store = store

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        """Make up the pages of the records."""
        runs = self._store.runs()
        for start in range(0, len(runs), RECORDS_A_PAGE):
            self._store.requests["Query"] += 1
            yield {"Items": [_record(_id(run)) for run in runs[start : start + RECORDS_A_PAGE]]}


class Scan:
    """The scan for the next organisation."""

    def __init__(self, store: ManyRuns) -> None:
        self._store = store

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Return the first record of the next organisation."""
        self._store.requests["Scan"] += 1
        start = request.get("ExclusiveStartKey", {}).get("organisation_id", {"S": ""})["S"]
        after = [name for name in self._store.organisations() if name > start]
        yield {"Items": [{"organisation_id": {"S": name}} for name in after[:1]]}


def _id(name: str | int) -> str:
    return name if isinstance(name, str) else f"run-{name:07}"


def _record(run_id: str) -> dict[str, Any]:
    texts = {"run_id": run_id, "status": "recorded", "version_id": "v", "etag": "e", "recorded_at": "2026-11-20T08:30Z"}
    return {name: {"S": value} for name, value in texts.items()}


@pytest.mark.parametrize("number", [12_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_memory_is_bounded_and_requests_are_as_documented(mocker: MockerFixture, number: int) -> None:
    store = ManyRuns(number)
    mocker.patch("run_recorder.cli.stack.Stack.client", autospec=True, return_value=store)
    arguments = ["--bucket", "bucket", "--table", "table", "--json"]
    run_command("reconcile", "org-1", *arguments)  # what is loaded once is not measured
    store.requests.clear()
    tracemalloc.start()
    try:
        result = run_command("reconcile", *arguments)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.exit_code == 1
    summary = json.loads(result.stdout.splitlines()[-1])["summary"]
    refused = number // 1000
    assert (summary["finished"], summary["repaired"]) == (True, 0)
    assert {state: count for state, count in summary["counts"].items() if count} == {
        "current": number - refused, "unreadable": refused,
    }  # fmt: skip
    runs = number // 4
    assert store.requests == {
        "ListObjectsV2": 1 + 4 * (runs // PAGE), "Query": 4 * math.ceil(runs / RECORDS_A_PAGE), "Scan": 5,
        "HeadObject": number, "GetObject": refused,
    }  # fmt: skip

    assert peak < MEMORY, f"{peak:,} bytes"
