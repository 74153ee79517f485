"""Fixtures of all suites."""

import concurrent.futures
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from handler import app
from run_recorder.domain import Run

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "run-recorder-runs"
TABLE = "run-recorder-table"

Event = dict[str, Any]

# A busy machine must not fail an example, or its generation, as too slow.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", settings.get_profile("any speed"), derandomize=True, max_examples=50)
settings.register_profile("soak", settings.get_profile("any speed"), max_examples=2000)
settings.load_profile("default")  # unless --hypothesis-profile names another


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tells how much the tests have tried: the sums of what they handed to ``record_property``."""
    totals = Counter[str]()
    for report in terminalreporter.getreports("passed"):
        for name, count in report.user_properties:
            totals[name] += count
    for name, total in totals.items():
        terminalreporter.write_line(f"{name}: {total:,}")


@pytest.fixture
def organisation_id() -> str:
    return "acme"


@pytest.fixture
def run_id() -> str:
    return "run-0001"


@pytest.fixture
def run(organisation_id: str, run_id: str) -> Run:
    return Run(organisation_id, run_id)


@pytest.fixture
def metadata_key(organisation_id: str, run_id: str) -> str:
    return f"runs/{organisation_id}/{run_id}/metadata.json"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The function's environment in production, without a default model; AWS is fake."""
    variables = {
        **CREDENTIALS,
        "RUNS_BUCKET": BUCKET,
        "RUNS_TABLE": TABLE,
        "OUTPUT_BUCKET": "results",
    }
    for name in ("DEVELOPMENT", "MODEL_NAME", "MODEL_VERSION", "MODEL_PARAMETERS", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    app._connect.cache_clear()  # noqa: SLF001 - clients of another test must not serve this one
    yield monkeypatch
    app._connect.cache_clear()  # noqa: SLF001


@pytest.fixture
def time_runs_out_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends an invocation's time when all uploads but one, which hangs, are handled, however long they take."""

    def wait(handled: Collection[Future[Any]], timeout: float | None) -> Any:
        if timeout is None:
            return concurrent.futures.wait(handled)
        for _ in itertools.islice(concurrent.futures.as_completed(handled), len(handled) - 1):
            pass
        return concurrent.futures.wait(handled, timeout=0)

    monkeypatch.setattr("handler.dispatcher.wait", wait)


@pytest.fixture
def s3_record(metadata_key: str) -> Callable[..., Event]:
    """Makes a record of an S3 notification; ``s3_object`` fields as S3 spells them."""

    def make(
        key: str = metadata_key, bucket: str | None = None, name: str = "ObjectCreated:Put", **s3_object: Any
    ) -> Event:
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-11-20T08:30:00.000Z",
            "eventName": name,
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": bucket or os.environ["RUNS_BUCKET"]},
                "object": {"key": key, **s3_object},
            },
        }

    return make


@pytest.fixture
def sqs_event() -> Callable[..., Event]:
    """Makes an SQS event of these bodies; message ids are "0", "1", and so on."""

    def make(*bodies: Any) -> Event:
        return {
            "Records": [
                {
                    "messageId": str(index),
                    "receiptHandle": "handle",
                    "body": body if isinstance(body, str) else json.dumps(body),
                    "attributes": {"ApproximateReceiveCount": "1"},
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
                    "awsRegion": "us-east-1",
                }
                for index, body in enumerate(bodies)
            ]
        }

    return make
