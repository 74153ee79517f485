"""`run-recorder notifications`: who gets the events of a bucket, and changes that keep everything else."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli.bucket_notifications import BucketNotifications
from tests.support.fake_s3 import client_error
from tests.support.stack_fixtures import run_command

QUEUE = "arn:aws:sqs:us-east-1:123456789012"
FILTER = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "other/"}]}}


class NotifiedBucket:
    """A bucket beside the stack's, with a queue, a topic and a function that listen to it."""

    def __init__(self, stack: LocalStack, name: str) -> None:
        self.name = name
        self._s3 = stack.s3
        self._s3.create_bucket(Bucket=name)
        self._sqs, self._sns = stack.sqs, boto3.client("sns", region_name="us-east-1")
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        self.queue = f"{QUEUE}:{name}"
        self.topic = self._sns.create_topic(Name=name)["TopicArn"]
        self.function = stack.outputs["BackfillFunction"]
        self.put(
            {
                "QueueConfigurations": [
                    {"Id": "q", "QueueArn": self.queue, "Events": ["s3:ObjectCreated:*"], "Filter": FILTER}
                ],
                "TopicConfigurations": [{"Id": "t", "TopicArn": self.topic, "Events": ["s3:ObjectRemoved:*"]}],
                "LambdaFunctionConfigurations": [
                    {"Id": "f", "LambdaFunctionArn": self.function, "Events": ["s3:ObjectCreated:Put"]}
                ],
            }
        )

    def put(self, configuration: dict[str, Any]) -> None:
        """Replace the configuration."""
        self._s3.put_bucket_notification_configuration(Bucket=self.name, NotificationConfiguration=configuration)

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration as of now."""
        response = self._s3.get_bucket_notification_configuration(Bucket=self.name)
        return {name: value for name, value in response.items() if name != "ResponseMetadata"}

    def delete_queue(self) -> None:
        """Delete the queue that listens to the bucket."""
        self._sqs.delete_queue(QueueUrl=self._url)


@pytest.fixture
def make_bucket(shared_stack: LocalStack) -> Callable[[str], NotifiedBucket]:
    return lambda name: NotifiedBucket(shared_stack, name)


@pytest.fixture(autouse=True)
def buckets_with_eventbridge(mocker: MockerFixture) -> set[str]:
    """The buckets that send events to EventBridge, which moto accepts and does not return."""
    enabled: set[str] = set()
    read, write = BucketNotifications.read, BucketNotifications.write

    def read_all(notifications: BucketNotifications) -> dict[str, Any]:
        is_enabled = notifications.bucket in enabled
        return read(notifications) | ({"EventBridgeConfiguration": {}} if is_enabled else {})

    def write_all(notifications: BucketNotifications, configuration: dict[str, Any], *, has_missing: bool) -> None:
        write(notifications, configuration, has_missing=has_missing)
        if "EventBridgeConfiguration" in configuration:
            enabled.add(notifications.bucket)

    mocker.patch.object(BucketNotifications, "read", read_all)
    mocker.patch.object(BucketNotifications, "write", write_all)
    return enabled


def shown(bucket: NotifiedBucket, *options: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run_command("notifications", bucket.name, "--json", *options).stdout)
    return document


def test_each_destination_is_shown_with_its_events_and_its_filter(
    make_bucket: Callable[[str], NotifiedBucket],
) -> None:
    bucket = make_bucket("shown")
    result = run_command("notifications", "shown")
    assert result.exit_code == 0, result.output
    first, *lines = result.stdout.splitlines()
    assert first == "shown: EventBridge off"
    assert lines == [
        f"there    queue     {bucket.queue}  s3:ObjectCreated:* prefix other/",
        f"there    topic     {bucket.topic}  s3:ObjectRemoved:*",
        f"there    function  {bucket.function}  s3:ObjectCreated:Put",
    ]
    document = shown(bucket)
    assert (document["bucket"], document["eventbridge"], document["delivery"]) == ("shown", False, None)
    assert document["destinations"][0] == {
        "kind": "queue",
        "arn": bucket.queue,
        "events": ["s3:ObjectCreated:*"],
        "filter": ["prefix other/"],
        "existence": "there",
    }


def test_eventbridge_is_added_to_what_is_there(make_bucket: Callable[[str], NotifiedBucket]) -> None:
    bucket = make_bucket("added")
    before = bucket.configuration
    asked = run_command("notifications", "added", "--enable-eventbridge")
    assert (asked.exit_code, asked.stderr) == (1, "+ EventBridge\nnothing was changed; --yes does it\n")
    assert bucket.configuration == before
    assert shown(bucket)["eventbridge"] is False
    assert shown(bucket, "--enable-eventbridge", "--yes")["eventbridge"] is True
    assert shown(bucket)["eventbridge"] is True
    assert bucket.configuration == before


def test_nothing_is_written_where_nothing_changes(
    make_bucket: Callable[[str], NotifiedBucket], mocker: MockerFixture, buckets_with_eventbridge: set[str]
) -> None:
    make_bucket("unchanged")
    buckets_with_eventbridge.add("unchanged")
    write = mocker.patch.object(BucketNotifications, "write", autospec=True)
    result = run_command("notifications", "unchanged", "--enable-eventbridge", "--remove-missing")
    assert (result.exit_code, result.stderr) == (0, "")
    write.assert_not_called()


def test_destination_that_is_gone_is_reported_and_removed(make_bucket: Callable[[str], NotifiedBucket]) -> None:
    bucket = make_bucket("removed")
    before = bucket.configuration
    bucket.delete_queue()
    result = run_command("notifications", "removed")
    assert result.exit_code == 1
    assert f"gone     queue     {bucket.queue}" in result.stdout
    removed = run_command("notifications", "removed", "--remove-missing", "--enable-eventbridge", "--yes")
    assert (removed.exit_code, removed.stderr) == (0, f"+ EventBridge\n- {bucket.queue}\n")
    del before["QueueConfigurations"]
    assert bucket.configuration == before
    assert shown(bucket)["eventbridge"] is True


@pytest.mark.parametrize(("options", "skips"), [([], True), (["--remove-missing"], False)], ids=["kept", "removed"])
def test_destinations_are_validated_unless_one_that_is_gone_stays(
    make_bucket: Callable[[str], NotifiedBucket], mocker: MockerFixture, options: list[str], *, skips: bool
) -> None:
    bucket = make_bucket(f"validated{len(options)}")
    bucket.delete_queue()
    write = mocker.spy(BucketNotifications, "write")
    run_command("notifications", bucket.name, "--enable-eventbridge", "--yes", *options)
    assert write.call_args.kwargs == {"has_missing": skips}


def test_configuration_that_changed_meanwhile_is_not_overwritten(
    make_bucket: Callable[[str], NotifiedBucket], mocker: MockerFixture
) -> None:
    bucket = make_bucket("contended")
    find = BucketNotifications.find_destinations

    def find_late(listeners: BucketNotifications, configuration: dict[str, Any]) -> Any:
        found = list(find(listeners, configuration))
        bucket.put({"TopicConfigurations": bucket.configuration["TopicConfigurations"]})
        return iter(found)

    mocker.patch.object(BucketNotifications, "find_destinations", find_late)
    result = run_command("notifications", "contended", "--enable-eventbridge", "--yes")
    assert (result.exit_code, "changed meanwhile" in result.stderr) == (1, True)
    assert bucket.configuration.keys() == {"TopicConfigurations"}


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [("AccessDenied", 0, "unknown  queue"), ("ThrottlingException", 3, "")],
    ids=["denied", "throttled"],
)
def test_destination_that_may_not_be_looked_at_is_unknown(
    make_bucket: Callable[[str], NotifiedBucket], mocker: MockerFixture, error: str, exit_code: int, text: str
) -> None:
    bucket = make_bucket(f"unknown-{exit_code}")
    make_client: Any = boto3.Session.client

    def make(session: boto3.Session, service: str, **options: Any) -> Any:
        client = make_client(session, service, **options)
        if service == "sqs":
            mocker.patch.object(client, "get_queue_url", side_effect=client_error(error))
        return client

    mocker.patch.object(boto3.Session, "client", make)
    result = run_command("notifications", bucket.name)
    assert (result.exit_code, text in result.stdout) == (exit_code, True)


def test_destination_is_looked_for_in_its_own_region(
    make_bucket: Callable[[str], NotifiedBucket], mocker: MockerFixture
) -> None:
    """It is that of the bucket, which need not be that of the caller."""
    bucket = make_bucket("abroad")
    topic = boto3.client("sns", region_name="eu-west-1").create_topic(Name="abroad")["TopicArn"]
    configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    mocker.patch.object(BucketNotifications, "read", return_value=configuration)
    assert [found["existence"] for found in shown(bucket)["destinations"]] == ["there"]


def test_destination_of_another_account_is_never_removed_as_gone(
    make_bucket: Callable[[str], NotifiedBucket], mocker: MockerFixture
) -> None:
    """AWS may answer that it does not exist to an account that has no access."""
    bucket = make_bucket("foreign")
    foreign = "arn:aws:sns:us-east-1:999999999999:theirs"
    configuration = {"TopicConfigurations": [{"TopicArn": foreign, "Events": ["s3:ObjectCreated:*"]}]}
    mocker.patch.object(BucketNotifications, "read", return_value=configuration)
    write = mocker.patch.object(BucketNotifications, "write", autospec=True)
    (found,) = shown(bucket, "--remove-missing", "--yes")["destinations"]
    assert found["existence"] == "unknown"
    write.assert_not_called()


def test_bucket_of_the_stack_needs_a_way_to_its_queue(shared_stack: LocalStack) -> None:
    """The shared stack sends no notifications."""
    result = run_command("notifications")
    assert result.exit_code == 1
    assert "wrong: neither a notification nor a rule sends to the queue" in result.stdout
    queue = {"QueueArn": shared_stack.event_source.queue_arn, "Events": ["s3:ObjectCreated:*"]}
    bucket = shared_stack.outputs["RunsBucket"]
    configure = shared_stack.s3.put_bucket_notification_configuration
    configure(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]})
    result = run_command("notifications")
    configure(Bucket=bucket, NotificationConfiguration={})
    assert (result.exit_code, "well: the bucket notifies the queue" in result.stdout) == (0, True)
