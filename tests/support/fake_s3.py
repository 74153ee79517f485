"""S3 in memory: one bucket, and the requests that the recorder sends.

It is fast enough for thousands of inputs and for a million keys. `tests/integration/test_s3.py` sends the same requests
to moto.
"""

import bisect
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import MagicMock

from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter
from botocore.response import StreamingBody

from run_recorder.errors import AWSCallError
from tests.support.documents import GOOD
from tests.support.names import BUCKET, KEY, UPLOADED_AT

ANY_VERSION = "any version"
"""The id of a version that is there under every id by which it is asked for."""

_LAST = "\U0010ffff" * 256


def client_error(code: str, **response: Any) -> ClientError:
    """Return an error as a client raises it."""
    answer: Any = {"Error": {"Code": code, "Message": "…"}, **response}
    return ClientError(answer, "Operation")


def failed_call(operation: str, code: str, message: str = "…") -> AWSCallError:
    """Return an error as the library raises it."""
    error = AWSCallError(f"it failed: {code}: {message}")
    error.__cause__ = ClientError({"Error": {"Code": code, "Message": message}}, operation)
    return error


@dataclass(frozen=True)
class Version:
    """One version of an object; ``body`` is None for a delete marker."""

    version_id: str | None
    etag: str
    body: bytes | None
    last_modified: datetime

    @property
    def listed_id(self) -> str:
        """The id that a listing states."""
        return "null" if self.version_id in (None, ANY_VERSION) else self.version_id

    def is_named(self, version_id: str) -> bool:
        """Return whether a request for this id is answered with this version."""
        return self.version_id == ANY_VERSION or self.listed_id == version_id


