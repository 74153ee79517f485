"""A document of the largest size takes bounded time and memory, whatever fills it."""

import json
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from handler.app import lambda_handler
from handler.metadata import MAX_BYTES
from tests.conftest import BUCKET
from tests.hostile.aws import fake_aws
from tests.hostile.documents import RUN
from tests.hostile.events import notification, sqs_record
from tests.integration.conftest import GOOD, plain

# To trace all allocations of a whole MiB takes long.
LARGE_BYTES = MAX_BYTES if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else MAX_BYTES // 8


def fill(unit: str, before: str = '{"parameters": {"a": [', after: str = "0]}}") -> bytes:
    """A document that is full of the same."""
    count = (LARGE_BYTES - len((before + after).encode())) // len(unit.encode())
    return (before + unit * count + after).encode()


def fill_names(before: str) -> bytes:
    """A document that is full of different names, and then repeats the first."""
    members = ",".join(f'"{number:x}":1' for number in range(LARGE_BYTES // 6))
    return (before + members[: LARGE_BYTES - 100].rpartition(",")[0] + ',"0":1}}').encode()


LARGE = {
    "brackets": b"[" * LARGE_BYTES,
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


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_large_document_takes_50_times_its_size_at_most(body: bytes, metadata_key: str) -> None:
    assert LARGE_BYTES - 2_000 <= len(body) <= LARGE_BYTES
    assert handle_and_trace(metadata_key, body, limit=50 * LARGE_BYTES) == "rejected"


def test_largest_record_takes_no_more_memory_than_a_document_may(metadata_key: str) -> None:
    body = GOOD[:-1] + b', "parameters": {"a": [' + (b"[" * 28 + b"]" * 28 + b",") * (LARGE_BYTES // 308) + b"0]}}"
    assert handle_and_trace(metadata_key, body, limit=50 * LARGE_BYTES) == "recorded"


def test_large_documents_of_a_batch_are_not_unfolded_side_by_side() -> None:
    keys = [f"runs/acme/{number}/metadata.json" for number in range(2)]
    event = {"Records": [sqs_record(key, json.dumps(notification(key, BUCKET))) for key in keys]}
    with fake_aws(dict.fromkeys(keys, LARGE["lists in lists"])) as records, peak_limited_to(70 * LARGE_BYTES):
        assert lambda_handler(event, None) == {"batchItemFailures": []}
    assert len(records) == len(keys)


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
