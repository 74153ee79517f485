"""Putting a message back, over a mocked client of SQS."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.config import Config
from botocore.exceptions import NoRegionError
from botocore.parsers import ResponseParserError
from pytest_mock import MockerFixture

from run_recorder.errors import AWSCallError
from run_recorder.queue import UploadsQueue
from tests.support.fake_s3 import client_error

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/uploads"


def test_message_is_sent_as_it_was_received(sqs_client: MagicMock) -> None:
    UploadsQueue(URL, sqs_client).put_back('{"Records": ["ü"]}', 60)
    sqs_client.send_message.assert_called_once_with(QueueUrl=URL, MessageBody='{"Records": ["ü"]}', DelaySeconds=60)


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDenied"),
        NoRegionError(),
        ResponseParserError("…"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "…"),
    ],
)
def test_error_of_the_call_is_an_error_of_aws(sqs_client: MagicMock, error: Exception) -> None:
    sqs_client.send_message.side_effect = error
    with pytest.raises(AWSCallError, match=r"^putting the message back into the queue failed: ") as raised:
        UploadsQueue(URL, sqs_client).put_back("{}", 15)
    assert raised.value.__cause__ is error


def test_answer_without_a_message_id_is_an_error(sqs_client: MagicMock) -> None:
    sqs_client.send_message.return_value = {}
    with pytest.raises(AWSCallError, match="the answer ended early"):
        UploadsQueue(URL, sqs_client).put_back("{}", 15)


def test_client_is_made_when_the_first_message_is_put_back_and_by_one_thread(
    mocker: MockerFixture, sqs_client: MagicMock
) -> None:
    config = Config(read_timeout=7)
    threads = threading.Barrier(8)

    def make(*_: Any, **__: Any) -> MagicMock:
        assert make_client.call_count == 1
        return sqs_client

    make_client = mocker.patch("boto3.client", autospec=True, side_effect=make)
    queue = UploadsQueue(URL, config=config)
    make_client.assert_not_called()

    def put_back(_: int) -> None:
        threads.wait()
        queue.put_back("{}", 15)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put_back, range(8)))
    make_client.assert_called_once_with("sqs", config=config)
    assert sqs_client.send_message.call_count == 8


def test_client_that_could_not_be_made_is_made_at_the_next_message(
    mocker: MockerFixture, sqs_client: MagicMock
) -> None:
    make_client = mocker.patch("boto3.client", autospec=True, side_effect=[NoRegionError(), sqs_client])
    queue = UploadsQueue(URL)
    with pytest.raises(AWSCallError):
        queue.put_back("{}", 15)
    queue.put_back("{}", 15)
    assert make_client.call_count == 2
