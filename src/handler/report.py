"""The log line and the metric of each object event, and the answer to it."""

import logging
import sys
from collections import Counter
from typing import Any, TextIO

from aws_lambda_powertools import Logger

from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.events import WorkItem
from run_recorder.verdict import Result

# Of Unicode, which JSON leaves as they are: a key that holds one would be read as the end of its line.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}

Answer = dict[str, Any]
"""The ``outcome`` of an object event, an `Outcome`, beside what the event names."""


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to what is standard output at the time of writing, as ``print`` does; JSON, a line each."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard output."""
        return sys.stdout

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with no line end inside."""
        return super().format(record).translate(_LINE_ENDS)


class Report:
    """The log lines, the outcomes and the answers of one invocation.

    Attributes:
        outcomes: how often each outcome was reported.
    """

    def __init__(self, logger: Logger, request_id: str | None, *, is_cold: bool) -> None:
        self.outcomes = Counter[Outcome]()
        self._logger = logger
        self._fields: dict[str, Any] = {"cold_start": is_cold}
        if request_id:
            self._fields["function_request_id"] = request_id

    def add(self, item: WorkItem, event: ObjectEvent, result: Result, defect: BaseException | None) -> Answer:
        """Report an object event, and a newer upload that was recorded instead; return the answer to the event.

        Args:
            item: the event's message or task.
            event: which was handled.
            result: of it.
            defect: an unexpected exception that made it fail, if one did.
        """
        answer: Answer = {"bucket": event.bucket, "key": event.key}
        if event.run:
            answer |= {"organisation_id": event.run.organisation_id, "run_id": event.run.run_id}
        version = {"version_id": event.version_id} if event.version_id else {}
        self._log("Run upload handled", item, {**answer, **version, **_describe(result)}, result.outcome, defect)
        if newer := result.newer:
            version_of_newer = {"version_id": newer.version_id} if newer.version_id else {}
            self._log("Run upload handled", item, {**answer, **version_of_newer, **_describe(newer)}, newer.outcome)
        answer |= version | _describe(result)
        if result.errors:  # not for the log: they quote names of the document
            answer["errors"] = [{"path": error.path, "message": error.message} for error in result.errors]
        if result.errors_truncated:
            answer["errors_truncated"] = True
        return answer

    def refuse(self, item: WorkItem) -> Answer:
        """Report an item in error; return the answer."""
        answer = _describe(Result(Outcome.FAILED, reason=str(item.error)))
        self._log("Message refused", item, answer, Outcome.FAILED)
        return answer

    def _log(
        self, message: str, item: WorkItem, fields: Answer, outcome: Outcome, defect: BaseException | None = None
    ) -> None:
        extra = {**self._fields, **item.log_fields, **fields}
        self._logger.log(outcome.log_level, message, extra=extra, exc_info=defect)  # type: ignore[attr-defined] # logging's
        self.outcomes[outcome] += 1


def _describe(result: Result) -> Answer:
    reason = {"reason": result.reason} if result.reason else {}
    return {"outcome": result.outcome.value, **reason}
