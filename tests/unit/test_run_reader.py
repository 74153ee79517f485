"""A record as a worker reads it."""

from decimal import Decimal
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError

from run_recorder import AWSCallError, RunReader, RunRecord
from run_recorder.domain import Outcome
from run_recorder.dynamodb_value import deserialize, serialize
from run_recorder.errors import FieldError
from run_recorder.record_state import RECORD_ATTRIBUTES
from tests.support.documents import BAD, document
from tests.support.fake_s3 import client_error
from tests.support.names import TABLE
from tests.support.recorder_bench import RecorderBench

NUMBERS = [0, -1, 10**37, Decimal("0.1"), Decimal("-1.50"), Decimal("1E-130"), Decimal("9.99E+125")]


@pytest.fixture
def reader(recorder_bench: RecorderBench) -> RunReader:
    return RunReader(TABLE, recorder_bench.dynamodb_client)


def test_record_has_every_attribute_that_the_function_wrote(recorder_bench: RecorderBench, reader: RunReader) -> None:
    recorder_bench.put(document(name="n", tags={"t": "1"}, parameters={"p": 0.1, "n": 40}), "v1")
    assert recorder_bench.handle(version_id="v1", sequencer="1".zfill(32)).outcome is Outcome.RECORDED
    record = reader.read("acme", "run-0001")
    assert record is not None
    assert record.is_accepted
    assert (record.organisation_id, record.run_id, record.status) == ("acme", "run-0001", "recorded")
    assert (record.version_id, record.etag, record.sequencer) == ("v1", "etag of v1", "1".zfill(32))
    assert (record.name, record.tags, record.created_by) == ("n", {"t": "1"}, None)
    assert record.config is not None
    assert record.config["parameters"] == {"p": Decimal("0.1"), "n": 40}
    assert isinstance(record.config["parameters"]["n"], int)
    assert record.source is not None
    assert record.source["version_id"] == "v1"
    assert (record.errors, record.errors_truncated) == ((), False)
    assert record.recorded_at is not None


def test_rejected_record_has_its_errors_and_no_config(recorder_bench: RecorderBench, reader: RunReader) -> None:
    recorder_bench.put(BAD, "v1")
    recorder_bench.handle(version_id="v1")
    record = reader.read("acme", "run-0001")
    assert record is not None
    assert not record.is_accepted
    assert record.errors == (FieldError("/model", "expected an object, found an integer"),)
    assert (record.config, record.sequencer) == (None, None)


def test_run_without_a_record_is_none(reader: RunReader) -> None:
    assert reader.read("acme", "run-0001") is None


def test_refusal_is_an_error_of_aws(recorder_bench: RecorderBench, reader: RunReader) -> None:
    recorder_bench.dynamodb_client.get_item.side_effect = client_error("AccessDeniedException")
    with pytest.raises(AWSCallError, match="AccessDeniedException") as raised:
        reader.read("acme", "run-0001")
    assert isinstance(raised.value.__cause__, ClientError)


def test_reader_makes_a_client_of_its_own(mocker: Any, dynamodb_client: MagicMock) -> None:
    make_client = mocker.patch("boto3.client", autospec=True, return_value=dynamodb_client)
    dynamodb_client.get_item.return_value = {}
    assert RunReader(TABLE).read("acme", "run-0001") is None
    make_client.assert_called_once_with("dynamodb")
    dynamodb_client.get_item.assert_called_once_with(
        TableName=TABLE,
        Key={"organisation_id": {"S": "acme"}, "run_id": {"S": "run-0001"}},
        ConsistentRead=True,
    )


def test_record_has_a_member_for_each_attribute() -> None:
    assert [*RunRecord.__dataclass_fields__] == list(RECORD_ATTRIBUTES)


def test_attribute_of_a_later_version_is_ignored() -> None:
    item = {**{name: {"S": "x"} for name in ("organisation_id", "run_id", "status")}, "new": {"S": "y"}}
    assert RunRecord.of(item) == RunRecord("x", "x", "x")


@pytest.mark.parametrize(
    "value", ["", "text", True, None, [], {}, [1, [{}]], {"a": {"b": [None, "c"]}}, *NUMBERS], ids=str
)
def test_value_is_read_as_it_was_written(value: Any) -> None:
    read = deserialize(serialize(value))
    assert read == value
    assert type(read) is type(value)
