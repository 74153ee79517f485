"""The uploads to S3: the files with boto3's transfer manager, and the document."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.exceptions import ClientError
from s3transfer.subscribers import BaseSubscriber

from run_recorder.errors import AWSCallError, FileChangedError
from run_recorder.producer.digests import PART_SIZE
from run_recorder.s3 import CALL_ERRORS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture

    from run_recorder.domain import Run
    from run_recorder.producer.folder import LocalFile
    from run_recorder.producer.progress import Counter

_AHEAD = 64  # files that are given to the transfer manager before the first of them is complete
_EXISTS_CODES = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document that was uploaded.

    Attributes:
        version_id: None in a bucket without versions.
        etag: its entity tag, without quotes.
        stored_by: a time, by the clock of S3, at which it was stored already; None if S3 did not state one.
    """

    version_id: str | None
    etag: str
    stored_by: datetime | None


def upload_files(client: S3Client, bucket: str, run: Run, files: Iterable[LocalFile], counter: Counter) -> None:
    """Upload files, several at a time, those of at least `PART_SIZE` in parts; S3 checks their checksums.

    Memory holds the parts that are being sent. Whatever ends the upload early, an interrupt included, ends the
    transfers and removes the parts of files that are not complete.

    Args:
        client: the client that sends them.
        bucket: bucket name.
        run: the run under whose prefix they are stored.
        files: the files.
        counter: counts what is sent.

    Raises:
        FileChangedError: a file changed since it was found.
        AWSCallError: S3 refuses a request or does not answer.
    """
    config = TransferConfig(
        multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE, preferred_transfer_client="classic"
    )
    sent: deque[tuple[LocalFile, TransferFuture]] = deque()
    with create_transfer_manager(client, config) as manager:
        for file in files:
            key = run.prefix + file.path
            with _failing_as(file, f"s3://{bucket}/{key}"):
                future = manager.upload(str(file.source), bucket, key, subscribers=[_Subscriber(counter)])
            sent.append((file, future))
            if len(sent) >= _AHEAD:
                _finish(*sent.popleft(), bucket, run, counter)
        while sent:
            _finish(*sent.popleft(), bucket, run, counter)


def upload_document(client: S3Client, bucket: str, run: Run, body: bytes, *, replace: bool) -> StoredDocument | None:
    """Upload the document of a run.

    Args:
        client: the client that sends it.
        bucket: bucket name.
        run: the run.
        body: the document.
        replace: whether it may replace another one.

    Returns:
        The stored document; None if there is another one.

    Raises:
        AWSCallError: S3 refuses the request or does not answer.
    """
    key = run.document_key
    condition: dict[str, Any] = {} if replace else {"IfNoneMatch": "*"}
    try:
        response = client.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)
    except CALL_ERRORS as error:
        if isinstance(error, ClientError) and error.response["Error"].get("Code") in _EXISTS_CODES:
            return None
        raise AWSCallError(f"uploading s3://{bucket}/{key} failed: {error}") from error
    version_id = response.get("VersionId", "null")
    return StoredDocument(
        version_id=None if version_id == "null" else version_id,
        etag=response["ETag"].strip('"'),
        stored_by=_date(response["ResponseMetadata"]["HTTPHeaders"]),
    )


class _Subscriber(BaseSubscriber):
    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:  # noqa: ANN401, ARG002
        self._counter.add(bytes_transferred)


def _finish(file: LocalFile, future: TransferFuture, bucket: str, run: Run, counter: Counter) -> None:
    with _failing_as(file, f"s3://{bucket}/{run.prefix}{file.path}"):
        future.result()
    if file.is_changed:
        raise FileChangedError(file.path)
    counter.add(0, file.path)


@contextlib.contextmanager
def _failing_as(file: LocalFile, target: str) -> Iterator[None]:
    """Raise an error of this package for each error of a transfer."""
    try:
        yield
    except (*CALL_ERRORS, Boto3Error, OSError) as error:
        if file.is_changed:
            raise FileChangedError(file.path) from error
        raise AWSCallError(f"uploading {target} failed: {error}") from error


def _date(headers: dict[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return None
