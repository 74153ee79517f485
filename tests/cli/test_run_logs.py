"""`run-recorder show --logs`: the function's log lines about a run."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from run_recorder.domain import Outcome
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")

LINE = {
    "level": "ERROR", "message": "Run upload handled", "organisation_id": "logged", "run_id": "r", "outcome": "failed",
    "reason": "S3 said \x1b[2J", "version_id": "v1", "message_id": "m1", "receive_count": 3,
    "function_request_id": "q1",
}  # fmt: skip


@pytest.fixture
def logs(stub_client: Callable[[str], Stubber], record_run: Callable[..., Outcome]) -> Callable[..., Stubber]:
    """Record the run, and answer FilterLogEvents with these pages of messages."""
    record_run("logged", "r")
    resources = boto3.client("cloudformation").list_stack_resources(StackName="run-recorder")
    (group,) = [
        each["PhysicalResourceId"]
        for each in resources["StackResourceSummaries"]
        if each["LogicalResourceId"] == "RecorderLogs"
    ]
    stub = stub_client("logs")

    def answer(*pages: list[str], since: object = ANY) -> Stubber:
        for number, messages in enumerate(pages):
            expected: dict[str, Any] = {
                "logGroupName": group,
                "startTime": since,
                "filterPattern": '{ $.organisation_id = "logged" && $.run_id = "r" }',
            }
            if number:
                expected["nextToken"] = f"page {number}"
            more = {"nextToken": f"page {number + 1}"} if number + 1 < len(pages) else {}
            events = [{"timestamp": 1795854600123 + number, "message": message} for message in messages]
            stub.add_response("filter_log_events", {"events": events, **more}, expected)
        return stub

    return answer


def test_lines_of_a_run_are_shown_oldest_first_also_after_empty_pages(logs: Callable[..., Stubber]) -> None:
    stub = logs([json.dumps(LINE)], [], ["not JSON\n"])
    output = run_command("show", "logged/r", "--logs").stdout.splitlines()
    assert output[0] == "logged/r: recorded"
    assert output[output.index("") + 1 :] == [
        "2026-11-28T08:30:00.123Z  failed",
        r"    'S3 said \x1b[2J'",
        "    version_id v1, message_id m1, receive_count 3, function_request_id q1",
        "2026-11-28T08:30:00.125Z  not JSON",
    ]
    stub.assert_no_pending_responses()


def test_logs_are_part_of_the_json_document(logs: Callable[..., Stubber]) -> None:
    logs([json.dumps(LINE)])
    (line,) = json.loads(run_command("show", "logged/r", "--logs", "--json").stdout)["logs"]
    assert line == {**LINE, "time": "2026-11-28T08:30:00.123Z"}


def test_since_is_the_begin_of_the_search(logs: Callable[..., Stubber]) -> None:
    logs([], since=int(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1000))
    result = run_command("show", "logged/r", "--logs", "--since", "2026-11-20")
    assert "the log has no line about this run since then" in result.stderr


def test_logs_of_the_last_day_are_searched_by_default(logs: Callable[..., Stubber]) -> None:
    stub = logs([])
    day_before = datetime.now(UTC) - timedelta(days=1)
    asked: list[int] = []
    stub.client.meta.events.register("provide-client-params", lambda params, **_: asked.append(params["startTime"]))
    assert run_command("show", "logged/r", "--logs").exit_code == 0
    assert abs(asked[0] / 1000 - day_before.timestamp()) < 60
