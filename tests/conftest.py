"""Fixtures of all suites."""

import concurrent.futures
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from typing import Any

import botocore.loaders
import pytest
from hypothesis import HealthCheck, settings

from handler import app
from run_recorder.domain import Run
from tests.support import events
from tests.support.events import Event
from tests.support.names import ENVIRONMENT

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}

# A busy machine must not fail an example, or its generation, as too slow.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", settings.get_profile("any speed"), derandomize=True, max_examples=50)
settings.register_profile("soak", settings.get_profile("any speed"), max_examples=2000)
settings.load_profile("default")  # unless --hypothesis-profile names another


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how much the tests tried: the sums of the values that they gave to ``record_property``."""
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


@pytest.fixture(scope="session", autouse=True)
def _shared_loader() -> Iterator[None]:
    """Load botocore's data once for all sessions, which takes most of the time of creating a client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", functools.cache(botocore.loaders.create_loader))
        yield


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The function's environment in production, without a default model; AWS is fake."""
    optional = ["DEVELOPMENT", "MODEL_NAME", "MODEL_VERSION", "MODEL_PARAMETERS"]
    optional += ["UPLOADS_QUEUE_URL", "FILES_WAIT_SECONDS", "AWS_PROFILE", "AWS_ENDPOINT_URL"]
    for name in optional:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**CREDENTIALS, **ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    app._connect.cache_clear()  # noqa: SLF001 - clients of another test must not serve this one
    yield monkeypatch
    app._connect.cache_clear()  # noqa: SLF001


@pytest.fixture
def time_runs_out_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """End an invocation's time when all uploads but one, which hangs, are handled, however long they take."""

    def wait(handled: Collection[Future[Any]], timeout: float | None) -> Any:
        if timeout is None:
            return concurrent.futures.wait(handled)
        for _ in itertools.islice(concurrent.futures.as_completed(handled), len(handled) - 1):
            pass
        return concurrent.futures.wait(handled, timeout=0)

    monkeypatch.setattr("handler.dispatcher.wait", wait)


@pytest.fixture
def s3_record() -> Callable[..., Event]:
    return events.s3_record
