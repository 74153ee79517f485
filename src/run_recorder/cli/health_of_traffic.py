"""The checks of `status` on what happens in a stack."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from run_recorder.cli.health import Check, Level, Line
from run_recorder.cli.newest_records import Selection, find_newest
from run_recorder.cli.output import count
from run_recorder.cli.records import Records
from run_recorder.cli.stack import Stack
from run_recorder.domain import Outcome

LATE_SECONDS = 2100
"""The age of an upload in the queue that is too great; also that of the alarm UploadsWaitTooLong."""
_ORGANISATIONS = 20


def uploads(stack: Stack) -> Line:
    """The queue of uploads."""
    url = stack.output("UploadsQueue")
    waiting, in_flight, delayed = _count_messages(stack, url)
    age = _latest(stack, "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": url.rsplit("/", 1)[-1]})
    text = f"{waiting:,} waiting, {in_flight:,} in flight, {delayed:,} delayed for late files"
    if age is not None:
        text += f"; the oldest for {age:,.0f} s"
    if age is not None and age > LATE_SECONDS:
        return Line("uploads", Level.WRONG, text, "see docs/operations.md#uploadswaittoolong")
    return Line("uploads", Level.WELL, text)


def dead_letters(stack: Stack) -> Line:
    """The dead-letter queue of uploads."""
    number = sum(_count_messages(stack, stack.output("DeadLetterQueue")))
    if number:
        return Line("dead letters", Level.WRONG, count(number, "message", "messages"), "run-recorder dead-letters list")
    return Line("dead letters", Level.WELL, "none")


def undelivered_events(stack: Stack) -> Line:
    """The queue of events that did not reach the event bus."""
    number = sum(_count_messages(stack, stack.output("UndeliveredEventsQueue")))
    if number:
        advice = "see docs/operations.md#eventsnotdelivered"
        return Line("undelivered events", Level.WRONG, count(number, "message", "messages"), advice)
    return Line("undelivered events", Level.WELL, "none")


def last_hour(stack: Stack) -> Line:
    """The outcomes of the last hour."""
    dimensions = {"service": stack.name}
    sums = {outcome: _sum_of_last_hour(stack, outcome.metric, dimensions) for outcome in Outcome}
    text = ", ".join(f"{total:,.0f} {outcome}" for outcome, total in sums.items() if total) or "no uploads"
    if sums[Outcome.FAILED]:
        return Line("last hour", Level.LOOK, text, "see docs/operations.md#uploadsfail")
    return Line("last hour", Level.WELL, text)


def alarms(stack: Stack) -> Line:
    """The alarms of the stack."""
    client = stack.client("cloudwatch")
    pages = client.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{stack.name}-")
    states = {alarm["AlarmName"]: alarm["StateValue"] for page in pages for alarm in page["MetricAlarms"]}
    raised = [name.removeprefix(f"{stack.name}-") for name, state in states.items() if state == "ALARM"]
    if raised:
        return Line("alarms", Level.WRONG, f"raised: {', '.join(raised)}", "see docs/operations.md#alarms")
    if not states:
        return Line("alarms", Level.LOOK, "there are none", "deploy the stack again")
    return Line("alarms", Level.WELL, f"{count(len(states), 'alarm', 'alarms')}, none raised")


def newest_record(stack: Stack) -> Line:
    """The record that was written last."""
    organisations = list(islice(Records(stack.table).organisations(), _ORGANISATIONS + 1))
    latest = next(find_newest(stack.table, organisations[:_ORGANISATIONS], Selection(), wanted=1), None)
    if latest is None:
        return Line("newest record", Level.LOOK, "there are no records", "run-recorder reconcile")
    names = [latest[name]["S"] for name in ("organisation_id", "run_id", "status", "recorded_at")]
    scope = f" of the first {_ORGANISATIONS} organisations" if len(organisations) > _ORGANISATIONS else ""
    return Line("newest record", Level.WELL, f"{names[0]}/{names[1]}{scope}: {names[2]}, {names[3]}")


CHECKS: list[Check] = [uploads, dead_letters, undelivered_events, last_hour, alarms, newest_record]
"""In the order in which a person on call reads them."""


def _count_messages(stack: Stack, url: str) -> tuple[int, int, int]:
    """Return how many messages of a queue are visible, in flight and delayed."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    attributes = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, in_flight, delayed = (int(attributes[name]) for name in names)
    return visible, in_flight, delayed


def _latest(stack: Stack, namespace: str, metric: str, dimensions: dict[str, str]) -> float | None:
    points = _read_metric(stack, namespace, metric, dimensions, timedelta(minutes=10), ("Maximum", 60))
    return points[-1]["Maximum"] if points else None


def _sum_of_last_hour(stack: Stack, metric: str, dimensions: dict[str, str]) -> float:
    points = _read_metric(stack, "RunRecorder", metric, dimensions, timedelta(hours=1), ("Sum", 3600))
    return float(sum(point["Sum"] for point in points))


def _read_metric(
    stack: Stack,
    namespace: str,
    metric: str,
    dimensions: dict[str, str],
    span: timedelta,
    statistic: tuple[str, int],
) -> list[Any]:
    now = datetime.now(UTC)
    response = stack.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - span,
        EndTime=now,
        Period=statistic[1],
        Statistics=[statistic[0]],
    )
    return sorted(response["Datapoints"], key=lambda point: point["Timestamp"])
