"""The notification configuration of a bucket: its destinations, and whether they exist."""

import copy
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from run_recorder.cli.health import DENIED_CODES, GONE_CODES
from run_recorder.cli.stack import Stack
from run_recorder.domain import JSON

_LISTS = {
    "queue": ("QueueConfigurations", "QueueArn"),
    "topic": ("TopicConfigurations", "TopicArn"),
    "function": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
}
Configuration = dict[str, Any]
"""A notification configuration, as S3 returns and accepts it."""


class Existence(enum.StrEnum):
    """Whether a destination exists."""

    THERE = "there"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination of notifications.

    Attributes:
        kind: ``"queue"``, ``"topic"`` or ``"function"``.
        arn: its ARN.
        events: the events that it gets.
        rules: the filter on keys, such as ``prefix runs/``.
        existence: whether it exists; unknown if the caller may not look, or if another account has it.
    """

    kind: str
    arn: str
    events: tuple[str, ...]
    rules: tuple[str, ...]
    existence: Existence

    def as_json(self) -> dict[str, JSON]:
        """Return the destination as JSON."""
        return {
            "kind": self.kind,
            "arn": self.arn,
            "events": [*self.events],
            "filter": [*self.rules],
            "existence": self.existence.value,
        }


class BucketNotifications:
    """The notification configuration of one bucket. Every method raises the errors of the client.

    Attributes:
        bucket: bucket name.
    """

    def __init__(self, stack: Stack, bucket: str) -> None:
        self._stack = stack
        self.bucket = bucket
        self._s3 = stack.client("s3")

    def read(self) -> Configuration:
        """Return the configuration as of now."""
        response = self._s3.get_bucket_notification_configuration(Bucket=self.bucket)
        return {name: value for name, value in response.items() if name != "ResponseMetadata"}

    def write(self, configuration: Configuration, *, has_missing: bool) -> None:
        """Replace the configuration.

        Args:
            configuration: the new one.
            has_missing: whether it names a destination that does not exist, which S3 otherwise refuses.
        """
        self._s3.put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=configuration, SkipDestinationValidation=has_missing
        )

    def find_destinations(self, configuration: Configuration) -> Iterator[Destination]:
        """Return the destinations of a configuration, and look for each."""
        for kind, (name, arn_name) in _LISTS.items():
            for entry in configuration.get(name, []):
                rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
                yield Destination(
                    kind=kind,
                    arn=entry[arn_name],
                    events=tuple(entry["Events"]),
                    rules=tuple(f"{rule['Name'].lower()} {rule['Value']}" for rule in rules),
                    existence=self._look(kind, entry[arn_name]),
                )

    def _look(self, kind: str, arn: str) -> Existence:
        _, _, service, region, account, name = arn.split(":", 5)
        client = self._stack.client(service, region)
        try:
            if kind == "queue":
                client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            elif kind == "topic":
                client.get_topic_attributes(TopicArn=arn)
            else:
                client.get_function_configuration(FunctionName=arn)
        except ClientError as error:
            code = error.response["Error"].get("Code", "")
            if code in GONE_CODES:
                # AWS may give the same answer to an account that has no access.
                is_own = account == self._stack.output("RecorderFunction").split(":")[4]
                return Existence.GONE if is_own else Existence.UNKNOWN
            if code in DENIED_CODES:
                return Existence.UNKNOWN
            raise
        return Existence.THERE


def change(configuration: Configuration, *, enable_eventbridge: bool, without: set[str]) -> Configuration:
    """Return a configuration with EventBridge, or without the destinations that have one of these ARNs."""
    changed = copy.deepcopy(configuration)
    for name, arn_name in _LISTS.values():
        kept = [entry for entry in changed.pop(name, []) if entry[arn_name] not in without]
        if kept:
            changed[name] = kept
    if enable_eventbridge:
        changed.setdefault("EventBridgeConfiguration", {})
    return changed
