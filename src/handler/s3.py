"""S3: list buckets, list objects, read an object."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from handler.errors import AWSCallError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# 405 is S3's answer to a read of a version that is a delete marker.
_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"})

# botocore lets through what urllib3 raises while the body of an error is read, and what TLS
# raises in any body that is streamed.
_FAULTS = (ClientError, BotoCoreError, ResponseParserError, HTTPError)


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object of a listing; ``size`` in bytes."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that was read.

    Attributes:
        version_id: None if the bucket gave it no version.
        etag: entity tag, without quotes.
        last_modified: when S3 took it (for a multipart upload: when that was started), UTC.
        size: in bytes.
        body: its contents; None if it is larger than the reader asked for.
    """

    version_id: str | None
    etag: str
    last_modified: datetime
    size: int
    body: bytes | None

    @property
    def uploaded_at(self) -> str:
        """``last_modified`` as a record states it: ``2026-11-20T08:30:00Z``."""
        return self.last_modified.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class S3:
    """The calls to S3 that this project makes.

    Every method raises `AWSCallError` if S3 refuses, does not answer or breaks off.
    """

    def __init__(self, client: S3Client | None = None) -> None:
        """Uses ``client``, or makes one from the environment's AWS settings."""
        self.client: S3Client = client or boto3.client("s3")

    def list_buckets(self) -> list[str]:
        """The names of the caller's buckets."""
        try:
            pages = self.client.get_paginator("list_buckets").paginate()
            return [bucket["Name"] for page in pages for bucket in _check(page, "Buckets")["Buckets"]]
        except _FAULTS as error:
            raise AWSCallError(f"listing buckets failed: {error}") from error

    def list_objects(self, bucket: str, prefix: str = "") -> Iterator[ListedObject]:
        """The objects under a prefix in the order of their keys' UTF-8 bytes; a page at a time."""
        try:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for listed in _check(page, "IsTruncated").get("Contents", []):
                    yield ListedObject(listed["Key"], listed["Size"])
        except _FAULTS as error:
            raise AWSCallError(f"listing s3://{bucket}/{prefix} failed: {error}") from error

    def read_object(
        self, bucket: str, key: str, version_id: str | None = None, etag: str | None = None, *, max_bytes: int
    ) -> StoredObject | None:
        """Reads a version of an object, or the current one, with one request.

        An answer with another version or entity tag than those that are given is an error.

        Returns:
            The object, without its body if it is larger than ``max_bytes``; None if there is
            no such key or version (any more).
        """
        version = {"VersionId": version_id} if version_id else {}
        try:
            response = self.client.get_object(Bucket=bucket, Key=key, **version)  # type: ignore[arg-type]
            size = response["ContentLength"]
            # As a context manager, the stream would skip its check of the length.
            with contextlib.closing(response["Body"]) as stream:
                body = stream.read() if size <= max_bytes else None
        except _FAULTS as error:
            if isinstance(error, ClientError) and error.response["Error"].get("Code") in _GONE:
                return None
            raise AWSCallError(f"reading s3://{bucket}/{key} failed: {error}") from error
        actual_version, actual_etag = response.get("VersionId", "null"), response["ETag"].strip('"')
        if (version_id or actual_version, etag or actual_etag) != (actual_version, actual_etag):
            raise AWSCallError(f"reading s3://{bucket}/{key} was answered with {actual_version}, {actual_etag}")
        return StoredObject(
            version_id=None if actual_version == "null" else actual_version,
            etag=actual_etag,
            last_modified=response["LastModified"],
            size=size,
            body=body,
        )


def _check(page: Mapping[str, Any], element: str) -> Mapping[str, Any]:
    """The page, if it has the element that none lacks: botocore takes an answer that ends
    after its headers for an empty one.
    """
    if element not in page:
        raise AWSCallError("a listing ended early")
    return page
