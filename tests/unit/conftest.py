"""boto3's clients, mocked after their real signatures."""

import io
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, Literal
from unittest.mock import MagicMock

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from pytest_mock import MockerFixture

from run_recorder import waiting
from tests.support import fake_s3
from tests.support.names import UPLOADED_AT
from tests.support.recorder_bench import RecorderBench

Service = Literal["s3", "dynamodb", "sqs"]
MockClient = Callable[[Service], MagicMock]


# To create the mock of a client takes longer than most tests, so that the tests share one a service.
@pytest.fixture(scope="session")
def _mock_client(session_mocker: MockerFixture) -> MockClient:
    """Return the mock of a service's client, without the calls and the answers of the test before."""

    @cache
    def create(service: Service) -> MagicMock:
        mock: MagicMock = session_mocker.create_autospec(boto3.client(service), instance=True)
        return mock

    def mock_client(service: Service) -> MagicMock:
        mock = create(service)
        mock.reset_mock(return_value=True, side_effect=True)
        return mock

    return mock_client


@pytest.fixture
def s3_client(_mock_client: MockClient) -> MagicMock:
    return _mock_client("s3")


@pytest.fixture
def dynamodb_client(_mock_client: MockClient) -> MagicMock:
    return _mock_client("dynamodb")


@pytest.fixture
def sqs_client(_mock_client: MockClient) -> MagicMock:
    mock = _mock_client("sqs")
    mock.send_message.return_value = {"MessageId": "1"}
    return mock


@pytest.fixture
def get_object_response() -> Callable[..., dict[str, Any]]:
    """Make the response of GetObject."""

    def make(body: bytes = b"{}", **fields: Any) -> dict[str, Any]:
        return {
            "Body": StreamingBody(io.BytesIO(body), len(body)),
            "ContentLength": len(body),
            "ETag": '"etag"',
            "LastModified": UPLOADED_AT,
            **fields,
        }

    return make


@pytest.fixture
def client_error() -> Callable[..., ClientError]:
    return fake_s3.client_error


@pytest.fixture
def set_age(mocker: MockerFixture) -> Callable[[float], None]:
    """Set the clock so many seconds after the uploads."""
    clock = mocker.patch.object(waiting, "datetime", autospec=True)

    def set_age(seconds: float) -> None:
        clock.now.return_value = UPLOADED_AT + timedelta(seconds=seconds)

    return set_age


@pytest.fixture
def recorder_bench(s3_client: MagicMock, dynamodb_client: MagicMock) -> RecorderBench:
    """A recorder between a bucket and a table, both empty."""
    return RecorderBench(s3_client, dynamodb_client)
