"""Hands object events to the recorder, concurrently, and reports each to the log and the metrics."""

import logging
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TextIO

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.errors import UploadFailedError
from run_recorder.events import WorkItem
from run_recorder.recorder import Recorder
from run_recorder.verdict import Result

WORKERS = 16

# Of Unicode, which JSON leaves as they are: a key that holds one must not look like two lines to anybody.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}

Answer = dict[str, Any]
"""What became of an upload: its ``outcome``, an `Outcome`, and what it names."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of the function.

    Attributes:
        request_id: Lambda's id of it; None if unknown.
        seconds: how long its uploads may take together; None for as long as they need.
    """

    request_id: str | None
    seconds: float | None


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes to what is standard output at the time of writing, as ``print`` does; JSON, a line each."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard output."""
        return sys.stdout

    def format(self, record: logging.LogRecord) -> str:
        """The line, with no end but its own."""
        return super().format(record).translate(_LINE_ENDS)


class Dispatcher:
    """Handles all object events of an invocation, so that none can fail or delay another one.

    An event that is not finished within the invocation's time has failed. The threads that
    still wait for AWS are left behind with their pool; whatever they may yet write, its
    conditions keep the order.
    """

    def __init__(self, recorder: Recorder, logger: Logger, metrics: Metrics) -> None:
        self._recorder = recorder
        self._logger = logger
        self._metrics = metrics
        # Kept between invocations, since its threads are a part of what a run costs.
        self._pool = ThreadPoolExecutor(WORKERS)
        self._is_cold = True

    def log_start(self, version: str) -> None:
        """Log that the function is ready, and which version of it."""
        self._logger.info("Function started", extra={"version": version})

    def handle_uploads(self, uploads: list[ObjectEvent], invocation: Invocation) -> list[Answer]:
        """Return the answer to each object event, in their order."""
        (answers,) = self.handle_items([WorkItem("", tuple(uploads))], invocation)
        return answers

    def handle_items(self, items: list[WorkItem], invocation: Invocation) -> list[list[Answer]]:
        """Return the answers to each item's object events; one of failure for an item in error."""
        handled = iter(self._handle_concurrently([upload for item in items for upload in item.uploads], invocation))
        report = _Report(self._logger, invocation, is_cold=self._is_cold)
        self._is_cold = False
        answers = [
            [report.refuse(item)]
            if item.error
            else [report.add(item, upload, next(handled)) for upload in item.uploads]
            for item in items
        ]
        for outcome, count in report.outcomes.items():
            self._metrics.add_metric(outcome.metric, MetricUnit.Count, count)
        if report.outcomes:
            self._metrics.flush_metrics()
        return answers

    def _handle_concurrently(self, uploads: list[ObjectEvent], invocation: Invocation) -> list[Future[Result]]:
        handled = [self._pool.submit(self._recorder.handle, upload) for upload in uploads]
        if wait(handled, timeout=invocation.seconds).not_done:
            for unfinished in handled:
                unfinished.cancel()
            self._pool = ThreadPoolExecutor(WORKERS)
        return handled


class _Report:
    """The log lines and the outcomes of one invocation."""

    def __init__(self, logger: Logger, invocation: Invocation, *, is_cold: bool) -> None:
        self.outcomes = Counter[Outcome]()
        self._logger = logger
        self._fields: dict[str, Any] = {"cold_start": is_cold}
        if invocation.request_id:
            self._fields["function_request_id"] = invocation.request_id

    def add(self, item: WorkItem, upload: ObjectEvent, handled: Future[Result]) -> Answer:
        """Report an upload, and a newer one that was recorded instead; return the answer to the event."""
        result, defect = _take_result(handled)
        answer: Answer = {"bucket": upload.bucket, "key": upload.key}
        if upload.run:
            answer |= {"organisation_id": upload.run.organisation_id, "run_id": upload.run.run_id}
        version = {"version_id": upload.version_id} if upload.version_id else {}
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


def _take_result(handled: Future[Result]) -> tuple[Result, BaseException | None]:
    """Return the result of an object event, and the defect of ours that made it fail, if one did."""
    if handled.cancelled() or not handled.done():
        return Result(Outcome.FAILED, reason="the invocation's time ran out before this upload was handled"), None
    error = handled.exception()
    if error is None:
        return handled.result(), None
    if isinstance(error, UploadFailedError):
        return Result(Outcome.FAILED, reason=str(error)), None
    return Result(Outcome.FAILED, reason=type(error).__name__), error
