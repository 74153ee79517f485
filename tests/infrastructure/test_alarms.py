"""The alarms: which metrics they watch, whom they notify, and that each incident raises exactly its own alarm.

The troubles are made in the local stack, and ended as docs/operations.md says. moto has no alarms and no
Lambda service: what they would be told is taken from the queues, from what the function writes and from
whether it raises, a minute at a time, and `tests.support.cloudwatch` decides.
"""

import itertools
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.sqs.models import Queue, sqs_backends
from pytest_mock import MockerFixture

from handler.app import backfill_handler, lambda_handler
from local.stack import LocalStack
from local.template import REGION
from run_recorder.cli.health_of_traffic import LATE_SECONDS
from run_recorder.errors import SettingsError
from run_recorder.waiting import MAX_DELAY
from tests.support.cloudwatch import STACK, Sample, is_raised, metrics_of, name, read_metrics
from tests.support.documents import GOOD, INCOMPLETE
from tests.support.events import batch_event
from tests.support.resolution import resolve, statements
from tests.support.stack_fixtures import run_command

QUEUES = {"DeadLetterQueueNotEmpty": "DeadLetterQueue", "EventsNotDelivered": "UndeliveredEventsQueue"}


class Watch:
    """The local stack, and the metrics that CloudWatch would have of it.

    Its clock advances by the minutes that a test passes, and by a millisecond each time that it is read.
    """

    def __init__(self, alarms: dict[str, Any], stack: LocalStack, read_output: Callable[[], str]) -> None:
        self._alarms = alarms
        self._stack = stack
        self._read_output = read_output
        self._samples: list[Sample] = []
        self._minute = 0
        self._ticks = itertools.count(time.time_ns() // 1_000_000)

    def milliseconds(self) -> float:
        """Return the time for SQS."""
        return next(self._ticks) + self._minute * 60_000

    def now(self, _timezone: Any) -> datetime:
        """Return the time for the wait for files."""
        return datetime.now(UTC) + timedelta(minutes=self._minute)

    def raised(self) -> set[str]:
        """Return the alarms that are raised now."""
        return {each for each, alarm in self._alarms.items() if is_raised(alarm, self._samples, self._minute)}

    def sample(self, alarm: str, value: float) -> None:
        """Add a sample of the metric that an alarm watches."""
        (metric,) = metrics_of(self._alarms[alarm])
        self._samples.append((self._minute, metric, value))

    def pass_minutes(self, minutes: int, *, throttled: bool = False) -> None:
        """Pass time, in which Lambda hands the messages of the queue to the function, or throttles it."""
        for _ in range(minutes):
            self._minute += 1
            if throttled:
                self.sample("RecorderThrottled", 1)
            else:
                self._poll()
            for line in map(json.loads, self._read_output().splitlines()):
                self._samples += [(self._minute, metric, value) for metric, value in read_metrics(line)]
            self._look_at_queues()

    def _poll(self) -> None:
        is_polling = True
        while is_polling:
            try:
                is_polling = bool(self._stack.deliver(lambda_handler))
            except SettingsError:
                self.sample("RecorderErrors", 1)

    def _look_at_queues(self) -> None:
        for alarm, output in QUEUES.items():
            self.sample(alarm, len(self._queue(output).messages))
        # As AWS defines ApproximateAgeOfOldestMessage: without what was received more than three times.
        messages = self._queue("UploadsQueue")._messages  # noqa: SLF001
        sent_at: list[Any] = [each.sent_timestamp for each in messages if each.approximate_receive_count <= 3]
        if sent_at:
            self.sample("UploadsWaitTooLong", (self.milliseconds() - min(sent_at)) / 1000)

    def _queue(self, output: str) -> Queue:
        *_, account, queue = self._stack.outputs[output].split("/")
        return sqs_backends[account][REGION].queues[queue]


@pytest.fixture
def watch(
    alarms: dict[str, Any],
    stack: LocalStack,
    environment: pytest.MonkeyPatch,
    mocker: MockerFixture,
    capsys: pytest.CaptureFixture[str],
    no_waiting: None,  # noqa: ARG001
) -> Watch:
    environment.setenv("POWERTOOLS_SERVICE_NAME", STACK)
    watch = Watch(alarms, stack, lambda: capsys.readouterr().out)
    mocker.patch("moto.sqs.models.unix_time_millis", watch.milliseconds)
    mocker.patch("run_recorder.waiting.datetime", autospec=True).now.side_effect = watch.now
    return watch


@pytest.fixture
def upload(stack: LocalStack) -> Callable[..., None]:
    def put(*runs: str, body: bytes = GOOD) -> None:
        for run in runs:
            stack.upload(f"runs/acme/{run}/metadata.json", body)

    return put


def test_no_alarm_is_raised_when_all_is_well(watch: Watch, upload: Callable[..., None]) -> None:
    watch.pass_minutes(15)
    assert watch.raised() == set()
    upload(*(f"run-{number}" for number in range(10)))
    watch.pass_minutes(15)
    assert watch.raised() == set()
    assert run_command("reconcile").exit_code == 0


def test_lost_table_makes_dead_letters_that_redrive_puts_back(
    watch: Watch, stack: LocalStack, upload: Callable[..., None], environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("RUNS_TABLE", "no-such-table")
    upload(*(f"run-{number}" for number in range(10)))
    watch.pass_minutes(5)
    assert watch.raised() == set()
    watch.pass_minutes(5)
    assert watch.raised() == {"UploadsFail"}
    watch.pass_minutes(30)
    assert watch.raised() == {"DeadLetterQueueNotEmpty"}
    told = run_command("dead-letters", "list")
    assert told.exit_code == 1
    assert told.stdout.count("AWS failed, and there is no record yet: put it back") == 10

    environment.setenv("RUNS_TABLE", stack.outputs["RunsTable"])
    assert run_command("dead-letters", "redrive", "--yes").exit_code == 0
    watch.pass_minutes(1)
    assert watch.raised() == set()
    assert run_command("reconcile").exit_code == 0


def test_message_that_is_no_event_is_a_dead_letter_to_discard(
    watch: Watch, stack: LocalStack, upload: Callable[..., None]
) -> None:
    sent = stack.sqs.send_message(QueueUrl=stack.outputs["UploadsQueue"], MessageBody="hello")
    upload("run-0001")
    watch.pass_minutes(30)
    assert watch.raised() == set()
    watch.pass_minutes(10)
    assert watch.raised() == {"DeadLetterQueueNotEmpty"}
    assert "no upload can come of the message, discard it" in run_command("dead-letters", "list").stdout

    assert run_command("dead-letters", "discard", "--yes", sent["MessageId"]).exit_code == 0
    watch.pass_minutes(1)
    assert watch.raised() == set()


def test_uploads_wait_until_lambda_has_concurrency_again(watch: Watch, upload: Callable[..., None]) -> None:
    upload("run-0001")
    watch.pass_minutes(35, throttled=True)
    assert watch.raised() == {"RecorderThrottled"}
    watch.pass_minutes(5, throttled=True)
    assert watch.raised() == {"RecorderThrottled", "UploadsWaitTooLong"}
    assert run_command("show", "acme/run-0001").exit_code == 1

    watch.pass_minutes(15)
    assert watch.raised() == set()
    assert run_command("show", "acme/run-0001").exit_code == 0


def test_run_whose_files_never_come_ends_rejected_and_raises_no_alarm(
    watch: Watch, stack: LocalStack, upload: Callable[..., None]
) -> None:
    upload("run-0001", body=INCOMPLETE)
    for _ in range(59):
        watch.pass_minutes(1)
        assert watch.raised() == set()
        assert [item["status"]["S"] for item in stack.records()] == ["pending"]
    watch.pass_minutes(2)
    assert [item["status"]["S"] for item in stack.records()] == ["rejected"]
    watch.pass_minutes(60)
    assert watch.raised() == set()
    assert run_command("list", "acme", "--status", "rejected").stdout.count("run-0001") == 1
    assert run_command("dead-letters", "list").exit_code == 0


def test_uploads_wait_until_a_wrong_configuration_is_right(
    watch: Watch, upload: Callable[..., None], environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("DEVELOPMENT", "maybe")
    upload("run-0001")
    watch.pass_minutes(10)
    assert watch.raised() == {"RecorderErrors"}

    environment.setenv("DEVELOPMENT", "false")
    watch.pass_minutes(15)
    assert watch.raised() == set()
    assert run_command("show", "acme/run-0001").exit_code == 0


def test_runs_that_a_backfill_missed_are_repaired(
    watch: Watch, stack: LocalStack, upload: Callable[..., None], environment: pytest.MonkeyPatch
) -> None:
    upload("run-0001")
    stack.sqs.purge_queue(QueueUrl=stack.outputs["UploadsQueue"])
    environment.setenv("DEVELOPMENT", "maybe")
    for _ in range(2):
        with pytest.raises(SettingsError):
            backfill_handler(batch_event(), None)
        watch.sample("BackfillErrors", 1)
        watch.pass_minutes(5)
    assert watch.raised() == {"BackfillErrors"}
    assert run_command("reconcile").exit_code == 1

    assert run_command("reconcile", "--repair").exit_code == 0
    watch.pass_minutes(15)
    assert watch.raised() == set()


def test_producer_finds_and_corrects_rejected_runs(watch: Watch, upload: Callable[..., None], tmp_path: Path) -> None:
    document = tmp_path / "metadata.json"
    document.write_bytes(b'{"model": {"name": "m"}, "tags": {"assay": 12}}')
    upload(*(f"good-{number}" for number in range(7)))
    upload("bad-0", "bad-1", "bad-2", body=document.read_bytes())
    watch.pass_minutes(5)
    assert watch.raised() == {"RunsRejected"}
    rejected = run_command("list", "acme", "--status", "rejected", "--since", "1h", "--json").stdout.splitlines()
    assert {json.loads(line)["run_id"] for line in rejected} == {"bad-0", "bad-1", "bad-2"}
    for told in (run_command("show", "acme/bad-0"), run_command("validate", "--production", str(document))):
        assert "expected a string, found an integer" in told.stdout
        assert "production needs a pinned version" in told.stdout

    document.write_bytes(GOOD)
    assert run_command("validate", "--production", str(document)).exit_code == 0
    upload("bad-0", "bad-1", "bad-2", body=document.read_bytes())
    watch.pass_minutes(60)
    assert watch.raised() == set()
    assert run_command("list", "acme", "--status", "rejected", "--json").stdout == ""


def test_event_that_the_bus_refused_is_among_the_newest_runs(
    watch: Watch, stack: LocalStack, upload: Callable[..., None]
) -> None:
    """Moto has no pipes, so the test sends the message of a pipe to the queue."""
    upload("run-0001")
    queue = stack.outputs["UndeliveredEventsQueue"]
    stack.sqs.send_message(QueueUrl=queue, MessageBody="{}")
    watch.pass_minutes(1)
    assert watch.raised() == {"EventsNotDelivered"}
    assert "run-0001" in run_command("list", "acme", "--since", "1h").stdout

    stack.sqs.purge_queue(QueueUrl=queue)
    watch.pass_minutes(1)
    assert watch.raised() == set()


def test_alarms_watch_what_the_dead_letters_the_queue_and_the_functions_tell(alarms: dict[str, Any]) -> None:
    watched = {
        alarm: (properties["MetricName"], name(properties["Dimensions"][0]["Value"]), properties["Threshold"])
        for alarm, properties in alarms.items()
        if "MetricName" in properties
    }
    assert watched == {
        "DeadLetterQueueNotEmpty": ("ApproximateNumberOfMessagesVisible", "DeadLetterQueue.QueueName", 0),
        "UploadsWaitTooLong": ("ApproximateAgeOfOldestMessage", "UploadsQueue.QueueName", 2100),
        "UploadsFail": ("FailedEvents", STACK, 10),
        "RecorderErrors": ("Errors", "RecorderFunction", 0),
        "BackfillErrors": ("Errors", "BackfillFunction", 0),
        "RecorderThrottled": ("Throttles", "RecorderFunction", 0),
        "EventsNotDelivered": ("ApproximateNumberOfMessagesVisible", "UndeliveredEventsQueue.QueueName", 0),
    }


def test_message_that_fails_alone_does_not_count_as_waiting_too_long(
    resources: dict[str, Any], alarms: dict[str, Any]
) -> None:
    """The age does not include a message from its fourth delivery on. Before the first delivery it can be delayed."""
    hidden = resources["UploadsQueue"]["Properties"]["VisibilityTimeout"]
    assert alarms["UploadsWaitTooLong"]["Threshold"] > MAX_DELAY + 3 * hidden


def test_status_finds_an_upload_late_when_the_alarm_does(alarms: dict[str, Any]) -> None:
    assert alarms["UploadsWaitTooLong"]["Threshold"] == LATE_SECONDS


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
    """The numbers are those of one hour; None means that the metric has no data."""
    alarm = alarms["RunsRejected"]
    watched = {metric[1]: metric for metric in metrics_of(alarm)}
    values = {"RunsRecorded": recorded, "RunsRejected": rejected}
    samples: list[Sample] = [(1, watched[metric], value) for metric, value in values.items() if value is not None]
    assert is_raised(alarm, samples, 60) is alarmed
    assert not is_raised(alarm, samples, 61)


@pytest.fixture(scope="module")
def with_address() -> dict[str, Any]:
    """The resources of a deployment with an email address."""
    return resolve({"AlarmEmail": "oncall@example.com"})


def test_alarms_mail_when_they_begin_and_end_if_there_is_an_address(
    with_address: dict[str, Any], alarms: dict[str, Any]
) -> None:
    for alarm in alarms:
        properties = with_address[alarm]["Properties"]
        assert properties["AlarmActions"] == properties["OKActions"] == [{"Ref": "AlarmTopic"}]
    topic = with_address["AlarmTopic"]["Properties"]
    assert topic == {"Subscription": [{"Protocol": "email", "Endpoint": "oncall@example.com"}]}


def test_alarms_are_there_without_an_address(
    resources: dict[str, Any], alarms: dict[str, Any], with_address: dict[str, Any]
) -> None:
    assert with_address.keys() - resources.keys() == {"AlarmTopic", "AlarmTopicPolicy"}
    for properties in alarms.values():
        assert properties.keys().isdisjoint({"AlarmActions", "OKActions"})


def test_only_the_stacks_alarms_may_publish_to_the_topic(with_address: dict[str, Any], alarms: dict[str, Any]) -> None:
    policy = statements(with_address["AlarmTopicPolicy"]["Properties"])
    assert policy["AllowAlarms"]["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    condition = policy["AllowAlarms"]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    allowed = condition["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
    assert allowed.endswith(":alarm:${AWS::StackName}-*")
    for alarm, properties in alarms.items():
        assert properties["AlarmName"] == {"Fn::Sub": f"${{AWS::StackName}}-{alarm}"}
    assert policy["DenyInsecureTransport"]["Effect"] == "Deny"
