"""A document of the largest size takes bounded time and memory, whatever fills it.

For example, a document of 1 MiB that is filled with ``{"parameters": {"p": [[],[],[],…]}}``:

1. Each ``[]`` has 3 bytes in the document and is an object of 56 bytes in memory.
2. Python counts the memory while the document is read, and while its record is written.
3. The peak must be at most 50 times the size of the document. Ten such documents in one batch must take no more
   memory than one, because only one large document at a time is held in memory.

The other tests do the same for many versions, and for many files.
"""

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from handler.app import backfill_handler, lambda_handler
from local.show import plain
from run_recorder.metadata import MAX_BYTES
from tests.support.documents import GOOD, document
from tests.support.events import batch_event, batch_task, notification, s3_record, sqs_event
from tests.support.fake_aws import fake_aws
from tests.support.fake_s3 import FakeS3
from tests.support.names import KEY, RUN, key_of

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


def handle_and_trace(body: bytes, limit: int) -> str:
    """The status that a document gets in a function that has handled another one before."""
    s3 = FakeS3()
    s3.put()
    with fake_aws(s3) as table:
        lambda_handler(notification(s3_record()), None)
        s3.put(body)
        before = time.process_time()
        with peak_limited_to(limit):
            lambda_handler(notification(s3_record()), None)
        assert time.process_time() - before < 20  # seldom two seconds
    (record,) = table.items.values()
    status: str = record["status"]["S"]
    return status


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make_body", LARGE.values(), ids=LARGE)
def test_large_document_takes_50_times_its_size_at_most(make_body: Callable[[int], bytes], size: int) -> None:
    body = make_body(size)
    assert size - 2_000 <= len(body) <= size
    assert handle_and_trace(body, limit=50 * size) == "rejected"


@pytest.mark.parametrize("size", SIZES)
def test_largest_record_takes_no_more_memory_than_a_document_may(size: int) -> None:
    body = GOOD[:-1] + b', "parameters": {"a": [' + (b"[" * 28 + b"]" * 28 + b",") * (size // 308) + b"0]}}"
    assert handle_and_trace(body, limit=50 * size) == "recorded"


@pytest.mark.parametrize("size", SIZES)
def test_large_documents_of_a_batch_are_not_unfolded_side_by_side(size: int) -> None:
    keys = [key_of(str(number)) for number in range(2)]
    event = sqs_event(*(notification(s3_record(key)) for key in keys))
    body = LARGE["lists in lists"](size)
    s3 = FakeS3()
    for key in keys:
        s3.put(body, key=key)
    with fake_aws(s3) as table, peak_limited_to(70 * size):
        assert lambda_handler(event, None) == {"batchItemFailures": []}
    assert len(table.items) == len(keys)


def with_versions(*bodies: bytes) -> FakeS3:
    """Return a bucket with these versions of a run's metadata.json, whose ids count them from 1."""
    s3 = FakeS3()
    for number, body in enumerate(bodies, start=1):
        s3.put(body, str(number))
    return s3


def test_search_among_a_thousand_rejected_versions_reads_100_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each page of the listing is one request."""
    s3 = with_versions(GOOD, *[b"{}"] * 1_000)
    with fake_aws(s3) as table:
        (result,) = backfill_handler(batch_event(batch_task()), None)["results"]
    assert (result["resultCode"], result["resultString"]) == ("Succeeded", "rejected")
    assert s3.requests == {"GetObject": 101, "ListObjectVersions": 2}
    assert table.items[RUN]["status"] == {"S": "rejected"}
    assert "config" not in table.items[RUN]
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line["outcome"] == "rejected"
    assert line["reason"] == "more than 100 uploads before this one are not accepted"


def test_last_accepted_upload_before_100_rejected_ones_is_not_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    s3 = with_versions(GOOD, *[b"{}"] * 100)
    with fake_aws(s3) as table:
        backfill_handler(batch_event(batch_task()), None)
    assert s3.requests == {"GetObject": 101, "ListObjectVersions": 1}
    assert table.items[RUN]["source"]["M"]["version_id"] == {"S": "1"}
    assert "reason" not in json.loads(capsys.readouterr().out.splitlines()[0])


def test_versions_of_longer_keys_are_neither_read_nor_listed_on() -> None:
    s3 = with_versions(GOOD, b"{}", b"{}")
    for number in range(3_000):
        s3.put(GOOD, str(number), key=f"{KEY}.bak")
    with fake_aws(s3) as table:
        backfill_handler(batch_event(batch_task()), None)
    assert s3.requests == {"GetObject": 3, "ListObjectVersions": 1}
    assert table.items[RUN]["source"]["M"]["version_id"] == {"S": "1"}


def test_100_large_versions_take_no_more_memory_than_a_few() -> None:
    s3 = with_versions(*[b"{}".ljust(MAX_BYTES)] * 102)
    with fake_aws(s3) as table, peak_limited_to(10 * MAX_BYTES):
        backfill_handler(batch_event(batch_task()), None)
    assert s3.requests["GetObject"] == 101
    assert table.items[RUN]["status"] == {"S": "rejected"}


def test_10_000_files_are_recorded_and_each_missing_one_is_found() -> None:
    files = [{"path": f"données/{number}", "size": number % 3} for number in range(10_000)]
    s3 = FakeS3()
    s3.put(document(files=files))
    for number in range(10_000):
        s3.put_files(f"{RUN.prefix}données/{number}", size=number % 3)
    with fake_aws(s3) as table:
        lambda_handler(notification(s3_record(sequencer="1")), None)
        assert table.items[RUN]["status"] == {"S": "recorded"}
        s3.delete(f"{RUN.prefix}données/9999")
        lambda_handler(notification(s3_record(sequencer="2")), None)
    assert plain(table.items[RUN])["errors"] == [
        {"path": "/files/9999/path", "message": "no object données/9999 below the run's prefix"}
    ]
