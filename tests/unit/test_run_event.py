"""The events of runs, as a worker gets them; tests/infrastructure/test_run_events.py compares them with the schema."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from run_recorder import Model, Run, RunEvent, UnknownEventError

RECORDED: dict[str, Any] = {
    "version": "0",
    "source": "run-recorder",
    "detail-type": "Run Recorded",
    "resources": ["arn:aws:dynamodb:eu-west-1:123456789012:table/records"],
    "detail": {
        "organisation_id": "acme",
        "run_id": "run-0001",
        "status": "recorded",
        "recorded_at": "2026-11-20T08:30:02.481935Z",
        "sequence_number": "202328600001712385967261751",
        "upload": {
            "bucket": "runs",
            "key": "runs/acme/run-0001/metadata.json",
            "etag": "b21b84d653bb07b05b1e6b33684dc11b",
            "uploaded_at": "2026-11-20T08:30:00Z",
        },
        "config_sha256": "d1" * 32,
        "config": {
            "environment": "production",
            "model": {"name": {"S": 'a "b" \\'}, "version": {"S": "2.1.0"}},
            "input": "s3://runs/runs/acme/run-0001/",
            "output": "s3://results/results/acme/run-0001/",
        },
    },
}
REJECTED = copy.deepcopy(RECORDED) | {"detail-type": "Run Rejected"}
REJECTED["detail"]["status"] = "rejected"
del REJECTED["detail"]["config"], REJECTED["detail"]["config_sha256"]


def find_leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from find_leaves(member, (*path, name))
    else:
        yield path


def without(event: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(event)
    parent: Any = changed
    for name in path[:-1]:
        parent = parent[name]
    del parent[path[-1]]
    return changed


def test_event_of_a_recorded_run_has_its_config() -> None:
    event = RunEvent.parse(RECORDED)
    assert (event.run, event.is_recorded) == (Run("acme", "run-0001"), True)
    assert event.sequence_number == 202328600001712385967261751
    assert (event.recorded_at, event.uploaded_at) == ("2026-11-20T08:30:02.481935Z", "2026-11-20T08:30:00Z")
    assert (event.bucket, event.key, event.etag) == (
        "runs", "runs/acme/run-0001/metadata.json", "b21b84d653bb07b05b1e6b33684dc11b",
    )  # fmt: skip
    assert event.config is not None
    assert (event.config.sha256, event.config.environment) == ("d1" * 32, "production")
    assert event.config.model == Model('a "b" \\', "2.1.0")
    assert (event.config.input, event.config.output) == (
        "s3://runs/runs/acme/run-0001/", "s3://results/results/acme/run-0001/",
    )  # fmt: skip


def test_event_of_a_rejected_run_has_no_config() -> None:
    event = RunEvent.parse(REJECTED)
    assert (event.is_recorded, event.config) == (False, None)


@pytest.mark.parametrize(
    "event",
    [
        json.dumps(RECORDED),
        {"eventSource": "aws:sqs", "messageId": "1", "body": json.dumps(RECORDED)},
        {"MessageId": "1", "ReceiptHandle": "r", "Body": json.dumps(RECORDED)},
    ],
    ids=["text", "SQS record of Lambda", "message of ReceiveMessage"],
)
def test_event_may_be_in_sqs(event: Any) -> None:
    assert RunEvent.parse(event) == RunEvent.parse(RECORDED)


def test_unknown_fields_are_ignored() -> None:
    event = copy.deepcopy(RECORDED) | {"new": 1}
    event["detail"]["new"] = event["detail"]["upload"]["new"] = {"a": 1}
    assert RunEvent.parse(event) == RunEvent.parse(RECORDED)


@pytest.mark.parametrize("event", [RECORDED, REJECTED], ids=["recorded", "rejected"])
def test_field_that_is_missing_is_named(event: dict[str, Any]) -> None:
    for path in find_leaves(event["detail"]):
        incomplete = without(event, ("detail", *path))
        with pytest.raises(UnknownEventError, match=rf"no text at detail\.{'.'.join(path)}$"):
            RunEvent.parse(incomplete)


def test_all_missing_fields_are_named_at_once() -> None:
    event = without(without(RECORDED, ("detail", "run_id")), ("detail", "config"))
    with pytest.raises(UnknownEventError) as raised:
        RunEvent.parse(event)
    assert str(raised.value) == (
        "not an event of a run: no text at detail.run_id, detail.config.environment, detail.config.input, "
        "detail.config.output, detail.config.model.name.S, detail.config.model.version.S"
    )


@pytest.mark.parametrize(
    "change", [{"sequence_number": "7a"}, {"status": "pending"}, {"organisation_id": 7}, {"upload": []}], ids=str
)
def test_field_of_another_form_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventError, match="not an event of a run"):
        RunEvent.parse({**RECORDED, "detail": RECORDED["detail"] | change})


@pytest.mark.parametrize(
    "event",
    [{}, [], None, "no JSON", {**RECORDED, "detail-type": "Object Created"}, {**RECORDED, "detail": 1}],
    ids=str,
)
def test_another_event_is_an_error(event: Any) -> None:
    with pytest.raises(UnknownEventError):
        RunEvent.parse(event)
