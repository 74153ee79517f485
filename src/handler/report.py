"""The log line and the metric of each object event, and the answer to it."""

from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger

from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.events import WorkItem
from run_recorder.verdict import Result

Answer = dict[str, Any]
"""The ``outcome`` of an object event, an `Outcome`, beside what the event names."""


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
        fields = {**self._fields, **item.log_fields, **fields}
        self._logger.log(outcome.log_level, message, extra={"fields": fields}, exc_info=defect)  # type: ignore[attr-defined] # logging's
        self.outcomes[outcome] += 1


def _describe(result: Result) -> Answer:
    reason = {"reason": result.reason} if result.reason else {}
    return {"outcome": result.outcome.value, **reason}
