"""The calls to S3: list buckets, objects and versions, look for an object, read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from run_recorder.domain import ObjectVersion
from run_recorder.errors import AWSCallError
from run_recorder.s3_objects import ListedObject, ListedPage, StoredObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef, ListObjectsV2OutputTypeDef

Response = TypeVar("Response", bound=Mapping[str, Any])

# S3 answers a request for a version that is a delete marker with 405.
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})
_GONE_STATUSES = frozenset({"404", "405"})

# botocore does not wrap errors that urllib3 raises while the body of an error response is read, nor TLS errors
# while a body is streamed.
CALL_ERRORS = (ClientError, BotoCoreError, ResponseParserError, HTTPError)
"""The errors that a call of S3 may raise."""


class S3:
    """The calls that list buckets, objects and versions, and that read objects; none of them writes.

    A listing is an iterator that requests each page when it is needed. Safe to share between threads.

    Attributes:
        client: the boto3 client that makes the calls.

    Raises:
        AWSCallError: from every method, and while a listing is iterated: S3 refused, did not answer or broke off.
    """

    def __init__(self, client: S3Client | None = None) -> None:
        """Use ``client``, or make a boto3 client from the AWS settings of the environment."""
        self.client: S3Client = client or boto3.client("s3")

    def list_buckets(self) -> list[str]:
        """List the names of the caller's buckets."""
        with _failing_as("listing buckets"):
            pages = self.client.get_paginator("list_buckets").paginate()
            return [bucket["Name"] for page in pages for bucket in _check(page, "Buckets")["Buckets"]]

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[ListedObject]:
        """List the objects under a prefix in the order of their keys' UTF-8 bytes; a page at a time."""
        with _failing_as(f"listing s3://{bucket}/{prefix}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                yield from _listed_objects(_check(page, "IsTruncated"))

    def list_page(self, bucket: str, prefix: str, start_after: str) -> ListedPage:
        """List the first objects under a prefix whose keys sort after ``start_after``, with one request."""
        with _failing_as(f"listing s3://{bucket}/{prefix}"):
            page = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=start_after)
            return ListedPage(tuple(_listed_objects(page)), _check(page, "IsTruncated")["IsTruncated"])

    def list_versions(self, bucket: str, key: str) -> Iterator[ObjectVersion]:
        """List the versions of a key, the most recently stored first, without delete markers; a page at a time.

        The order is the order in which S3 stored the versions:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/list-obj-version-enabled-bucket.html
        """
        with _failing_as(f"listing the versions of s3://{bucket}/{key}"):
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
                listed = _check(page, "IsTruncated").get("Versions", [])
                for version in listed:
                    if version["Key"] == key:
                        yield ObjectVersion(_version_id(version), version["ETag"].strip('"'))
                # Longer keys that begin with the key are listed after it.
                if any(other["Key"] != key for other in [*listed, *page.get("DeleteMarkers", [])]):
                    return

    def list_level(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[str]:
        """List the names directly below a prefix, like those in a folder, in the order of their UTF-8 bytes.

        Sends one request for each thousand names, however many objects are below them.

        Args:
            bucket: bucket name.
            prefix: key prefix that ends in ``/``.
            start_after: only names that sort after this string are listed.

        Yields:
            Whole keys, and key prefixes that end in ``/``.
        """
        start = {"StartAfter": start_after} if start_after else {}
        paginator = self.client.get_paginator("list_objects_v2")
        with _failing_as(f"listing s3://{bucket}/{prefix}"):
            for page in paginator.paginate(Bucket=bucket, Prefix=prefix, Delimiter="/", **start):  # type: ignore[arg-type]
                names = [listed["Key"] for listed in _check(page, "IsTruncated").get("Contents", [])]
                names += [common["Prefix"] for common in page.get("CommonPrefixes", [])]
                yield from sorted(name for name in names if name != prefix)

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> StoredObject | None:
        """Return a version of an object, or the current one, without its body; None if it does not exist."""
        version = {"VersionId": version_id} if version_id else {}
        try:
            response = self.client.head_object(Bucket=bucket, Key=key, **version)  # type: ignore[arg-type]
            return _to_stored_object(_check(response, "ContentLength", "ETag", "LastModified"), None)
        except CALL_ERRORS as error:
            # A response to HEAD has no body: the status is its only code.
            if isinstance(error, ClientError) and error.response["Error"].get("Code") in _GONE_STATUSES:
                return None
            raise AWSCallError(f"looking for s3://{bucket}/{key} failed: {error}") from error

    def read_object(
        self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None, *, max_bytes: int
    ) -> StoredObject | None:
        """Read a version of an object, or the current one, with one request.

        Args:
            bucket: bucket name.
            key: object key.
            version_id: the version, which may be ``null``; None for the current one.
            etag: the entity tag that the version must have, if given.
            max_bytes: the greatest size at which the body is read.

        Returns:
            The object, without its body if it is larger than ``max_bytes``; None if the key or the
            version does not exist.

        Raises:
            AWSCallError: as every method, or the response has another version or entity tag.
        """
        version = {"VersionId": version_id} if version_id else {}
        try:
            response = self.client.get_object(Bucket=bucket, Key=key, **version)  # type: ignore[arg-type]
            # Used as a context manager, the stream would not check its length.
            with contextlib.closing(response["Body"]) as stream:
                body = stream.read() if response["ContentLength"] <= max_bytes else None
        except CALL_ERRORS as error:
            if isinstance(error, ClientError) and error.response["Error"].get("Code") in _GONE_CODES:
                return None
            named = f", version {version_id}," if version_id else ""
            raise AWSCallError(f"reading s3://{bucket}/{key}{named} failed: {error}") from error
        stored = _to_stored_object(response, body)
        if version_id not in (None, stored.version_id or "null") or etag not in (None, stored.etag):
            raise AWSCallError(f"reading s3://{bucket}/{key} was answered with {stored.version_id}, {stored.etag}")
        return stored


@contextlib.contextmanager
def _failing_as(call: str) -> Iterator[None]:
    """Raise `AWSCallError` for every error that a call may raise."""
    try:
        yield
    except CALL_ERRORS as error:
        raise AWSCallError(f"{call} failed: {error}") from error


def _listed_objects(page: ListObjectsV2OutputTypeDef) -> Iterator[ListedObject]:
    return (
        ListedObject(listed["Key"], listed["Size"], listed.get("ETag", "").strip('"'))
        for listed in page.get("Contents", [])
    )


def _to_stored_object(response: GetObjectOutputTypeDef | HeadObjectOutputTypeDef, body: bytes | None) -> StoredObject:
    return StoredObject(
        version_id=_version_id(response),
        etag=response["ETag"].strip('"'),
        last_modified=response["LastModified"],
        size=response["ContentLength"],
        body=body,
    )


def _version_id(described: Mapping[str, Any]) -> str | None:
    version_id: str = described.get("VersionId", "null")
    return None if version_id == "null" else version_id


def _check(response: Response, *elements: str) -> Response:
    """Return a response that has these elements.

    Raises:
        AWSCallError: an element that every complete response has is absent. botocore returns an empty
            response if the connection ends after the headers.
    """
    if not response.keys() >= set(elements):
        raise AWSCallError("the answer ended early")
    return response
