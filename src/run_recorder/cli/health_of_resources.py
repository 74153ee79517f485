"""The checks of `status` on the resources of a stack."""

from typing import Any

from run_recorder.cli.bucket_notifications import BucketNotifications, Existence
from run_recorder.cli.health import Check, Level, Line
from run_recorder.cli.output import count
from run_recorder.cli.stack import Stack
from run_recorder.config import load_settings
from run_recorder.errors import SettingsError

_KEYS = [("organisation_id", "HASH"), ("run_id", "RANGE")]
_INDEX_KEYS = [("organisation_id", "HASH"), ("recorded_at", "RANGE")]


def bucket(stack: Stack) -> Line:
    """The bucket of runs."""
    versioning = stack.client("s3").get_bucket_versioning(Bucket=stack.bucket).get("Status", "off")
    if versioning == "Enabled":
        return Line("bucket", Level.WELL, f"{stack.bucket}, versioned")
    advice = "enable versioning: without it, an overwritten upload cannot be read again"
    return Line("bucket", Level.LOOK, f"{stack.bucket}, versioning {versioning}", advice)


def delivery(stack: Stack) -> Line:
    """The way of events from the bucket to the queue of uploads."""
    url = stack.output("UploadsQueue")
    arn = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    configuration = stack.client("s3").get_bucket_notification_configuration(Bucket=stack.bucket)
    if arn in [queue["QueueArn"] for queue in configuration.get("QueueConfigurations", [])]:
        return Line("delivery", Level.WELL, "the bucket notifies the queue")
    events = stack.client("events")
    rules = events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    enabled = [rule for rule in rules if events.describe_rule(Name=rule)["State"] == "ENABLED"]
    if enabled and "EventBridgeConfiguration" in configuration:
        return Line("delivery", Level.WELL, "EventBridge sends events of the bucket to the queue")
    text = "EventBridge is off for the bucket" if enabled else "neither a notification nor a rule sends to the queue"
    return Line("delivery", Level.WRONG, text, "run-recorder notifications")


def destinations(stack: Stack) -> Line:
    """The destinations of the bucket's notifications, the stack's own queue included."""
    listeners = BucketNotifications(stack, stack.bucket)
    found = list(listeners.find_destinations(listeners.read()))
    gone = [destination.arn for destination in found if destination.existence is Existence.GONE]
    if gone:
        return Line("destinations", Level.WRONG, f"gone: {', '.join(gone)}", "run-recorder notifications")
    return Line(
        "destinations", Level.WELL, f"{count(len(found), 'notification', 'notifications')}, each destination exists"
    )


def table(stack: Stack) -> Line:
    """The table of records."""
    described = stack.client("dynamodb").describe_table(TableName=stack.table.name)["Table"]
    indexes = {index["IndexName"]: _keys(index) for index in described.get("GlobalSecondaryIndexes", [])}
    publishes = stack.parameters.get("PublishEvents", "true") == "true"
    stream = described.get("StreamSpecification", {})
    missing = [
        problem
        for problem, is_there in {
            "its keys are not organisation_id and run_id": _keys(described) != _KEYS,
            "the index NewestRuns is missing": indexes.get("NewestRuns") != _INDEX_KEYS,
            "it has no stream of new images": publishes and stream.get("StreamViewType") != "NEW_IMAGE",
        }.items()
        if is_there
    ]
    if missing:
        return Line("table", Level.WRONG, "; ".join(missing), "see docs/deploy.md#an-existing-table")
    if stack.parameters.get("Stage", "production") == "production" and not described.get("DeletionProtectionEnabled"):
        return Line("table", Level.LOOK, f"{stack.table.name}, not protected from deletion", "enable the protection")
    return Line("table", Level.WELL, stack.table.name)


def function(stack: Stack) -> Line:
    """The recorder and its event source."""
    client, arn = stack.client("lambda"), stack.output("RecorderFunction")
    configuration = client.get_function_configuration(FunctionName=arn)
    try:
        load_settings(configuration["Environment"]["Variables"])
    except SettingsError as error:
        return Line("function", Level.WRONG, str(error), "correct the parameters of the stack")
    mappings = client.list_event_source_mappings(FunctionName=arn)["EventSourceMappings"]
    states = [mapping["State"] for mapping in mappings]
    if "Enabled" not in states:
        advice = "see docs/operations.md#uploadswaittoolong"
        return Line("function", Level.WRONG, f"its event source is {', '.join(states) or 'missing'}", advice)
    return Line("function", Level.WELL, "its settings are valid, and its event source is enabled")


def pipes(stack: Stack) -> Line:
    """The pipes that publish events."""
    if stack.parameters.get("PublishEvents", "true") != "true":
        return Line("pipes", Level.WELL, "no events are published")
    names = [name for name, kind in stack.resources.values() if kind == "AWS::Pipes::Pipe"]
    states = [stack.client("pipes").describe_pipe(Name=name)["CurrentState"] for name in names]
    if not states:
        return Line("pipes", Level.LOOK, "there are none", "deploy the stack again")
    if set(states) == {"RUNNING"}:
        return Line("pipes", Level.WELL, f"{count(len(states), 'pipe', 'pipes')} running")
    return Line("pipes", Level.WRONG, ", ".join(states).lower(), "see docs/operations.md#eventsnotdelivered")


CHECKS: list[Check] = [bucket, delivery, destinations, table, function, pipes]
"""In the order in which an upload meets them."""


def _keys(described: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - of an API
    return [(key["AttributeName"], key["KeyType"]) for key in described["KeySchema"]]
