"""The record and the document that are there before an upload."""

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pytest_mock import MockerFixture

from run_recorder.consumer.run_reader import RunReader, RunRecord
from run_recorder.errors import AWSCallError
from run_recorder.metadata import MAX_BYTES
from run_recorder.producer.destination import Destination, Present
from run_recorder.s3 import S3
from run_recorder.s3_objects import ListedObject, StoredObject
from tests.support.names import BUCKET, KEY, RUN, UPLOADED_AT

BODY = b"{}"
ETAG = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
STORED = StoredObject("v1", "e1", UPLOADED_AT, 2, BODY)


def failure(code: str) -> AWSCallError:
    error = AWSCallError(code)
    error.__cause__ = ClientError({"Error": {"Code": code}}, "Operation")
    return error


@pytest.fixture
def destination(mocker: MockerFixture) -> Destination:
    reader, s3 = mocker.create_autospec(RunReader, instance=True), mocker.create_autospec(S3, instance=True)
    return Destination(BUCKET, s3, reader)


def record(status: str = "recorded", **attributes: Any) -> RunRecord:
    return RunRecord("acme", "run-0001", status, **attributes)


def test_record_and_document_are_found(destination: Any) -> None:
    destination.reader.read.return_value = record()
    destination.s3.read_object.return_value = STORED
    assert destination.find(RUN) == Present(record(), STORED, is_readable=True)
    destination.reader.read.assert_called_once_with("acme", "run-0001")
    destination.s3.read_object.assert_called_once_with(BUCKET, KEY, max_bytes=MAX_BYTES)


def test_nothing_is_found_where_there_is_nothing(destination: Any) -> None:
    destination.reader.read.return_value = destination.s3.read_object.return_value = None
    assert destination.find(RUN).is_empty


def test_document_that_may_not_be_read_is_unknown(destination: Any) -> None:
    destination.reader.read.return_value = record()
    destination.s3.read_object.side_effect = failure("AccessDenied")
    assert destination.find(RUN) == Present(record(), None, is_readable=False)


@pytest.mark.parametrize("method", ["find", "list_files"])
def test_failure_of_s3_is_raised(destination: Any, method: str) -> None:
    destination.s3.read_object.side_effect = destination.s3.list_objects.side_effect = failure("SlowDown")
    with pytest.raises(AWSCallError, match="SlowDown"):
        getattr(destination, method)(*([RUN] if method == "find" else [RUN, set()]))


def test_objects_of_the_folder_are_listed_without_others(destination: Any) -> None:
    a, b, c = (ListedObject(f"{RUN.prefix}{name}", 1, "e") for name in ("a", "sub/b", "c"))
    destination.s3.list_objects.return_value = iter([a, b, c])
    assert destination.list_files(RUN, {"a", "sub/b", "d"}) == {"a": a, "sub/b": b}
    destination.s3.list_objects.assert_called_once_with(BUCKET, RUN.prefix)


def test_objects_that_may_not_be_listed_are_unknown(destination: Any) -> None:
    destination.s3.list_objects.side_effect = failure("AccessDenied")
    assert destination.list_files(RUN, {"a"}) is None


SOURCE = {"etag": "e1", "sha256": hashlib.sha256(BODY).hexdigest()}


@pytest.mark.parametrize(
    ("present", "has_document"),
    [
        (Present(None, STORED, is_readable=True), True),
        (Present(None, StoredObject("v1", ETAG, UPLOADED_AT, 2, b"[]"), is_readable=True), False),
        (Present(record(etag=ETAG), None, is_readable=True), False),
        (Present(None, None, is_readable=False), False),
        (Present(record("rejected", etag=ETAG), None, is_readable=False), True),
        (Present(record("rejected", etag="e1", source=SOURCE), None, is_readable=False), False),
        (Present(record(etag="e1", source=SOURCE), None, is_readable=False), True),
        (Present(record(etag="e1", source={**SOURCE, "sha256": "0"}), None, is_readable=False), False),
    ],
    ids=[
        "same bytes", "other bytes", "no document", "nothing known", "rejected with its entity tag",
        "rejected with another entity tag", "recorded with its hash", "recorded with another hash",
    ],
)  # fmt: skip
def test_document_is_there_if_its_bytes_are_known_to_be(present: Present, *, has_document: bool) -> None:
    assert present.has_document(BODY) is has_document
