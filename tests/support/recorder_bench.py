"""The world of the tests of recording: a bucket and a table behind mocked clients, and a recorder between them."""

import bisect
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from run_recorder.config import load_settings
from run_recorder.domain import ObjectEvent, Run
from run_recorder.dynamodb_value import serialize
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.verdict import Result

BUCKET = "run-recorder-runs"
RUN = Run("acme", "run-0001")
KEY = "runs/acme/run-0001/metadata.json"
UPLOADED_AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
GOOD = {"model": {"name": "m", "version": "1"}}
BAD = {"name": 1}
"""A document whose error is final."""
INCOMPLETE = {**GOOD, "files": [{"path": "late.csv"}]}
"""A document that is accepted as soon as its file is there."""


def error(code: str, **response: Any) -> ClientError:
    """Return an error as a client raises it."""
    return ClientError({"Error": {"Code": code, "Message": "…"}, **response}, "Operation")


@dataclass(frozen=True)
class Version:
    """One version of the key of a run's metadata.json; ``body`` is None for a delete marker."""

    version_id: str | None
    etag: str
    body: bytes | None
    last_modified: datetime


class Bucket:
    """A bucket behind a mocked client, which lists keys and versions as S3 does.

    Attributes:
        versions: of the one key that can be read, the oldest first.
        keys: of all other objects, in the order in which S3 lists them.
        page_size: how many objects, or versions, a page of a listing has.
        reads: the version ids of all GetObject requests, None for the current object.
        lists: the texts after which the ListObjectsV2 requests began.
    """

    def __init__(self, client: MagicMock) -> None:
        self.client = client
        self.versions: list[Version] = []
        self.keys: list[str] = []
        self.sizes: dict[str, int] = {}
        self.page_size = 1000
        self.reads: list[str | None] = []
        self.lists: list[str] = []
        client.get_object.side_effect = self._get_object
        client.head_object.side_effect = self._head_object
        client.list_objects_v2.side_effect = self._list_objects
        client.get_paginator.side_effect = self._get_paginator

    def put(
        self,
        document: Any = GOOD,
        version_id: str | None = None,
        etag: str | None = None,
        last_modified: datetime = UPLOADED_AT,
    ) -> None:
        """Upload a document as a version, or in place of all others if there is no version id."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        if version_id is None:
            self.versions.clear()
        self.versions.append(Version(version_id, etag or f"etag of {version_id}", body, last_modified))

    def put_delete_marker(self, version_id: str) -> None:
        """Delete the current object of a versioned bucket."""
        self.versions.append(Version(version_id, "", None, UPLOADED_AT))

    def remove(self, version_id: str) -> None:
        """Remove a version for good."""
        self.versions = [version for version in self.versions if version.version_id != version_id]

    def put_file(self, key: str, size: int = 1) -> None:
        """Upload another object."""
        bisect.insort(self.keys, key)
        self.sizes[key] = size

    def _find(self, version_id: str | None) -> Version:
        if version_id is None and self.versions:
            found = self.versions[-1]
        else:
            named = [version for version in self.versions if (version.version_id or "null") == version_id]
            if not named:
                raise error("NoSuchVersion" if version_id else "NoSuchKey")
            found = named[0]
        if found.body is None:
            raise error("MethodNotAllowed" if version_id else "NoSuchKey")
        return found

    def _get_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:  # noqa: N803
        assert Bucket == BUCKET
        assert Key.startswith("runs/")
        self.reads.append(VersionId)
        found = self._find(VersionId)
        assert found.body is not None
        return {"Body": StreamingBody(io.BytesIO(found.body), len(found.body)), **_headers(found)}

    def _head_object(self, *, Bucket: str, Key: str, VersionId: str) -> dict[str, Any]:  # noqa: N803
        assert (Bucket, Key) == (BUCKET, KEY)
        try:
            return _headers(self._find(VersionId))
        except ClientError as failure:
            is_marker = failure.response["Error"]["Code"] == "MethodNotAllowed"
            raise error("405" if is_marker else "404") from failure

    def _list_objects(self, *, Bucket: str, Prefix: str, StartAfter: str) -> dict[str, Any]:  # noqa: N803
        assert Bucket == BUCKET
        assert len(StartAfter.encode()) <= 1024
        self.lists.append(StartAfter)
        first = max(bisect.bisect_right(self.keys, StartAfter), bisect.bisect_left(self.keys, Prefix))
        last = bisect.bisect_left(self.keys, Prefix + "\U0010ffff" * 256)
        page = self.keys[first : min(first + self.page_size, last)]
        contents = [{"Key": key, "Size": self.sizes.get(key, 1)} for key in page]
        return {"IsTruncated": first + self.page_size < last, **({"Contents": contents} if contents else {})}

    def _get_paginator(self, operation: str) -> MagicMock:
        assert operation == "list_object_versions"
        paginator = MagicMock(spec_set=["paginate"])
        paginator.paginate.side_effect = self._list_versions
        return paginator

    def _list_versions(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert (Bucket, Prefix) == (BUCKET, KEY)
        newest_first = self.versions[::-1]
        for start in range(0, max(len(newest_first), 1), self.page_size):
            page = newest_first[start : start + self.page_size]
            listed = [
                {"Key": KEY, "VersionId": version.version_id or "null", "ETag": f'"{version.etag}"'}
                for version in page
                if version.body is not None
            ]
            markers = [{"Key": KEY, "VersionId": version.version_id} for version in page if version.body is None]
            yield {
                "IsTruncated": start + self.page_size < len(newest_first),
                **({"Versions": listed} if listed else {}),
                **({"DeleteMarkers": markers} if markers else {}),
            }


class RecorderBench:
    """A recorder, and the bucket and the table that it works on.

    The table does not evaluate conditions: a test states which writes are refused, and checks
    the condition where it matters.

    Attributes:
        bucket: the bucket of runs.
        record: the record that reads of the table find, as plain values; None for no record.
        writes: the requests of all UpdateItem calls.
        refusals: for each of the next writes what refuses it: the item that it meets, an empty
            one for none, or None to accept the write. Further writes are accepted.
        reads: how often the record was read.
        order: "record" and "object" for each read, in their order.
    """

    def __init__(self, s3_client: MagicMock, dynamodb_client: MagicMock) -> None:
        self.bucket = Bucket(s3_client)
        self.put = self.bucket.put
        self.s3_client = s3_client
        self.dynamodb_client = dynamodb_client
        self.record: dict[str, Any] | None = None
        self.writes: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any] | None] = []
        self.reads = 0
        dynamodb_client.get_item.side_effect = self._get_item
        dynamodb_client.update_item.side_effect = self._update_item
        self.table = RunTable("table", dynamodb_client)
        self.recorder = Recorder(load_settings(), S3(s3_client), self.table)

    def handle(self, **event: Any) -> Result:
        """Handle the creation of the run's metadata.json."""
        return self.recorder.handle(self.event(**event))

    @staticmethod
    def event(**fields: Any) -> ObjectEvent:
        """Return the event of the creation of the run's metadata.json; without any order."""
        return ObjectEvent(**{"bucket": BUCKET, "key": KEY, "run": RUN, "created": True, **fields})

    def show(self, version_id: str | None = None, status: str = "recorded", **attributes: Any) -> dict[str, Any]:
        """Let the record show this upload; return the record."""
        self.record = {
            "status": status,
            "etag": f"etag of {version_id}",
            "version_id": version_id,
            "uploaded_at": "2026-11-20T08:30:00Z",
            "recorded_at": "2026-11-20T08:30:01.000000Z",
            **attributes,
        }
        self.record = {name: value for name, value in self.record.items() if value is not None}
        return self.record

    @property
    def written(self) -> dict[str, Any]:
        """The attributes that the last write sets, as plain values; None for those that it removes."""
        request = self.writes[-1]
        sets, _, removes = request["UpdateExpression"].partition(" REMOVE ")
        values = request["ExpressionAttributeValues"]
        assignments = dict(term.split(" = ", 1) for term in sets.removeprefix("SET ").split(", #"))
        plain = {
            name.removeprefix("#"): TypeDeserializer().deserialize(values[value])
            for name, value in assignments.items()
            if value in values
        }
        return plain | dict.fromkeys(name.removeprefix("#") for name in removes.split(", ") if name)

    @property
    def condition(self) -> str:
        """The condition of the last write."""
        condition: str = self.writes[-1]["ConditionExpression"]
        return condition

    def _get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> dict[str, Any]:  # noqa: N803
        assert (TableName, ConsistentRead) == ("table", True)
        assert set(Key) == {"organisation_id", "run_id"}
        self.reads += 1
        return {"Item": item_of(self.record)} if self.record else {}

    def _update_item(self, **request: Any) -> dict[str, Any]:
        self.writes.append(request)
        refused = self.refusals.pop(0) if self.refusals else None
        if refused is None:
            return {}
        raise error("ConditionalCheckFailedException", **({"Item": item_of(refused)} if refused else {}))


def item_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as DynamoDB's low-level API spells it."""
    return {name: serialize(value) for name, value in record.items()}


def _headers(version: Version) -> dict[str, Any]:
    named = {"VersionId": version.version_id} if version.version_id else {}
    return {
        "ContentLength": len(version.body or b""),
        "ETag": f'"{version.etag}"',
        "LastModified": version.last_modified,
        **named,
    }
