"""Dashboard, alarms and the commands in the pages agree with each other and with the output of the code."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import click
import pytest

from local.invoke import choose_handler
from local.pictures import PICTURES, load_dashboard
from local.samples import EVENTS, SAMPLES
from local.stack import LocalStack
from run_recorder.cli import main
from run_recorder.errors import RunRecorderError
from tests.support.cloudwatch import Metric, metrics_of, name, read_metrics
from tests.support.documents import GOOD
from tests.support.names import key_of

ROOT = EVENTS.parent


@pytest.fixture(scope="module")
def widgets() -> list[dict[str, Any]]:
    widgets: list[dict[str, Any]] = load_dashboard()["widgets"]
    return widgets


def metrics_of_dashboard(widgets: list[dict[str, Any]]) -> Iterator[Metric]:
    for widget in widgets:
        for metric in widget["properties"].get("metrics", []):
            names = [part for part in metric if isinstance(part, str)]
            if names:
                dimensions = zip(names[2::2], names[3::2], strict=True)
                yield names[0], names[1], tuple((key, name(value)) for key, value in dimensions)


@pytest.fixture
def emitted(
    stack: LocalStack,
    environment: pytest.MonkeyPatch,
    resources: dict[str, Any],
    notify: Callable[..., Any],
    put_metadata: Callable[..., dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> list[dict[str, Any]]:
    """The lines that the function writes for all sample events and a late one, and for a run whose file is late."""
    declared = resources["RecorderFunction"]["Properties"]["Environment"]["Variables"]
    environment.setenv("POWERTOOLS_SERVICE_NAME", name(declared["POWERTOOLS_SERVICE_NAME"]))
    environment.setenv("POWERTOOLS_METRICS_NAMESPACE", declared["POWERTOOLS_METRICS_NAMESPACE"])
    stack.upload_tree(EVENTS / "objects")
    for sample in SAMPLES:
        event = json.loads(sample.read_text())
        with contextlib.suppress(RunRecorderError):
            choose_handler(event)(event, None)
    key = key_of("late")
    older, newer = put_metadata(GOOD, key), put_metadata(GOOD, key)
    for sequencer, uploaded in (("0B", newer), ("0A", older)):
        notify(key=key, sequencer=sequencer, **uploaded)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_alarms_and_dashboard_watch_the_metrics_that_the_function_emits(
    emitted: list[dict[str, Any]], alarms: dict[str, Any], widgets: list[dict[str, Any]]
) -> None:
    written = {metric for line in emitted for metric, _ in read_metrics(line)}
    shown, alarmed = (
        {metric for metric in metrics if not metric[0].startswith("AWS/")}
        for metrics in (metrics_of_dashboard(widgets), chain(*map(metrics_of, alarms.values())))
    )
    assert shown == written
    assert {metric_name for _, metric_name, _ in alarmed} == {"FailedEvents", "RunsRecorded", "RunsRejected"}
    assert alarmed < written


def test_queries_find_what_the_function_logs(emitted: list[dict[str, Any]], widgets: list[dict[str, Any]]) -> None:
    lines = [line for line in emitted if "_aws" not in line]
    of_the_log = [query for query in queries(widgets) if "outcome = " in query]
    expected = [
        {"organisation_id", "run_id", "message", "outcome"},
        {"reason", "key", "message_id", "outcome"},
        {"reason", "outcome"},
    ]
    for query, columns in zip(of_the_log, expected, strict=True):
        wanted = dict(re.findall(r"(\w+) = '(.*?)'", query))
        found = [line for line in lines if wanted.items() <= line.items()]
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
    watched = {
        metric
        for metrics in (chain(*map(metrics_of, alarms.values())), metrics_of_dashboard(widgets))
        for metric in metrics
    }
    for namespace, _, ((dimension, value), *_) in (metric for metric in watched if metric[0].startswith("AWS/")):
        expected, kind, attribute = kinds[namespace]
        assert dimension == expected
        assert value.endswith(attribute)
        assert resources[value.removesuffix(attribute)]["Type"] == kind


def test_commands_of_the_guides_exist() -> None:
    texts = [
        (ROOT / name).read_text() for name in ("README.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")))
    ]
    lines = [
        line for text in texts for line in re.findall(r"(?:^|`|/)run-recorder ([a-z][^`#|\n…]*)", text, re.MULTILINE)
    ]
    assert len(lines) > 10
    for line in lines:
        command: click.Command = main
        arguments = line.split()
        while isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
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
    """If the test fails, run `make pictures`."""
    subprocess.run([sys.executable, "-m", "local.pictures", str(tmp_path)], cwd=ROOT, check=True)  # noqa: S603
    drawn = {picture.name: picture.read_text() for picture in tmp_path.iterdir()}
    assert drawn == {picture.name: picture.read_text() for picture in PICTURES.iterdir()}
