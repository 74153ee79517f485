"""A document of the largest size takes bounded time and memory, whatever fills it."""

import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from handler.app import backfill_handler, lambda_handler
from run_recorder.metadata import MAX_BYTES
from tests.conftest import BUCKET
from tests.properties.documents import RUN
from tests.properties.events import batch_event, notification, sqs_record
from tests.support.fake_aws import fake_aws
from tests.support.stack_fixtures import GOOD, plain

# To trace all allocations of a whole MiB takes long.
SIZES = [MAX_BYTES // 8, pytest.param(MAX_BYTES, marks=pytest.mark.slow)]


def fill(unit: str, before: str = '{"parameters": {"a": [', after: str = "0]}}") -> Callable[[int], bytes]:
    """Return a function of a size that makes a document full of the same."""

    def make(size: int) -> bytes:
        count = (size - len((before + after).encode())) // len(unit.encode())
        return (before + unit * count + after).encode()

    return make


def fill_names(before: str) -> Callable[[int], bytes]:
    """Return a function of a size that makes a document full of different names, and of the first once more."""

    def make(size: int) -> bytes:
        members = ",".join(f'"{number:x}":1' for number in range(size // 6))
        return (before + members[: size - 100].rpartition(",")[0] + ',"0":1}}').encode()

    return make


LARGE: dict[str, Callable[[int], bytes]] = {
    "brackets": lambda size: b"[" * size,
    "lists in lists": fill("[" * 28 + "]" * 28 + ","),
    "lists too deep": fill("[" * 900 + "]" * 900 + ","),
    "objects in objects": fill('{"a":' * 28 + "{}" + "}" * 28 + ","),
    "repeated names": fill('{"":1,"":1},'),
    "a name repeated once": fill_names('{"parameters": {'),
    "numbers": fill("1.5,"),
    "numbers that are long in full": fill("1E125,", '{"model": {"name": "m", "version": "1"}, "parameters": {"a": ['),
    "wrong numbers": fill("NaN,"),
    "wrong numbers below a long name": fill("x", '{"😀', '": [' + "NaN," * 30 + "0]}"),
    "wide characters": fill("[" * 28 + "]" * 28 + ",", after='"😀"]}}'),
    "files without a path": fill("{},", '{"files": [', "{}]}"),
    "files with every fault": fill('{"path":"","size":-1,"sha256":""},', '{"files": [', "{}]}"),
    "tags of a wrong type": fill_names('{"tags": {'),
}


@contextmanager
def peak_limited_to(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= limit, f"{peak / 2**20:.0f} MiB"


def handle_and_trace(key: str, body: bytes, limit: int) -> str:
    """The status that a document gets in a function that has handled another one before."""
    objects = {key: GOOD}
    with fake_aws(objects) as records:
        lambda_handler(notification(key, BUCKET), None)
        objects[key] = body
        before = time.process_time()
        with peak_limited_to(limit):
            lambda_handler(notification(key, BUCKET), None)
        assert time.process_time() - before < 20  # seldom two seconds
    (record,) = records.values()
    status: str = record["status"]["S"]
    return status


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make_body", LARGE.values(), ids=LARGE)
def test_large_document_takes_50_times_its_size_at_most(
    make_body: Callable[[int], bytes], size: int, metadata_key: str
) -> None:
    body = make_body(size)
    assert size - 2_000 <= len(body) <= size
    assert handle_and_trace(metadata_key, body, limit=50 * size) == "rejected"


@pytest.mark.parametrize("size", SIZES)
def test_largest_record_takes_no_more_memory_than_a_document_may(size: int, metadata_key: str) -> None:
    body = GOOD[:-1] + b', "parameters": {"a": [' + (b"[" * 28 + b"]" * 28 + b",") * (size // 308) + b"0]}}"
    assert handle_and_trace(metadata_key, body, limit=50 * size) == "recorded"


@pytest.mark.parametrize("size", SIZES)
def test_large_documents_of_a_batch_are_not_unfolded_side_by_side(size: int) -> None:
    keys = [f"runs/acme/{number}/metadata.json" for number in range(2)]
    event = {"Records": [sqs_record(key, json.dumps(notification(key, BUCKET))) for key in keys]}
    body = LARGE["lists in lists"](size)
    with fake_aws(dict.fromkeys(keys, body)) as records, peak_limited_to(70 * size):
        assert lambda_handler(event, None) == {"batchItemFailures": []}
    assert len(records) == len(keys)


class Repeated(Sequence[bytes]):
    """Versions that differ in nothing, each read into memory of its own."""

    def __init__(self, count: int, make_body: Callable[[], bytes]) -> None:
        self._count = count
        self._make_body = make_body

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._make_body()


def test_search_among_a_thousand_rejected_versions_reads_100_and_says_so(
    metadata_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each page of the listing is one request."""
    versions = [GOOD, *[b"{}"] * 1_000]
    requests = Counter[str]()
    with fake_aws({metadata_key: versions}, requests) as records:
        (result,) = backfill_handler(batch_event(metadata_key, BUCKET), None)["results"]
    assert (result["resultCode"], result["resultString"]) == ("Succeeded", "rejected")
    assert requests == {"GetObject": 101, "ListObjectVersions": 2}
    assert records[RUN]["status"] == {"S": "rejected"}
    assert "config" not in records[RUN]
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line["outcome"] == "rejected"
    assert line["reason"] == "more than 100 uploads before this one are rejected"


def test_last_accepted_upload_before_100_rejected_ones_is_not_missed(
    metadata_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = Counter[str]()
    with fake_aws({metadata_key: [GOOD, *[b"{}"] * 100]}, requests) as records:
        backfill_handler(batch_event(metadata_key, BUCKET), None)
    assert requests == {"GetObject": 101, "ListObjectVersions": 1}
    assert records[RUN]["source"]["M"]["version_id"] == {"S": "1"}
    assert "reason" not in json.loads(capsys.readouterr().out.splitlines()[0])


def test_versions_of_longer_keys_are_neither_read_nor_listed_on(metadata_key: str) -> None:
    objects = {metadata_key: [GOOD, b"{}", b"{}"], f"{metadata_key}.bak": [GOOD] * 3_000}
    requests = Counter[str]()
    with fake_aws(objects, requests) as records:
        backfill_handler(batch_event(metadata_key, BUCKET), None)
    assert requests == {"GetObject": 3, "ListObjectVersions": 1}
    assert records[RUN]["source"]["M"]["version_id"] == {"S": "1"}


def test_100_large_versions_take_no_more_memory_than_a_few(metadata_key: str) -> None:
    objects = {metadata_key: Repeated(102, lambda: b"{}".ljust(MAX_BYTES))}
    requests = Counter[str]()
    with fake_aws(objects, requests) as records, peak_limited_to(10 * MAX_BYTES):
        backfill_handler(batch_event(metadata_key, BUCKET), None)
    assert requests["GetObject"] == 101
    assert records[RUN]["status"] == {"S": "rejected"}


def test_10_000_files_are_recorded_and_each_missing_one_is_found(metadata_key: str) -> None:
    files = [{"path": f"données/{number}", "size": number % 3} for number in range(10_000)]
    document = json.dumps({"model": {"name": "m", "version": "1"}, "files": files}).encode()
    objects = {f"runs/acme/run-0001/données/{number}": b"x" * (number % 3) for number in range(10_000)}
    objects[metadata_key] = document
    with fake_aws(objects) as records:
        lambda_handler(notification(metadata_key, BUCKET), None)
        assert records[RUN]["status"] == {"S": "recorded"}
        del objects["runs/acme/run-0001/données/9999"]
        lambda_handler(notification(metadata_key, BUCKET), None)
    assert plain(records[RUN])["errors"] == [
        {"path": "/files/9999/path", "message": "no object données/9999 below the run's prefix"}
    ]
