"""The metrics and the alarms of CloudWatch, which moto stores and does not evaluate.

Stands for: the metrics that a log line in the embedded metric format (EMF) becomes; alarms on one metric or on an
expression, by the statistics, comparisons and functions that the template uses; the M out of N periods that raise them.

Leaves out: units, resolutions below a minute, percentiles, anomaly detection, actions, states between OK and ALARM, and
periods that are older than those that the alarm evaluates.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any

STACK = "another-stack"  # so that no name of the local stack can stand in for a reference

Metric = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name, and the dimensions by name."""

Sample = tuple[int, Metric, float]
"""What a metric was in which minute."""

_STATISTICS: dict[str, Callable[[list[float]], float]] = {"Sum": sum, "Maximum": max}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
}
_FUNCTIONS = {
    "FILL": lambda value, filling: filling if value is None else value,
    "IF": lambda condition, yes, no: yes if condition else no,
    "max": max,
}


def name(reference: Any) -> str:
    """A reference as a Sub of the template has it, with the stack's name filled in."""
    match reference:
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"{resource}.{attribute}"
        case {"Ref": resource}:
            return name(resource)
    return str(reference).replace("AWS::StackName", STACK)


def read_metrics(line: dict[str, Any]) -> Iterator[tuple[Metric, float]]:
    """The metrics, and their values, in a line that the function writes."""
    for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
        for names in directive["Dimensions"]:
            dimensions = tuple((dimension, line[dimension]) for dimension in names)
            for metric in directive["Metrics"]:
                yield (directive["Namespace"], metric["Name"], dimensions), sum(line[metric["Name"]])


def metrics_of(alarm: dict[str, Any]) -> list[Metric]:
    """The metrics that an alarm watches."""
    return [_metric(query["MetricStat"]["Metric"]) for query in _queries(alarm) if "MetricStat" in query]


def is_raised(alarm: dict[str, Any], samples: list[Sample], minute: int) -> bool:
    """Whether it is, after this minute: enough of the latest periods were beyond its threshold."""
    assert alarm["TreatMissingData"] == "notBreaching"
    periods: int = alarm["EvaluationPeriods"]
    needed: int = alarm.get("DatapointsToAlarm", periods)
    compare = _COMPARISONS[alarm["ComparisonOperator"]]
    values = [_value(alarm, samples, minute, back) for back in range(periods)]
    breaching = [value for value in values if value is not None and compare(value, alarm["Threshold"])]
    return len(breaching) >= needed


def _value(alarm: dict[str, Any], samples: list[Sample], minute: int, back: int) -> float | None:
    """What the alarm compares for the latest period but ``back``; None if there is no data."""
    values: dict[str, Any] = {}
    for query in _queries(alarm):
        if "Expression" in query:
            # In CloudWatch a division by zero has no value, here it is left to IF not to use it.
            expression = query["Expression"].replace("/ runs", "/ max(runs, 1)")
            values[query["Id"]] = eval(expression, dict(_FUNCTIONS), values)  # noqa: S307 - from the template
        else:
            statistic = query["MetricStat"]
            period, metric = statistic["Period"] // 60, _metric(statistic["Metric"])
            end = minute - back * period
            found = [value for at, sampled, value in samples if sampled == metric and end - period < at <= end]
            values[query["Id"]] = _STATISTICS[statistic["Stat"]](found) if found else None
    (returned,) = [query["Id"] for query in _queries(alarm) if query.get("ReturnData", True)]
    value: float | None = values[returned]
    return value


def _queries(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """An alarm on one metric spells in itself what others have in a list."""
    if "Metrics" in alarm:
        queries: list[dict[str, Any]] = alarm["Metrics"]
        return queries
    return [{"Id": "value", "MetricStat": {"Metric": alarm, "Stat": alarm["Statistic"], "Period": alarm["Period"]}}]


def _metric(definition: dict[str, Any]) -> Metric:
    dimensions = tuple((each["Name"], name(each["Value"])) for each in definition["Dimensions"])
    return definition["Namespace"], definition["MetricName"], dimensions
