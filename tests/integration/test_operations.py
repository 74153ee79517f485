"""Alarms, dashboard and their documentation: they agree with each other and with what the code emits."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import pytest

from handler.errors import RunRecorderError
from local.__main__ import choose_handler
from local.pictures import PICTURES, load_dashboard
from local.stack import LocalStack
from ops.__main__ import main
from tests.integration.conftest import EVENTS, GOOD, SAMPLES
from tests.integration.test_template import resolve, statements

ROOT = EVENTS.parent
GUIDE = (ROOT / "docs" / "operations.md").read_text()
STACK = "another-stack"  # so that no name of the local stack can stand in for a reference

Metric = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name, and the dimensions by name."""


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    return resolve({"AlarmEmail": "oncall@example.com"})


@pytest.fixture(scope="module")
def alarms(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.fixture(scope="module")
def widgets() -> list[dict[str, Any]]:
    widgets: list[dict[str, Any]] = load_dashboard()["widgets"]
    return widgets


def metrics_of_alarms(alarms: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    for alarm in alarms.values():
        metrics = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        for metric in metrics or [alarm]:
            dimensions = [(dimension["Name"], name(dimension["Value"])) for dimension in metric["Dimensions"]]
            yield metric["Namespace"], metric["MetricName"], tuple(dimensions)


def metrics_of_dashboard(widgets: list[dict[str, Any]]) -> Iterator[Metric]:
    for widget in widgets:
        for metric in widget["properties"].get("metrics", []):
            namespace, *names = [part for part in metric if isinstance(part, str)] or [None]
            if namespace:
                dimensions = zip(names[1::2], names[2::2], strict=True)
                yield namespace, names[0], tuple((key, name(value)) for key, value in dimensions)


def name(reference: Any) -> str:
    """A reference as a Sub of the template has it, with the stack's name filled in."""
    match reference:
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"{resource}.{attribute}"
        case {"Ref": resource}:
            return name(resource)
    return str(reference).replace("AWS::StackName", STACK)


@pytest.fixture
def emitted(
    stack: LocalStack,
    environment: pytest.MonkeyPatch,
    resources: dict[str, Any],
    notify: Callable[..., Any],
    put_metadata: Callable[..., dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> list[dict[str, Any]]:
    """The lines that the function writes for all sample events and a late one."""
    declared = resources["RecorderFunction"]["Properties"]["Environment"]["Variables"]
    environment.setenv("POWERTOOLS_SERVICE_NAME", name(declared["POWERTOOLS_SERVICE_NAME"]))
    environment.setenv("POWERTOOLS_METRICS_NAMESPACE", declared["POWERTOOLS_METRICS_NAMESPACE"])
    stack.upload_tree(EVENTS / "objects")
    for sample in SAMPLES:
        event = json.loads(sample.read_text())
        with contextlib.suppress(RunRecorderError):
            choose_handler(event)(event, None)
    key = "runs/acme/late/metadata.json"
    older, newer = put_metadata(GOOD, key), put_metadata(GOOD, key)
    for sequencer, uploaded in (("0B", newer), ("0A", older)):
        notify(key=key, sequencer=sequencer, **uploaded)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_alarms_and_dashboard_watch_the_metrics_that_the_function_emits(
    emitted: list[dict[str, Any]], alarms: dict[str, Any], widgets: list[dict[str, Any]]
) -> None:
    written = {
        (directive["Namespace"], metric["Name"], tuple((key, line[key]) for key in dimensions))
        for line in emitted
        if "_aws" in line
        for directive in line["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        for dimensions in directive["Dimensions"]
    }
    shown, alarmed = (
        {metric for metric in metrics if not metric[0].startswith("AWS/")}
        for metrics in (metrics_of_dashboard(widgets), metrics_of_alarms(alarms))
    )
    assert shown == written
    assert {metric_name for _, metric_name, _ in alarmed} == {"FailedEvents", "RunsRecorded", "RunsRejected"}
    assert alarmed < written


def test_queries_find_what_the_function_logs(emitted: list[dict[str, Any]], widgets: list[dict[str, Any]]) -> None:
    lines = [line for line in emitted if "_aws" not in line]
    for outcome, columns in {
        "rejected": {"organisation_id", "run_id", "message", "outcome"},
        "failed": {"reason", "key", "message_id", "outcome"},
    }.items():
        (query,) = [query for query in queries(widgets) if f"outcome = '{outcome}'" in query]
        found = [line for line in lines if line["outcome"] == outcome]
        if sentence := re.search(r"message = '(.*?)'", query):
            found = [line for line in found if line["message"] == sentence[1]]
        assert found
        assert columns <= set(re.findall(r"@?\w+", query))
        assert columns - {"key"} <= {field for line in found for field in line}


def queries(widgets: list[dict[str, Any]]) -> list[str]:
    found = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    assert all(query.startswith("SOURCE 'RecorderLogs' | ") for query in found)
    return found


def test_aws_metrics_are_of_the_stacks_own_resources(
    resources: dict[str, Any], alarms: dict[str, Any], widgets: list[dict[str, Any]]
) -> None:
    kinds = {
        "AWS/SQS": ("QueueName", "AWS::SQS::Queue", ".QueueName"),
        "AWS/Lambda": ("FunctionName", "AWS::Lambda::Function", ""),
        "AWS/DynamoDB": ("TableName", "AWS::DynamoDB::Table", ""),
    }
    watched = {metric for metrics in (metrics_of_alarms(alarms), metrics_of_dashboard(widgets)) for metric in metrics}
    for namespace, _, ((dimension, value), *_) in (metric for metric in watched if metric[0].startswith("AWS/")):
        expected, kind, attribute = kinds[namespace]
        assert dimension == expected
        assert value.endswith(attribute)
        assert resources[value.removesuffix(attribute)]["Type"] == kind


def test_alarms_watch_what_the_dead_letters_the_queue_and_the_functions_tell(alarms: dict[str, Any]) -> None:
    watched = {
        alarm: (properties["MetricName"], name(properties["Dimensions"][0]["Value"]), properties["Threshold"])
        for alarm, properties in alarms.items()
        if "MetricName" in properties
    }
    assert watched == {
        "DeadLetterQueueNotEmpty": ("ApproximateNumberOfMessagesVisible", "DeadLetterQueue.QueueName", 0),
        "UploadsWaitTooLong": ("ApproximateAgeOfOldestMessage", "UploadsQueue.QueueName", 1200),
        "UploadsFail": ("FailedEvents", STACK, 10),
        "RecorderErrors": ("Errors", "RecorderFunction", 0),
        "BackfillErrors": ("Errors", "BackfillFunction", 0),
        "RecorderThrottled": ("Throttles", "RecorderFunction", 0),
        "EventsNotDelivered": ("ApproximateNumberOfMessagesVisible", "UndeliveredEventsQueue.QueueName", 0),
    }
    assert {properties["TreatMissingData"] for properties in alarms.values()} == {"notBreaching"}


def test_message_that_fails_alone_does_not_count_as_waiting_too_long(
    resources: dict[str, Any], alarms: dict[str, Any]
) -> None:
    """SQS leaves it out of the age from its fourth delivery on."""
    hidden = resources["UploadsQueue"]["Properties"]["VisibilityTimeout"]
    assert alarms["UploadsWaitTooLong"]["Threshold"] > 3 * hidden


@pytest.mark.parametrize(
    ("recorded", "rejected", "alarmed"),
    [
        (None, None, False),
        (1, 1, False),
        (0, 9, False),
        (None, 10, True),
        (8, 2, False),
        (7, 3, True),
        (1000, None, False),
        (700, 300, True),
    ],
)
def test_share_of_rejected_runs_alarms_from_ten_runs_on(
    alarms: dict[str, Any], recorded: int | None, rejected: int | None, alarmed: bool
) -> None:
    """Computes the alarm's metric math for one hour; None is an hour without data of that metric."""
    alarm = alarms["RunsRejected"]
    functions = {
        "FILL": lambda value, filling: filling if value is None else value,
        "IF": lambda condition, yes, no: yes if condition else no,
    }
    values: dict[str, Any] = {"recorded": recorded, "rejected": rejected}
    for query in alarm["Metrics"]:
        if "Expression" in query:
            # In CloudWatch a division by zero has no value, here it is left to IF not to use it.
            expression = query["Expression"].replace("/ runs", "/ max(runs, 1)")
            values[query["Id"]] = eval(expression, {**functions, "max": max}, values)  # noqa: S307 - from the template
        else:
            assert query["MetricStat"]["Metric"]["MetricName"] == f"Runs{query['Id'].title()}"
            assert (query["MetricStat"]["Stat"], query["MetricStat"]["Period"]) == ("Sum", 3600)
    (returned,) = [query["Id"] for query in alarm["Metrics"] if query.get("ReturnData", True)]
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert (values[returned] > alarm["Threshold"]) is alarmed


def test_alarms_mail_when_they_begin_and_end_if_there_is_an_address(
    resources: dict[str, Any], alarms: dict[str, Any]
) -> None:
    for properties in alarms.values():
        assert properties["AlarmActions"] == properties["OKActions"] == [{"Ref": "AlarmTopic"}]
    topic = resources["AlarmTopic"]["Properties"]
    assert topic == {"Subscription": [{"Protocol": "email", "Endpoint": "oncall@example.com"}]}


def test_alarms_are_there_without_an_address(alarms: dict[str, Any]) -> None:
    silent = resolve({})
    assert {"AlarmTopic", "AlarmTopicPolicy"}.isdisjoint(silent)
    for alarm in alarms:
        assert silent[alarm]["Properties"].keys().isdisjoint({"AlarmActions", "OKActions"})


def test_only_the_stacks_alarms_may_publish_to_the_topic(resources: dict[str, Any], alarms: dict[str, Any]) -> None:
    policy = statements(resources["AlarmTopicPolicy"]["Properties"])
    assert policy["AllowAlarms"]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    condition = policy["AllowAlarms"]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    allowed = condition["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert allowed.endswith(":alarm:${AWS::StackName}-*")
    for alarm, properties in alarms.items():
        assert properties["AlarmName"] == {"Fn::Sub": f"${{AWS::StackName}}-{alarm}"}
    assert policy["DenyInsecureTransport"]["Effect"] == "Deny"


def test_every_alarm_has_its_paragraph_and_links_to_it(alarms: dict[str, Any]) -> None:
    paragraphs = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", GUIDE, re.DOTALL | re.MULTILINE))
    assert paragraphs.keys() == alarms.keys()
    for alarm, properties in alarms.items():
        assert re.findall(r"^\*\*(\w+)\.\*\* \S", paragraphs[alarm], re.MULTILINE) == ["Means", "Look", "Do"]
        assert properties["AlarmDescription"].endswith(f". docs/operations.md#{alarm.lower()}")


def test_links_between_paragraphs_lead_somewhere() -> None:
    headings = {heading.lower() for heading in re.findall(r"^### (.+)", GUIDE, re.MULTILINE)}
    for guide in (GUIDE, (ROOT / "docs" / "events.md").read_text()):
        assert set(re.findall(r"\((?:operations\.md)?#(\w+)\)", guide)) <= headings


def test_commands_of_the_guides_are_those_that_there_are() -> None:
    texts = [(EVENTS.parent / name).read_text() for name in ("README.md", "docs/operations.md", "docs/events.md")]
    lines = [line for text in texts for line in re.findall(r"(?:-m |`)ops (\S[^`#\n]*)", text)]
    assert len(lines) > 10
    for line in lines:
        name, *arguments = line.split()
        command = main.commands[name]
        command.make_parser(click.Context(command)).parse_args(arguments)


def test_dashboard_shows_every_alarm(alarms: dict[str, Any], widgets: list[dict[str, Any]]) -> None:
    (widget,) = [widget for widget in widgets if widget["type"] == "alarm"]
    assert widget["properties"]["alarms"] == [f"{alarm}.Arn" for alarm in alarms]


def test_widgets_fill_the_grid_without_overlap(widgets: list[dict[str, Any]]) -> None:
    cells = [
        (column, row)
        for widget in widgets
        for column in range(widget["x"], widget["x"] + widget["width"])
        for row in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert set(cells) == {(column, row) for column in range(24) for row in range(max(cell[1] for cell in cells) + 1)}
    assert len({widget["properties"]["title"] for widget in widgets}) == len(widgets)
    assert all(upper["y"] <= lower["y"] for upper, lower in combinations(widgets, 2))


def test_dashboard_marks_the_thresholds_of_the_alarms(alarms: dict[str, Any], widgets: list[dict[str, Any]]) -> None:
    marks = {
        widget["properties"]["title"]: mark["value"]
        for widget in widgets
        for mark in widget["properties"].get("annotations", {}).get("horizontal", [])
    }
    assert marks == {
        "Rejected runs, % an hour": alarms["RunsRejected"]["Threshold"],
        "Age of the oldest upload in the queue, s": alarms["UploadsWaitTooLong"]["Threshold"],
        "Invocations at once": 50,
    }


def test_pictures_show_what_there_is(tmp_path: Path) -> None:
    """`make pictures` draws them anew."""
    subprocess.run([sys.executable, "-m", "local.pictures", str(tmp_path)], cwd=ROOT, check=True)  # noqa: S603
    drawn = {picture.name: picture.read_text() for picture in tmp_path.iterdir()}
    assert drawn == {picture.name: picture.read_text() for picture in PICTURES.iterdir()}
