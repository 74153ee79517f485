"""S3 and DynamoDB in memory: fast enough for thousands of inputs, strict about what they are asked to keep.

Conditions of writes are not looked at. Every write is the latest.
"""

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from handler import app
from run_recorder.domain import Run

PAGE = 1_000
"""How many keys or versions S3 lists at once."""

Item = dict[str, Any]
Stored = bytes | Sequence[bytes]
"""The object of a key, or the versions of a key that has several, from old to new; their ids count them from 1."""


@contextmanager
def fake_aws(objects: Mapping[str, Stored], requests: Counter[str] | None = None) -> Iterator[dict[Run, Item]]:
    """Clients that know these objects, by key, and nothing else; the records that are written.

    Requests to S3 are counted by their operation, if there is a counter for them.
    """
    table = Table()
    clients = {"s3": Bucket(objects, Counter() if requests is None else requests), "dynamodb": table}
    app._connect.cache_clear()  # noqa: SLF001 - clients of another example must not serve this one
    with patch("boto3.client", lambda name, **_: clients[name]):
        yield table.items
    app._connect.cache_clear()  # noqa: SLF001


class Bucket:
    """What the recorder asks S3 for."""

    def __init__(self, objects: Mapping[str, Stored], requests: Counter[str]) -> None:
        self._objects = objects
        self._requests = requests

    def get_object(self, *, Bucket: str, Key: str, VersionId: str = "null") -> dict[str, Any]:  # noqa: N803 - as boto3
        """The version of a key that has several; else the object, whatever version is asked for."""
        _check_text(Bucket, Key, VersionId)
        self._requests["GetObject"] += 1
        if Key not in self._objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": ""}}, "GetObject")
        stored = self._objects[Key]
        if not isinstance(stored, bytes):
            number = len(stored) if VersionId == "null" else int(VersionId)
            return {**_headers(number, stored[number - 1]), "Body": _stream(stored[number - 1])}
        return {**_headers("null", stored), "VersionId": VersionId, "Body": _stream(stored)}

    def head_object(self, **request: str) -> dict[str, Any]:
        """As ``get_object``, less the body."""
        try:
            answer = self.get_object(**request)
        except ClientError as error:
            raise ClientError({"Error": {"Code": "404", "Message": ""}}, "HeadObject") from error
        del answer["Body"]
        return answer

    def list_objects_v2(self, *, Bucket: str, Prefix: str, StartAfter: str) -> dict[str, Any]:  # noqa: N803 - as boto3
        """A page of at most a thousand, as S3 has it."""
        _check_text(Bucket, Prefix, StartAfter)
        self._requests["ListObjectsV2"] += 1
        # Of UTF-8; the order of code points is the same.
        keys = sorted(key for key in self._objects if key.startswith(Prefix) and key > StartAfter)
        listed = [{"Key": key, "Size": _headers("null", _newest(self._objects[key]))["ContentLength"]} for key in keys]
        return {"Contents": listed[:PAGE], "IsTruncated": len(listed) > PAGE}

    def get_paginator(self, operation: str) -> "Bucket":
        """Itself."""
        assert operation == "list_object_versions"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803 - as boto3
        """The versions of each key, newest first, in pages of at most a thousand."""
        _check_text(Bucket, Prefix)
        listed = []
        for key in sorted(key for key in self._objects if key.startswith(Prefix)):
            stored = self._objects[key]
            if isinstance(stored, bytes):
                listed.append({"Key": key, **_headers("null", stored)})
                continue
            # One at a time, so that the memory of all is not taken at once.
            listed += [{"Key": key, **_headers(number, stored[number - 1])} for number in range(len(stored), 0, -1)]
        for start in range(0, max(len(listed), 1), PAGE):
            self._requests["ListObjectVersions"] += 1
            yield {"Versions": listed[start : start + PAGE], "IsTruncated": start + PAGE < len(listed)}


def _newest(stored: Stored) -> bytes:
    return stored if isinstance(stored, bytes) else stored[-1]


def _stream(body: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(body), len(body))


def _headers(version_id: str | int, body: bytes) -> dict[str, Any]:
    return {
        "ContentLength": len(body),
        "ETag": f'"{len(body)}"',
        "LastModified": datetime(2026, 11, 20, tzinfo=UTC),
        "VersionId": str(version_id),
    }


class Table:
    """What the recorder asks DynamoDB for; refuses what an item could not hold."""

    def __init__(self) -> None:
        self.items: dict[Run, Item] = {}

    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:  # noqa: N803 - as boto3
        """The record, if there is one."""
        run = _identify(Key)
        return {"Item": self.items[run]} if run in self.items else {}

    def update_item(self, *, Key: Item, ExpressionAttributeValues: Item, **_: Any) -> None:  # noqa: N803 - as boto3
        """Takes all values as the attributes of their names."""
        values = {name[1:]: value for name, value in ExpressionAttributeValues.items() if ":seen_" not in name}
        item = Key | values
        assert sum(len(name.encode()) + _weigh(value) for name, value in item.items()) <= 400 * 1024
        self.items[_identify(Key)] = item


def _identify(key: Item) -> Run:
    return Run(key["organisation_id"]["S"], key["run_id"]["S"])


def _check_text(*texts: str) -> None:
    for text in texts:
        text.encode()


def _weigh(attribute: Item, level: int = 1) -> int:
    """The bytes of an attribute value that DynamoDB takes as it is.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
    """
    assert level <= 32
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            number = Decimal(value)
            digits = len(number.as_tuple().digits)
            assert digits <= 38
            assert not number or -130 <= number.adjusted() <= 125
            return 1 + (digits + 1) // 2
        case "M":
            assert all(1 <= len(name.encode()) <= 65_535 for name in value)
            return 3 + sum(1 + len(name.encode()) + _weigh(member, level + 1) for name, member in value.items())
        case "L":
            return 3 + sum(1 + _weigh(member, level + 1) for member in value)
    return 1
