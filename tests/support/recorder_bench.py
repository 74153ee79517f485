"""The world of the tests of recording: a bucket and a table behind mocked clients, and a recorder between them."""

from typing import Any
from unittest.mock import MagicMock

from boto3.dynamodb.types import TypeDeserializer

from run_recorder.config import load_settings
from run_recorder.domain import ObjectEvent
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.verdict import Result
from tests.support.fake_s3 import FakeS3
from tests.support.fake_table import FakeTable, item_of, parse_update
from tests.support.names import BUCKET, KEY, RUN, TABLE


class RecorderBench:
    """A recorder, and the bucket and the table that it works on.

    The table does not evaluate conditions: a test states which writes are refused, and checks
    the condition where it matters.

    Attributes:
        bucket: the bucket of runs.
        put: stores a version of the run's metadata.json.
        records: the table's items, reads, writes and refusals.
        table: the table as the recorder sees it.
    """

    def __init__(self, s3_client: MagicMock, dynamodb_client: MagicMock) -> None:
        self.s3_client = s3_client
        self.dynamodb_client = dynamodb_client
        self.bucket = FakeS3().answer(s3_client)
        self.put = self.bucket.put
        self.records = FakeTable().answer(dynamodb_client)
        self.table = RunTable(TABLE, dynamodb_client)
        self.recorder = Recorder(load_settings(), S3(s3_client), self.table)

    def handle(self, **event: Any) -> Result:
        """Handle the creation of the run's metadata.json."""
        return self.recorder.handle(self.event(**event))

    @staticmethod
    def event(**fields: Any) -> ObjectEvent:
        """Return the event of the creation of the run's metadata.json; without any order."""
        return ObjectEvent(**{"bucket": BUCKET, "key": KEY, "run": RUN, "created": True, **fields})

    def show(self, version_id: str | None = None, **attributes: Any) -> dict[str, Any]:
        """Store a record that shows this upload; return it as plain values, without those that are None."""
        shown = {
            "status": "recorded",
            "etag": f"etag of {version_id}",
            "version_id": version_id,
            "uploaded_at": "2026-11-20T08:30:00Z",
            "recorded_at": "2026-11-20T08:30:01.000000Z",
            **attributes,
        }
        record = {name: value for name, value in shown.items() if value is not None}
        self.records.items[RUN] = item_of(record)
        return record

    def refuse(self, *records: dict[str, Any] | None) -> None:
        """Refuse the next writes by these records; see `FakeTable`."""
        self.records.refusals = [*records]

    @property
    def reads(self) -> int:
        """How often the record was read."""
        return self.records.reads

    @property
    def writes(self) -> list[dict[str, Any]]:
        """The requests of all UpdateItem calls."""
        return self.records.writes

    @property
    def written(self) -> dict[str, Any]:
        """The attributes that the last write sets, as plain values; None for those that it removes."""
        return {
            name: value and TypeDeserializer().deserialize(value)
            for name, value in parse_update(self.writes[-1]).items()
        }

    @property
    def condition(self) -> str:
        """The condition of the last write."""
        condition: str = self.writes[-1]["ConditionExpression"]
        return condition
