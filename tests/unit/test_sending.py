"""What is sent, by what is there; `tests/integration/test_upload.py` has the function answer."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack
from unittest.mock import MagicMock

import pytest
from pytest_mock import MockerFixture

from run_recorder.consumer.run_reader import RunReader, RunRecord
from run_recorder.domain import Run
from run_recorder.errors import AWSCallError, FieldError, RunExistsError, UploadRefusedError
from run_recorder.producer import sending, upload
from run_recorder.producer.destination import Destination
from run_recorder.producer.options import TIMEOUT, Amount, UploadOptions, UploadResult
from run_recorder.producer.transfer import StoredDocument
from run_recorder.producer.waiting_for_verdict import AwaitedUpload, Verdict, VerdictState
from run_recorder.s3 import S3
from run_recorder.s3_objects import ListedObject, StoredObject
from tests.support.documents import document, good
from tests.support.names import BUCKET, RUN, TABLE, UPLOADED_AT

BODY = document(files=[{"path": "a", "size": 1}, {"path": "b"}])
RECORDED = Verdict(VerdictState.RECORDED, None)
STORED = StoredDocument("v2", "e2", UPLOADED_AT)
FILE_ERROR, OTHER_ERROR = FieldError("/files/0/path", "…"), FieldError("/name", "…")


def record(status: str, *errors: FieldError, version_id: str = "v1") -> RunRecord:
    return RunRecord("acme", "run-0001", status, errors, version_id=version_id, etag="e1")


class SendingBench:
    """A folder with the files a and b, and mocks of the calls to S3 and of the wait.

    Attributes:
        s3: the calls to S3; there is neither a document nor a file.
        reader: reads the record; there is none.
        files: uploads files.
        document: uploads the document.
        wait: waits for the verdict.
    """

    def __init__(self, folder: Path, mocker: MockerFixture) -> None:
        self.folder = folder
        for name, body in (("a", b"1"), ("b", b"2"), ("metadata.json", BODY)):
            (folder / name).write_bytes(body)
        self.warnings: list[FieldError] = []
        self.s3: Any = mocker.create_autospec(S3, instance=True)
        self.s3.client = mocker.sentinel.client
        self.s3.read_object.return_value = None
        self.s3.list_objects.side_effect = lambda *_: iter([])
        self.reader: Any = mocker.create_autospec(RunReader, instance=True)
        self.reader.read.return_value = None
        mocker.patch.object(upload, "_connect", return_value=Destination(BUCKET, self.s3, self.reader))
        self.files = mocker.patch.object(sending, "upload_files", autospec=True)
        self.document = mocker.patch.object(sending, "upload_document", autospec=True, return_value=STORED)
        self.wait = mocker.patch.object(sending, "wait_for_upload", autospec=True, return_value=RECORDED)

    def upload(self, **options: Unpack[UploadOptions]) -> UploadResult:
        """Upload the folder."""
        every: Any = {"warn": self.warnings.append, **options}
        return upload.upload_run(self.folder, "acme", "run-0001", bucket=BUCKET, table=TABLE, **every)

    def put_document(self, body: bytes = BODY) -> None:
        """Store a document as the version v1."""
        self.s3.read_object.return_value = StoredObject("v1", "e1", UPLOADED_AT, len(body), body)

    def put_files(self, **bodies: bytes) -> None:
        """Store files."""
        listed = [
            ListedObject(f"{RUN.prefix}{name}", len(body), hashlib.md5(body, usedforsecurity=False).hexdigest())
            for name, body in bodies.items()
        ]
        self.s3.list_objects.side_effect = lambda *_: iter(listed)

    @property
    def sent(self) -> list[str]:
        """The names of what was sent."""
        files = [file.path for call in self.files.mock_calls for file in call.args[3]]
        return [*files, *(["metadata.json"] if self.document.called else [])]


@pytest.fixture
def bench(tmp_path: Path, mocker: MockerFixture) -> SendingBench:
    return SendingBench(tmp_path, mocker)


def test_all_is_sent_where_nothing_is(bench: SendingBench, mocker: MockerFixture) -> None:
    result = bench.upload()
    assert result == UploadResult(RUN, Amount(2, 2), Amount(), True, RECORDED, "v2", "e2")
    client = mocker.sentinel.client
    bench.files.assert_called_once_with(client, BUCKET, RUN, mocker.ANY, mocker.ANY)
    bench.document.assert_called_once_with(client, BUCKET, RUN, BODY, replace=False)
    awaited = AwaitedUpload("v2", "e2", stored_by=UPLOADED_AT)
    bench.wait.assert_called_once_with(mocker.ANY, RUN, awaited, timeout=TIMEOUT, report=mocker.ANY)


def test_file_with_the_same_size_and_entity_tag_is_skipped(bench: SendingBench) -> None:
    bench.put_files(a=b"1", b=b"3", c=b"4")
    result = bench.upload()
    assert bench.sent == ["b", "metadata.json"]
    assert (result.uploaded, result.skipped) == (Amount(1, 1), Amount(1, 1))


@pytest.mark.parametrize(
    ("shown", "sent"),
    [
        (None, ["b"]),
        (record("recorded", version_id="v0"), ["b"]),
        (record("recorded"), []),
        (record("rejected", OTHER_ERROR), []),
        (record("rejected", FILE_ERROR, OTHER_ERROR), []),
        (record("pending", FILE_ERROR), ["b"]),
        (record("rejected", FILE_ERROR), ["b", "metadata.json"]),
    ],
    ids=[
        "no record", "older record", "recorded", "rejected", "rejected for a missing file and more", "pending",
        "rejected for a missing file",
    ],
)  # fmt: skip
def test_of_the_same_document_only_what_changes_its_verdict_is_sent(
    bench: SendingBench, shown: RunRecord | None, sent: list[str]
) -> None:
    bench.put_document()
    bench.put_files(a=b"1")
    bench.reader.read.return_value = shown
    result = bench.upload()
    assert bench.sent == sent
    if "metadata.json" not in sent:
        awaited = AwaitedUpload("v1", "e1", "2026-11-20T08:30:00Z")
        assert bench.wait.call_args.args[2] == awaited
        assert (result.version_id, result.is_document_uploaded) == ("v1", False)
    else:
        assert bench.document.call_args.kwargs == {"replace": True}
        assert bench.wait.call_args.args[2].before == shown


@pytest.mark.parametrize("is_recorded", [True, False])
def test_another_document_is_replaced_only_if_it_may_be(bench: SendingBench, *, is_recorded: bool) -> None:
    bench.put_document(good("other"))
    bench.reader.read.return_value = record("recorded") if is_recorded else None
    with pytest.raises(RunExistsError, match="which was recorded" if is_recorded else "has another one: choose"):
        bench.upload()
    assert bench.sent == []
    bench.upload(replace=True)
    assert bench.sent == ["a", "b", "metadata.json"]
    assert bench.document.call_args.kwargs == {"replace": True}


def test_document_that_came_meanwhile_is_not_replaced(bench: SendingBench) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        bench.put_document(good("other"))

    bench.document.side_effect = refuse
    with pytest.raises(RunExistsError):
        bench.upload()


def test_document_that_is_there_and_may_not_be_read_may_be_the_same(
    bench: SendingBench, client_error: Callable[..., Exception]
) -> None:
    denied = AWSCallError("denied")
    denied.__cause__ = client_error("AccessDenied")
    bench.s3.read_object.side_effect = denied
    bench.document.return_value = None
    with pytest.raises(RunExistsError, match="may be the same: try again when it is recorded"):
        bench.upload()


def test_document_that_an_earlier_attempt_stored_is_waited_for(bench: SendingBench) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        bench.put_document()

    bench.document.side_effect = refuse
    assert bench.upload().version_id == "v1"
    assert bench.wait.call_args.args[2].version_id == "v1"


@pytest.fixture
def deny_list(mocker: MockerFixture) -> MagicMock:
    """Deny the listing."""
    mock: MagicMock = mocker.patch.object(Destination, "list_files", autospec=True, return_value=None)
    return mock


@pytest.mark.usefixtures("deny_list")
def test_without_a_listing_all_files_are_sent_with_a_warning(bench: SendingBench) -> None:
    bench.upload()
    assert bench.sent == ["a", "b", "metadata.json"]
    assert [warning.path for warning in bench.warnings] == [RUN.prefix]


@pytest.mark.usefixtures("deny_list")
def test_without_a_listing_the_files_of_a_document_that_is_there_count_as_sent(bench: SendingBench) -> None:
    bench.put_document()
    bench.upload()
    assert bench.sent == []


def test_wait_and_upload_are_left_out_on_request(bench: SendingBench) -> None:
    assert bench.upload(wait=False).verdict is None
    assert bench.upload(dry_run=True).verdict is None
    bench.wait.assert_not_called()
    bench.document.assert_called_once()
    bench.upload(timeout=7)
    assert bench.wait.call_args.kwargs["timeout"] == 7


def test_folder_without_files_is_not_listed(bench: SendingBench) -> None:
    for name in "ab":
        (bench.folder / name).unlink()
    (bench.folder / "metadata.json").write_bytes(document())
    bench.upload()
    assert bench.sent == ["metadata.json"]
    bench.s3.list_objects.assert_not_called()


def test_record_alone_identifies_what_is_there(bench: SendingBench) -> None:
    bench.put_document()
    bench.reader.read.return_value = record("recorded")
    bench.upload()
    assert bench.wait.call_args.args[2].version_id == "v1"


@pytest.mark.parametrize("run", [Run("acme", "run 1"), Run("", "run-1"), Run("acme", "a/b")], ids=str)
def test_name_that_is_not_one_of_a_run_is_refused(bench: SendingBench, run: Run) -> None:
    with pytest.raises(UploadRefusedError, match="is not the name of a run"):
        upload.upload_run(bench.folder, run.organisation_id, run.run_id, bucket=BUCKET, table=TABLE)
    with pytest.raises(UploadRefusedError, match="is not the name of a run"):
        upload.wait_for_verdict(run.organisation_id, run.run_id, bucket=BUCKET, table=TABLE)


def test_clients_are_those_that_are_given(
    s3_client: MagicMock, dynamodb_client: MagicMock, mocker: MockerFixture
) -> None:
    wait = mocker.patch.object(upload, "wait_for_current", autospec=True, return_value=RECORDED)
    clients: Any = {"s3_client": s3_client, "dynamodb_client": dynamodb_client}
    assert upload.wait_for_verdict("acme", "run-0001", bucket=BUCKET, table=TABLE, **clients) == RECORDED
    destination, run = wait.call_args.args
    assert (destination.bucket, destination.s3.client, run) == (BUCKET, s3_client, RUN)
    dynamodb_client.get_item.return_value = {}
    assert destination.read_record(RUN) is None
    assert dynamodb_client.get_item.call_args.kwargs["TableName"] == TABLE
