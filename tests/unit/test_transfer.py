"""The requests that store files and documents, and the errors of each."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import ANY, MagicMock, call

import pytest
from botocore.exceptions import EndpointConnectionError

from run_recorder.errors import AWSCallError, FileChangedError
from run_recorder.producer.digests import PART_SIZE
from run_recorder.producer.folder import LocalFile, read_folder
from run_recorder.producer.progress import Counter, Progress, Step
from run_recorder.producer.transfer import StoredDocument, upload_document, upload_files
from tests.support.fake_s3 import client_error
from tests.support.names import BUCKET, KEY, RUN

ANSWER = {"ETag": '"e1"', "ResponseMetadata": {"HTTPHeaders": {"date": "Fri, 20 Nov 2026 08:30:00 GMT"}}}


@pytest.fixture
def files(tmp_path: Path) -> list[LocalFile]:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(bytes(PART_SIZE))
    return read_folder(tmp_path).files


def upload(client: MagicMock, files: list[LocalFile]) -> list[Progress]:
    progress: list[Progress] = []
    upload_files(client, BUCKET, RUN, files, Counter(Step.UPLOADING, files, progress.append))
    return progress


def test_small_file_is_sent_with_one_request_and_a_larger_one_in_parts(
    s3_client: MagicMock, files: list[LocalFile]
) -> None:
    s3_client.create_multipart_upload.return_value = {"UploadId": "u"}
    s3_client.upload_part.return_value = {"ETag": "e"}
    progress = upload(s3_client, files)
    s3_client.put_object.assert_called_once_with(Bucket=BUCKET, Key=f"{RUN.prefix}a", Body=ANY)
    s3_client.upload_part.assert_called_once_with(
        Bucket=BUCKET, Key=f"{RUN.prefix}b", UploadId="u", PartNumber=1, Body=ANY
    )
    s3_client.complete_multipart_upload.assert_called_once()
    assert [(each.path, each.files) for each in progress if each.path] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    "error", [client_error("SlowDown"), EndpointConnectionError(endpoint_url="u"), OSError("disk")]
)
def test_failure_of_a_file_ends_the_upload_and_removes_its_parts(
    s3_client: MagicMock, files: list[LocalFile], error: Exception
) -> None:
    s3_client.create_multipart_upload.return_value = {"UploadId": "u"}
    s3_client.upload_part.side_effect = error
    with pytest.raises(AWSCallError, match=f"uploading s3://{BUCKET}/{RUN.prefix}b failed: "):
        upload(s3_client, files)
    assert s3_client.abort_multipart_upload.mock_calls == [call(Bucket=BUCKET, Key=f"{RUN.prefix}b", UploadId="u")]


def test_failure_ends_the_upload_long_before_its_last_file(s3_client: MagicMock, files: list[LocalFile]) -> None:
    s3_client.put_object.side_effect = client_error("AccessDenied")
    with pytest.raises(AWSCallError, match="AccessDenied"):
        upload(s3_client, files[:1] * 1000)
    assert s3_client.put_object.call_count < 200


@pytest.mark.parametrize("error", [None, client_error("BadDigest")])
def test_file_that_changed_is_noticed_whether_its_upload_failed_or_not(
    s3_client: MagicMock, files: list[LocalFile], error: Exception | None
) -> None:
    def change(**_: Any) -> None:
        files[0].source.write_bytes(b"22")
        if error:
            raise error

    s3_client.put_object.side_effect = change
    with pytest.raises(FileChangedError, match="a changed while it was uploaded") as changed:
        upload(s3_client, files[:1])
    assert changed.value.path == "a"


@pytest.mark.parametrize(
    ("replace", "condition"), [(False, {"IfNoneMatch": "*"}), (True, {})], ids=["new", "replacing"]
)
def test_document_is_stored_only_if_there_is_none_unless_it_may_be_replaced(
    s3_client: MagicMock, condition: dict[str, str], *, replace: bool
) -> None:
    s3_client.put_object.return_value = {**ANSWER, "VersionId": "v1"}
    stored = upload_document(s3_client, BUCKET, RUN, b"{}", replace=replace)
    assert stored == StoredDocument("v1", "e1", datetime(2026, 11, 20, 8, 30, tzinfo=UTC))
    s3_client.put_object.assert_called_once_with(
        Bucket=BUCKET, Key=KEY, Body=b"{}", ContentType="application/json", **condition
    )


@pytest.mark.parametrize("version", [{}, {"VersionId": "null"}], ids=["no versions", "suspended versions"])
def test_document_of_a_bucket_without_versions_has_none(s3_client: MagicMock, version: dict[str, str]) -> None:
    s3_client.put_object.return_value = {**ANSWER, **version}
    stored = upload_document(s3_client, BUCKET, RUN, b"{}", replace=True)
    assert stored
    assert stored.version_id is None


@pytest.mark.parametrize("headers", [{}, {"date": "soon"}])
def test_time_of_the_answer_may_be_unknown(s3_client: MagicMock, headers: dict[str, str]) -> None:
    s3_client.put_object.return_value = {"ETag": "e1", "ResponseMetadata": {"HTTPHeaders": headers}}
    assert upload_document(s3_client, BUCKET, RUN, b"{}", replace=True) == StoredDocument(None, "e1", None)


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_other_document_is_not_replaced(s3_client: MagicMock, code: str) -> None:
    s3_client.put_object.side_effect = client_error(code)
    assert upload_document(s3_client, BUCKET, RUN, b"{}", replace=False) is None


def test_failure_of_the_document_is_raised(s3_client: MagicMock) -> None:
    s3_client.put_object.side_effect = client_error("AccessDenied")
    with pytest.raises(AWSCallError, match=f"uploading s3://{BUCKET}/{KEY} failed") as failure:
        upload_document(s3_client, BUCKET, RUN, b"{}", replace=False)
    assert failure.value.is_denied
