"""Hands object events to the recorder, concurrently, and reports each to the log and the metrics."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Lock

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from handler.report import Answer, Report
from run_recorder.domain import ObjectEvent, Outcome
from run_recorder.errors import UploadFailedError
from run_recorder.events import WorkItem
from run_recorder.queue import UploadsQueue
from run_recorder.recorder import Recorder
from run_recorder.verdict import Result
from run_recorder.waiting import choose_delay

WORKERS = 16


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of the function.

    Attributes:
        request_id: Lambda's id of it; None if unknown.
        seconds: how long its object events may take together; None for as long as they need.
    """

    request_id: str | None
    seconds: float | None


class Dispatcher:
    """Handles all object events of an invocation, so that none can fail or delay another one.

    An event that is not finished within the invocation's time has failed. The threads that
    still wait for AWS are left behind with their pool; whatever they may yet write, its
    conditions keep the order.
    """

    def __init__(self, recorder: Recorder, logger: Logger, metrics: Metrics, queue: UploadsQueue | None = None) -> None:
        """Use these; without a queue, no message is put back."""
        self.queue = queue
        self._recorder = recorder
        self._logger = logger
        self._metrics = metrics
        # Kept between invocations, since its threads are a part of what a run costs.
        self._pool = ThreadPoolExecutor(WORKERS)
        self._is_cold = True

    def log_start(self, version: str) -> None:
        """Log that the function is ready, and which version of it."""
        self._logger.info("Function started", extra={"fields": {"version": version}})

    def handle_object_events(self, object_events: list[ObjectEvent], invocation: Invocation) -> list[Answer]:
        """Return the answer to each object event, in their order."""
        (answers,) = self.handle_items([WorkItem("", tuple(object_events))], invocation)
        return answers

    def handle_items(self, items: list[WorkItem], invocation: Invocation) -> list[list[Answer]]:
        """Return the answers to each item's object events; one of failure for an item in error."""
        tasks = [_Task(item, self._recorder, self.queue) for item in items]
        self._handle_concurrently(tasks, invocation)
        report = Report(self._logger, invocation.request_id, is_cold=self._is_cold)
        self._is_cold = False
        answers = [
            [report.refuse(task.item)]
            if task.item.error
            else [
                report.add(task.item, event, *task.take_result(handled))
                for event, handled in zip(task.item.object_events, task.handled, strict=True)
            ]
            for task in tasks
        ]
        for outcome, count in report.outcomes.items():
            self._metrics.add_metric(outcome.metric, MetricUnit.Count, count)
        if report.outcomes:
            self._metrics.flush_metrics()
        return answers

    def _handle_concurrently(self, tasks: list["_Task"], invocation: Invocation) -> None:
        for task in tasks:
            task.handled = [self._pool.submit(task.handle, event) for event in task.item.object_events]
        handled = [future for task in tasks for future in task.handled]
        if wait(handled, timeout=invocation.seconds).not_done:
            for unfinished in handled:
                unfinished.cancel()
            self._pool = ThreadPoolExecutor(WORKERS)


class _Task:
    """The object events of one item: handled concurrently, and put back by the worker that finishes last.

    Attributes:
        item: the message or task.
        handled: the result of each object event.
    """

    def __init__(self, item: WorkItem, recorder: Recorder, queue: UploadsQueue | None) -> None:
        self.item = item
        self.handled: list[Future[Result]] = []
        self._recorder = recorder
        self._queue = queue
        self._results: list[Result | None] = []
        self._lock = Lock()
        self._error: Exception | None = None

    def handle(self, event: ObjectEvent) -> Result:
        result = None
        try:
            result = self._recorder.handle(event)
            return result
        finally:
            with self._lock:
                self._results.append(result)
                is_last = len(self._results) == len(self.item.object_events)
            if is_last:
                self._put_back()

    def take_result(self, handled: Future[Result]) -> tuple[Result, BaseException | None]:
        """Return the result of an object event, and the defect of ours that made it fail, if one did."""
        if handled.cancelled() or not handled.done():
            return Result(Outcome.FAILED, reason="the invocation's time ran out before this upload was handled"), None
        error = handled.exception()
        if error is None and handled.result().looks:
            error = self._error
        if error is None:
            return handled.result(), None
        if isinstance(error, UploadFailedError):
            return Result(Outcome.FAILED, reason=str(error)), None
        return Result(Outcome.FAILED, reason=type(error).__name__), error

    def _put_back(self) -> None:
        """Put the message back, if files that it waits for may still arrive."""
        if self._queue is None or self.item.body is None:
            return
        looks = [look for result in self._results if result for look in result.looks]
        delay = choose_delay(looks, is_from_queue=True, has_failed_record=None in self._results)
        if delay is not None:
            try:
                self._queue.put_back(self.item.body, delay)
            except Exception as error:  # noqa: BLE001 - it fails this message alone
                self._error = error
