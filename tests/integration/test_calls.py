"""How many calls to AWS an upload takes: each is time, and money."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from local.stack import LocalStack

SEQUENCER = "0055AED6DCD90281E5"


@pytest.fixture
def session(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> boto3.Session:  # noqa: ARG001
    """The session of which the function makes its clients."""
    session = boto3.Session()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return session


@pytest.fixture
def calls(session: boto3.Session) -> list[str]:
    """The operations that the function calls, in their order."""
    made: list[str] = []
    session.events.register("provide-client-params", lambda model, **_: made.append(model.name))
    return made


def test_sequenced_upload_takes_one_read_and_one_write(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    uploaded = put_metadata()
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "UpdateItem"]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(b"{}", "rejected"), (b'{"model": {"name": "m", "version": "1"}, "tags": {"a": "b"}}', "recorded")],
)
def test_repeated_upload_takes_no_more(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any], body: bytes, outcome: str
) -> None:
    uploaded = put_metadata(body)
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == outcome
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "duplicate"
    assert notify(sequencer="0055", **uploaded)["outcome"] == "stale"
    assert calls == ["GetObject", "UpdateItem"] * 2


def test_unsequenced_upload_reads_the_record_first(
    put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    uploaded = put_metadata()
    calls.clear()
    assert notify(**uploaded)["outcome"] == "recorded"
    assert calls == ["GetItem", "GetObject", "UpdateItem"]


def test_declared_files_take_one_listing(
    stack: LocalStack, put_metadata: Callable[..., Any], calls: list[str], notify: Callable[..., Any]
) -> None:
    for name in ("a.csv", "b.csv"):
        stack.s3.put_object(Bucket=stack.outputs["RunsBucket"], Key=f"runs/acme/run-0001/{name}", Body=b"1")
    files = b'"files": [{"path": "a.csv"}, {"path": "b.csv", "size": 1}]'
    uploaded = put_metadata(b'{"model": {"name": "m", "version": "1"}, ' + files + b"}")
    calls.clear()
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert calls == ["GetObject", "ListObjectsV2", "UpdateItem"]


def test_other_objects_take_no_call(calls: list[str], notify: Callable[..., Any]) -> None:
    assert notify(key="runs/acme/run-0001/readings.csv")["outcome"] == "ignored"
    assert calls == []


def test_calls_name_their_caller(
    put_metadata: Callable[..., Any], session: boto3.Session, notify: Callable[..., Any]
) -> None:
    """CloudTrail and access logs show it, and boto3's version, by which AWS tells who has to upgrade."""
    uploaded = put_metadata()
    agents: list[bytes] = []
    session.events.register_first("before-send", lambda request, **_: agents.append(request.headers["User-Agent"]))
    assert notify(sequencer=SEQUENCER, **uploaded)["outcome"] == "recorded"
    assert len(agents) == 2
    assert all(agent.decode().startswith(f"run-recorder Boto3/{boto3.__version__}") for agent in agents)
