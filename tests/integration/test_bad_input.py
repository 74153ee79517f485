"""No document that a producer can upload raises, blocks another message or half-writes a record."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from handler.app import lambda_handler
from local.show import plain
from local.stack import LocalStack
from tests.support.documents import GOOD, document
from tests.support.events import notification, s3_record, sqs_event
from tests.support.names import key_of


def with_parameter(value: bytes) -> bytes:
    """A good document with this parameter."""
    return GOOD[:-1] + b', "parameters": {"a": %s}}' % value


BAD_DOCUMENTS = {
    "empty": b"",
    "not JSON": b"model: m",
    "not UTF-8": '{"name": "é"}'.encode("latin-1"),
    "UTF-16": '{"model": {"name": "m", "version": "1"}}'.encode("utf-16"),
    "null": b"null",
    "a number": b"1e5",
    "an array": b"[]",
    "1 MiB of [": b"[" * 1_048_576,
    "over 1 MiB": GOOD.ljust(1_048_577),
    "deep": b'{"parameters": ' + b'{"a":' * 31 + b"{}" + b"}" * 32,
    "repeated name": b'{"model": {"name": "m", "version": "1"}, "model": {"name": "m", "version": "2"}}',
    "NaN": with_parameter(b"NaN"),
    "39 digits": with_parameter(b"0.123456789012345678901234567890123456789"),
    "huge number": with_parameter(b"1e400"),
    "a million digits": b'{"parameters": {"a": ' + b"7" * 1_000_000 + b"}}",
    "lone surrogate": rb'{"model": {"name": "m\ud800", "version": "1"}}',
    "lone surrogate in a name": rb'{"model": {"name": "m", "version": "1"}, "\udc00": 1}',
    "empty name": with_parameter(b'[{"": 1}]'),
    "long name": document(parameters={"x" * 70_000: 1}),
    "too large a record": document(parameters={"x": "y" * 500_000}),
    "too many small values": document(parameters={"x": [1] * 100_000}),
    "wrong id": document(organisation_id="another"),
    "missing file": document(files=[{"path": "none"}]),
    "10,001 files": json.dumps({"files": [{"path": f"{index}"} for index in range(10_001)]}).encode(),
    "no model": b"{}",
    "long errors": json.dumps({"tags": {"é" * 1_000 + str(index): 1 for index in range(40)}}).encode(),
    "wrong everywhere": json.dumps(
        {name: {} for name in ["schema_version", "organisation_id", "run_id", "name", "files"]}
    ).encode(),
}


@pytest.mark.parametrize("body", BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_bad_document_is_rejected_and_its_record_says_why(
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., dict[str, Any]],
    record: Callable[[], dict[str, Any] | None],
    body: bytes,
) -> None:
    upload = put_metadata(body)
    outcome = notify(sequencer="1", **upload)
    assert outcome["outcome"] == "rejected"
    assert 1 <= len(outcome["errors"]) <= 20
    item = record()
    assert item is not None
    assert ("errors_truncated" in item) is ("errors_truncated" in outcome)
    assert item.keys() - {"errors_truncated"} == {
        "organisation_id", "run_id", "status", "errors", "sequencer", "uploaded_at", "version_id", "etag", "bucket",
        "key", "first_recorded_at", "recorded_at",
    }  # fmt: skip
    assert (item["status"], item["errors"]) == ("rejected", outcome["errors"])
    assert all(error["message"] and set(error) == {"path", "message"} for error in item["errors"])


def test_bad_documents_spoil_nothing_in_their_batch(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
) -> None:
    bodies = []
    for number, body in enumerate(BAD_DOCUMENTS.values()):
        for run, content in ((f"bad-{number}", body), (f"good-{number}", GOOD)):
            key = key_of(run)
            bodies.append(notification(s3_record(key, sequencer="1", **put_metadata(content, key))))
    assert lambda_handler(sqs_event(*bodies), None) == {"batchItemFailures": []}
    statuses = {item["run_id"]: item["status"] for item in map(plain, stack.records())}
    assert len(statuses) == 2 * len(BAD_DOCUMENTS)
    assert all((status == "recorded") is run.startswith("good") for run, status in statuses.items())


def test_largest_rejection_fits_beside_the_largest_record(
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., dict[str, Any]],
    record: Callable[[], dict[str, Any] | None],
) -> None:
    largest = document(parameters={"p": "x" * 392_000})
    assert notify(sequencer="1", **put_metadata(largest))["outcome"] == "recorded"
    assert notify(sequencer="2", **put_metadata(BAD_DOCUMENTS["long errors"]))["outcome"] == "rejected"
    item = record()
    assert item is not None
    assert len(item["errors"]) == 20
    assert len(item["config"]["parameters"]["p"]) == 392_000


GOOD_DOCUMENTS = {
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "1 MiB": GOOD.ljust(1_048_576),
    "deepest": b'{"model": {"name": "m", "version": "1"}, "parameters": ' + b'{"a":' * 29 + b"{}" + b"}" * 30,
    "largest number": with_parameter(b"9.9999999999999999999999999999999999999E125"),
    "smallest number": with_parameter(b"-1E-130"),
    "trailing zeros": with_parameter(b"1.0000000000000000000000000000000000000000"),
    "surrogate pair": rb'{"model": {"name": "\ud83d\ude00", "version": "1"}}',
    "empty values": with_parameter(b'["", [], {}, null]}, "tags": {'),
    "unknown fields": b'{"model": {"name": "m", "version": "1", "x": 1}, "x": {"y": [1.5]}}',
}


@pytest.mark.parametrize("body", GOOD_DOCUMENTS.values(), ids=GOOD_DOCUMENTS)
def test_document_at_the_limits_is_recorded(
    put_metadata: Callable[..., dict[str, str]], notify: Callable[..., dict[str, Any]], body: bytes
) -> None:
    assert notify(sequencer="1", **put_metadata(body))["outcome"] == "recorded"


@pytest.mark.parametrize("number", ["0.1", "12345678901234567890123456789012345678", "1e-7", "-2.50", "1e38"])
def test_numbers_are_recorded_exactly(
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., dict[str, Any]],
    record: Callable[[], dict[str, Any] | None],
    number: str,
) -> None:
    notify(sequencer="1", **put_metadata(with_parameter(number.encode())))
    item = record()
    assert item is not None
    assert item["config"]["parameters"]["a"] == Decimal(number)


def test_declared_files_are_compared_with_the_bucket(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    notify: Callable[..., dict[str, Any]],
    organisation_id: str,
    run_id: str,
) -> None:
    prefix = f"runs/{organisation_id}/{run_id}/"
    for name, body in (("a.csv", b"123"), ("deep/b c+d é.bin", b""), ("z.csv", b"1")):
        stack.upload(prefix + name, body)
    stack.upload(f"runs/{organisation_id}/{run_id}0/elsewhere", b"")
    files = [{"path": "a.csv", "size": 3}, {"path": "deep/b c+d é.bin", "size": 0}, {"path": "z.csv"}]
    assert notify(sequencer="1", **put_metadata(document(files=files)))["outcome"] == "recorded"
    files = [{"path": "a.csv", "size": 4}, {"path": "elsewhere"}, {"path": "deep"}]
    assert notify(sequencer="2", **put_metadata(document(files=files)))["errors"] == [
        {"path": "/files/0/size", "message": "the object has 3 bytes, not 4"},
        {"path": "/files/1/path", "message": "no object elsewhere below the run's prefix"},
        {"path": "/files/2/path", "message": "no object deep below the run's prefix"},
    ]


def test_upload_that_aws_refuses_comes_again_and_is_then_recorded(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    environment: pytest.MonkeyPatch,
) -> None:
    event = sqs_event(notification(s3_record(sequencer="1", **put_metadata())))
    environment.setenv("RUNS_TABLE", "no-such-table")
    assert lambda_handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    environment.setenv("RUNS_TABLE", stack.outputs["RunsTable"])
    assert lambda_handler(event, None) == {"batchItemFailures": []}
    assert plain(stack.records()[0])["status"] == "recorded"
