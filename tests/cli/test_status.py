"""`run-recorder status`: each line at each of its levels."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

import boto3
import pytest
from pytest_mock import MockerFixture

from local.stack import STACK_NAME, LocalStack
from run_recorder.cli.command import ExitCode
from run_recorder.cli.health import Level
from run_recorder.cli.status import CHECKS
from run_recorder.domain import Outcome
from tests.support.fake_s3 import client_error
from tests.support.stack_fixtures import run_command

WELL, LOOK, WRONG = (level.value for level in Level)
PIPES = {"RunRecordedPipe": ("recorded", "AWS::Pipes::Pipe"), "RunRejectedPipe": ("rejected", "AWS::Pipes::Pipe")}


class StatusBench:
    """The shared stack, with answers in place of those that moto does not give.

    Attributes:
        answers: for each operation of a client what it returns or raises, by its method name.
    """

    def __init__(self, stack: LocalStack, mocker: MockerFixture) -> None:
        self.stack = stack
        self.answers: dict[str, Any] = {
            "list_event_source_mappings": {"EventSourceMappings": [{"State": "Enabled"}]},
            "describe_pipe": {"CurrentState": "RUNNING"},
        }
        mocker.patch("run_recorder.cli.stack.Stack.resources", PIPES)
        boto3.client("cloudwatch").put_metric_alarm(
            AlarmName=f"{STACK_NAME}-UploadsFail",
            Namespace="RunRecorder",
            MetricName="FailedEvents",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        make_client: Any = boto3.Session.client

        def make(session: boto3.Session, service: str, **options: Any) -> Any:
            client = make_client(session, service, **options)
            for method, answer in self.answers.items():
                if hasattr(client, method):
                    effect = answer if isinstance(answer, Exception) else None
                    setattr(client, method, MagicMock(return_value=answer, side_effect=effect))
            return client

        mocker.patch.object(boto3.Session, "client", make)

    def lines(self, *arguments: str) -> dict[str, tuple[str, str]]:
        """Return the level and the text of each line."""
        document = json.loads(run_command("status", "--json", *arguments).stdout)
        assert document["stack"] == STACK_NAME
        return {line["name"]: (line["level"], line["text"]) for line in document["lines"]}


@pytest.fixture
def bench(shared_stack: LocalStack, mocker: MockerFixture) -> StatusBench:
    return StatusBench(shared_stack, mocker)


def test_line_of_each_check_is_well_where_all_is_well(bench: StatusBench, record_run: Callable[..., Outcome]) -> None:
    record_run("status", "run-1")
    queue = bench.stack.event_source.queue_arn
    configuration = {"QueueConfigurations": [{"QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}]}
    bench.answers["get_bucket_notification_configuration"] = configuration
    result = run_command("status")
    assert result.exit_code == ExitCode.SUCCESS, result.output
    lines = bench.lines()
    assert list(lines) == [*(check.__name__.replace("_", " ") for check in CHECKS), "permissions"]
    assert {level for level, _ in lines.values()} == {WELL}, lines
    assert "status/run-1: recorded, 20" in lines["newest record"][1]
    assert len(result.stdout.splitlines()) == len(lines)
    assert max(map(len, result.stdout.splitlines())) < 120


ALARM_IS_RAISED = {"MetricAlarms": [{"AlarmName": f"{STACK_NAME}-UploadsFail", "StateValue": "ALARM"}]}
DESCRIPTION = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [],
    "StreamSpecification": {"StreamViewType": "KEYS_ONLY"},
}


@pytest.mark.parametrize(
    ("name", "answers", "level", "text"),
    [
        ("uploads", {"get_queue_attributes": client_error("QueueDoesNotExist")}, WRONG, "it does not exist"),
        ("delivery", {"get_bucket_notification_configuration": {}}, WRONG, "neither a notification nor a rule"),
        (
            "delivery",
            {
                "get_bucket_notification_configuration": {},
                "list_rule_names_by_target": {"RuleNames": ["r"]},
                "describe_rule": {"State": "ENABLED"},
            },
            WRONG,
            "EventBridge is off for the bucket",
        ),
        (
            "delivery",
            {
                "get_bucket_notification_configuration": {"EventBridgeConfiguration": {}},
                "list_rule_names_by_target": {"RuleNames": ["r"]},
                "describe_rule": {"State": "ENABLED"},
            },
            WELL,
            "EventBridge sends",
        ),
        (
            "delivery",
            {
                "get_bucket_notification_configuration": {"EventBridgeConfiguration": {}},
                "list_rule_names_by_target": {"RuleNames": ["r"]},
                "describe_rule": {"State": "DISABLED"},
            },
            WRONG,
            "neither a notification nor a rule",
        ),
        (
            "destinations",
            {
                "get_bucket_notification_configuration": {
                    "TopicConfigurations": [
                        {
                            "TopicArn": "arn:aws:sns:us-east-1:123456789012:no-such-topic",
                            "Events": ["s3:ObjectCreated:*"],
                        }
                    ]
                }
            },
            WRONG,
            "gone: arn:aws:sns:us-east-1:123456789012:no-such-topic",
        ),
        ("bucket", {"get_bucket_versioning": {"Status": "Suspended"}}, LOOK, "versioning Suspended"),
        ("bucket", {"get_bucket_versioning": {}}, LOOK, "versioning off"),
        (
            "table",
            {"describe_table": {"Table": DESCRIPTION}},
            WRONG,
            "its keys are not organisation_id and run_id; the index NewestRuns is missing; "
            "it has no stream of new images",
        ),
        ("function", {"list_event_source_mappings": {"EventSourceMappings": []}}, WRONG, "event source is missing"),
        (
            "function",
            {"list_event_source_mappings": {"EventSourceMappings": [{"State": "Disabled"}]}},
            WRONG,
            "event source is Disabled",
        ),
        (
            "function",
            {"get_function_configuration": {"Environment": {"Variables": {"DEVELOPMENT": "maybe"}}}},
            WRONG,
            "DEVELOPMENT is 'maybe', expected true or false; RUNS_BUCKET is not set; RUNS_TABLE is not set",
        ),
        ("pipes", {"describe_pipe": {"CurrentState": "STOPPED"}}, WRONG, "stopped, stopped"),
        ("pipes", {"describe_pipe": client_error("AccessDeniedException")}, LOOK, "you may not call Operation"),
        ("permissions", {"describe_pipe": client_error("AccessDeniedException")}, LOOK, "denied: Operation"),
        ("pipes", {"describe_pipe": client_error("ThrottlingException")}, LOOK, "ThrottlingException"),
    ],
)
def test_line_names_what_is_not_well(
    bench: StatusBench, name: str, answers: dict[str, Any], level: str, text: str
) -> None:
    bench.answers |= answers
    found_level, found_text = bench.lines()[name]
    assert (found_level, text in found_text) == (level, True), found_text
    result = run_command("status")
    assert result.exit_code == (ExitCode.ATTENTION if "wrong" in result.stdout else ExitCode.SUCCESS)


def test_messages_of_the_queues_are_counted(bench: StatusBench) -> None:
    sqs, outputs = bench.stack.sqs, bench.stack.outputs
    for queue in ("DeadLetterQueue", "UndeliveredEventsQueue"):
        sqs.send_message(QueueUrl=outputs[queue], MessageBody="m")
    sqs.send_message(QueueUrl=outputs["UploadsQueue"], MessageBody="m", DelaySeconds=900)
    lines = bench.lines()
    assert lines["dead letters"] == lines["undelivered events"] == (WRONG, "1 message")
    assert lines["uploads"][1].endswith("1 delayed for late files")
    for queue in ("DeadLetterQueue", "UndeliveredEventsQueue", "UploadsQueue"):
        sqs.purge_queue(QueueUrl=outputs[queue])
    assert bench.lines()["dead letters"] == (WELL, "none")


@pytest.mark.parametrize(("age", "level"), [(2100, WELL), (2101, WRONG)])
def test_age_of_the_oldest_upload_is_shown(bench: StatusBench, age: int, level: str) -> None:
    bench.answers["get_metric_statistics"] = {
        "Datapoints": [{"Timestamp": datetime(2026, 11, 20, tzinfo=UTC), "Maximum": float(age), "Sum": 0.0}]
    }
    found, text = bench.lines()["uploads"]
    assert (found, f"the oldest for {age:,} s" in text) == (level, True)


def test_outcomes_of_the_last_hour_are_counted(bench: StatusBench) -> None:
    assert bench.lines()["last hour"] == (WELL, "no uploads")
    bench.answers["get_metric_statistics"] = {
        "Datapoints": [{"Timestamp": datetime(2026, 11, 20, tzinfo=UTC), "Maximum": 1.0, "Sum": 1200.0}]
    }
    level, text = bench.lines()["last hour"]
    assert level == LOOK
    assert text.startswith("1,200 recorded, 1,200 rejected, ")


def test_raised_alarms_are_named(bench: StatusBench) -> None:
    cloudwatch = boto3.client("cloudwatch")
    assert bench.lines()["alarms"] == (WELL, "1 alarm, none raised")
    cloudwatch.set_alarm_state(AlarmName=f"{STACK_NAME}-UploadsFail", StateValue="ALARM", StateReason="test")
    assert bench.lines()["alarms"] == (WRONG, "raised: UploadsFail")
    cloudwatch.delete_alarms(AlarmNames=[f"{STACK_NAME}-UploadsFail"])
    assert bench.lines()["alarms"] == (LOOK, "there are none")


def test_events_that_are_not_published_need_no_pipes_and_no_stream(bench: StatusBench, mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.cli.stack.Stack.parameters", {"PublishEvents": "false", "Stage": "development"})
    table = bench.stack.dynamodb.describe_table(TableName=bench.stack.outputs["RunsTable"])["Table"]
    table = {**table, "StreamSpecification": {}, "DeletionProtectionEnabled": False}
    bench.answers["describe_table"] = {"Table": table}
    lines = bench.lines()
    assert lines["pipes"] == (WELL, "no events are published")
    assert lines["table"][0] == WELL
    mocker.patch("run_recorder.cli.stack.Stack.parameters", {})
    mocker.patch("run_recorder.cli.stack.Stack.resources", {})
    bench.answers["describe_table"] = {"Table": {**table, "StreamSpecification": {"StreamViewType": "NEW_IMAGE"}}}
    lines = bench.lines()
    assert lines["pipes"] == (LOOK, "there are none")
    assert lines["table"][0] == LOOK


def test_newest_record_is_that_of_any_organisation(bench: StatusBench, record_run: Callable[..., Outcome]) -> None:
    for organisation in ("b", "c", "a"):
        record_run(organisation, "newest")
    assert bench.lines()["newest record"][1].startswith("a/newest: recorded")


def test_newest_record_of_many_organisations_is_that_of_the_first(
    bench: StatusBench, record_run: Callable[..., Outcome], mocker: MockerFixture
) -> None:
    for organisation in ("many-1", "many-2"):
        record_run(organisation, "run")
    mocker.patch("run_recorder.cli.health_of_traffic._ORGANISATIONS", 1)
    assert "of the first 1 organisations" in bench.lines()["newest record"][1]


def test_stack_without_records_says_so(bench: StatusBench, mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.cli.records.Records.organisations", return_value=iter(()))
    assert bench.lines()["newest record"] == (LOOK, "there are no records")
