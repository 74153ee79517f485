"""One slow dependency cannot eat the invocation."""

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handler import app
from handler.app import lambda_handler
from local.show import plain
from local.stack import LocalStack
from local.template import translate
from tests.support.events import TEST_EVENT, notification, s3_record, sqs_event


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("service", ["S3", "DYNAMODB"])
def test_invocation_ends_in_its_time_although_a_service_hangs(
    stack: LocalStack,
    put_metadata: Callable[..., dict[str, str]],
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    silent_server: str,
    service: str,
) -> None:
    hanging = notification(s3_record(sequencer="5", **put_metadata()))
    event = sqs_event(hanging, TEST_EVENT, hanging)
    environment.setenv(f"AWS_ENDPOINT_URL_{service}", silent_server)
    answer = lambda_handler(event, SimpleNamespace(get_remaining_time_in_millis=lambda: 1500))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}, {"itemIdentifier": "2"}]}
    # Without a limit, both fail too, by the clients' time-outs.
    assert capsys.readouterr().out.count("the invocation's time ran out") == 2
    assert stack.records() == []

    environment.delenv(f"AWS_ENDPOINT_URL_{service}")
    assert lambda_handler(event, None) == {"batchItemFailures": []}
    assert [record["status"] for record in map(plain, stack.records())] == ["recorded"]


def test_a_read_and_a_write_that_hang_at_every_attempt_fit_into_an_invocation() -> None:
    config: Any = app._CLIENT_CONFIG  # noqa: SLF001
    longest_backoff = 1 + 2  # seconds, of the SDK's standard mode between three attempts
    attempts = config.retries["total_max_attempts"]
    longest_call = attempts * (config.connect_timeout + config.read_timeout) + longest_backoff
    resources = translate({})["Resources"]
    timeouts = [r["Properties"]["Timeout"] for r in resources.values() if r["Type"] == "AWS::Lambda::Function"]
    assert attempts == 3
    assert all(2 * longest_call <= timeout * app._SHARE_FOR_UPLOADS for timeout in timeouts)  # noqa: SLF001
    assert len(timeouts) == 2