class FakeS3:
    """A bucket, asked as boto3's client is.

    Attributes:
        page_size: how many objects, or versions, a page of a listing has.
        requests: how many requests of each operation there were.
        reads: the version ids of all GetObject requests, None for the current object.
        lists: the texts after which the ListObjectsV2 requests began.
        meta: the events of the client, of which none happens.
    """

    def __init__(self, bucket: str = BUCKET) -> None:
        self.page_size = 1000
        self.requests = Counter[str]()
        self.reads: list[str | None] = []
        self.lists: list[str] = []
        self.meta = SimpleNamespace(events=HierarchicalEmitter())
        self._bucket = bucket
        self._versions: dict[str, list[Version]] = {}
        self._sizes: dict[str, int] = {}
        self._keys: list[str] | None = []

    def answer(self, client: MagicMock) -> Self:
        """Answer the requests of an autospecced client; return this bucket."""
        for name in ("get_object", "head_object", "list_objects_v2", "get_paginator"):
            getattr(client, name).side_effect = getattr(self, name)
        return self

    def put(
        self,
        body: bytes = GOOD,
        version_id: str | None = None,
        etag: str | None = None,
        last_modified: datetime = UPLOADED_AT,
        *,
        key: str = KEY,
    ) -> None:
        """Store an object as a version, or in place of all others of its key if there is no version id.

        Without a version id, objects of different sizes differ in their entity tags.
        """
        if version_id is None:
            self._versions.pop(key, None)
        etag = etag or (f"etag of {version_id}" if version_id else f"etag of {len(body)} bytes")
        self._add(key, Version(version_id, etag, body, last_modified))

    def put_files(self, *keys: str, size: int = 1) -> None:
        """Store objects of a size, which are listed and never read."""
        self._sizes |= dict.fromkeys(keys, size)
        self._keys = None

    def put_delete_marker(self, version_id: str, *, key: str = KEY) -> None:
        """Delete the current object of a versioned bucket."""
        self._add(key, Version(version_id, "", None, UPLOADED_AT))

    def remove(self, version_id: str, *, key: str = KEY) -> None:
        """Remove a version for good."""
        *kept, last = [version for version in self._versions.pop(key) if version.version_id != version_id]
        self._versions[key] = kept
        self._add(key, last)

    def delete(self, key: str) -> None:
        """Delete an object of a bucket without versions."""
        self._versions.pop(key, None)
        del self._sizes[key]
        self._keys = None

    def get_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:  # noqa: N803
        """Return a version of an object, read into memory of its own, or the current one."""
        self._check(Bucket, Key)
        self.requests["GetObject"] += 1
        self.reads.append(VersionId)
        found = self._find(Key, VersionId)
        body = found.body or b""
        stream = StreamingBody(io.BytesIO(memoryview(body)), len(body))
        return {"Body": stream, **_headers(found, VersionId)}

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:  # noqa: N803
        """Return the headers of a version of an object, or of the current one."""
        self._check(Bucket, Key)
        self.requests["HeadObject"] += 1
        try:
            return _headers(self._find(Key, VersionId), VersionId)
        except ClientError as error:
            is_marker = error.response["Error"]["Code"] == "MethodNotAllowed"
            raise client_error("405" if is_marker else "404") from error

    def list_objects_v2(self, *, Bucket: str, Prefix: str, StartAfter: str) -> dict[str, Any]:  # noqa: N803
        """Return a page of the objects; the order of code points is that of UTF-8."""
        self._check(Bucket, Prefix)
        assert len(StartAfter.encode()) <= 1024
        self.requests["ListObjectsV2"] += 1
        self.lists.append(StartAfter)
        if self._keys is None:
            self._keys = sorted(self._sizes)
        first = max(bisect.bisect_right(self._keys, StartAfter), bisect.bisect_left(self._keys, Prefix))
        last = bisect.bisect_left(self._keys, Prefix + _LAST)
        page = self._keys[first : min(first + self.page_size, last)]
        contents = [{"Key": key, "Size": self._sizes[key]} for key in page]
        return {"IsTruncated": first + self.page_size < last, **({"Contents": contents} if contents else {})}

    def get_paginator(self, operation: str) -> "FakeS3":
        """Return this bucket, which paginates the listing of versions."""
        assert operation == "list_object_versions"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        """List the versions and delete markers of each key, the newest first, page by page."""
        self._check(Bucket, Prefix)
        listed = [
            (version, {"Key": key, "VersionId": version.listed_id, "ETag": f'"{version.etag}"'})
            for key in sorted(key for key in self._versions if key.startswith(Prefix))
            for version in self._versions[key][::-1]
        ]
        for start in range(0, max(len(listed), 1), self.page_size):
            self.requests["ListObjectVersions"] += 1
            page = listed[start : start + self.page_size]
            versions = [entry for version, entry in page if version.body is not None]
            markers = [entry for version, entry in page if version.body is None]
            yield {
                "IsTruncated": start + self.page_size < len(listed),
                **({"Versions": versions} if versions else {}),
                **({"DeleteMarkers": markers} if markers else {}),
            }

    def _add(self, key: str, version: Version) -> None:
        self._versions.setdefault(key, []).append(version)
        if version.body is None:
            self._sizes.pop(key, None)
        else:
            self._sizes[key] = len(version.body)
        self._keys = None

    def _find(self, key: str, version_id: str | None) -> Version:
        versions = self._versions.get(key, [])
        if version_id is None:
            found = versions[-1:]
        else:
            found = [version for version in versions if version.is_named(version_id)]
        if not found:
            raise client_error("NoSuchVersion" if version_id else "NoSuchKey")
        if found[0].body is None:
            raise client_error("MethodNotAllowed" if version_id else "NoSuchKey")
        return found[0]

    def _check(self, bucket: str, text: str) -> None:
        assert bucket == self._bucket
        text.encode()


def _headers(version: Version, asked_for: str | None) -> dict[str, Any]:
    version_id = (asked_for or "null") if version.version_id == ANY_VERSION else version.version_id
    return {
        "ContentLength": len(version.body or b""),
        "ETag": f'"{version.etag}"',
        "LastModified": version.last_modified,
        **({"VersionId": version_id} if version_id else {}),
    }
