"""The lines of the function's log about one run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from run_recorder.cli.clients import StackError
from run_recorder.cli.stack import Stack
from run_recorder.domain import JSON, Run

_RESOURCE = "RecorderLogs"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log.

    Attributes:
        time: when it was written, as ``2026-11-20T08:30:00.123Z``.
        fields: the fields of the line; of a line that is not JSON, its text as ``message``.
    """

    time: str
    fields: dict[str, JSON]

    def as_json(self) -> dict[str, JSON]:
        """Return the line as JSON."""
        return {**self.fields, "time": self.time}


def read_logs(stack: Stack, run: Run, since: datetime) -> Iterator[LogLine]:
    """Yield the lines about a run that both functions wrote at this time or later, the oldest first.

    Sends a FilterLogEvents request for each part of the log that CloudWatch Logs searches at once, whether it has such
    lines or not.

    Raises:
        StackError: the stack has no log group.
        ClientError: CloudWatch Logs refuses the request.
    """
    name, _ = stack.resources.get(_RESOURCE, ("", ""))
    if not name:
        raise StackError(f"stack {stack.name!r} has no resource {_RESOURCE}: name one of Run Recorder with --stack")
    # An id has no character that a pattern gives a meaning to.
    pattern = f'{{ $.organisation_id = "{run.organisation_id}" && $.run_id = "{run.run_id}" }}'
    pages = (
        stack.client("logs")
        .get_paginator("filter_log_events")
        .paginate(logGroupName=name, startTime=int(since.timestamp() * 1000), filterPattern=pattern)
    )
    for page in pages:
        for event in page["events"]:
            time = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).isoformat(timespec="milliseconds")
            yield LogLine(time.replace("+00:00", "Z"), _parse(event["message"]))


def _parse(message: str) -> dict[str, JSON]:
    try:
        parsed = json.loads(message)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"message": message.strip()}
