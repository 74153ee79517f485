"""Hands uploads to the recorder, side by side, and tells the log and the metrics of each."""

import logging
import sys
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from typing import Any, TextIO

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from handler.domain import ObjectEvent, Outcome
from handler.errors import FieldError, UploadFailedError
from handler.events import Message
from handler.recorder import Recorder, Result

WORKERS = 16
FAILED = "failed"

_METRICS = {
    Outcome.RECORDED: "RunsRecorded",
    Outcome.REJECTED: "RunsRejected",
    Outcome.DUPLICATE: "DuplicateEvents",
    Outcome.STALE: "StaleEvents",
    Outcome.IGNORED: "IgnoredEvents",
    FAILED: "FailedEvents",
}

# Of Unicode, which JSON leaves as they are: a key that holds one must not look like two lines to anybody.
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}

Answer = dict[str, Any]
"""What became of an upload: its ``outcome``, an `Outcome` or `FAILED`, and what it names."""


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
    """Handles all that an event names, so that nothing in it can fail or hold up the rest.

    ``seconds`` is how long the uploads of one event may take together, None for as long as
    they need. What is not finished by then has failed; the threads that still wait for AWS are
    left behind with their pool, and whatever they may yet write, its conditions keep the order.
    """

    def __init__(self, recorder: Recorder, logger: Logger, metrics: Metrics) -> None:
        self._recorder = recorder
        self._logger = logger
        self._metrics = metrics
        # Kept between invocations, since its threads are a part of what a run costs.
        self._pool = ThreadPoolExecutor(WORKERS)

    def handle_uploads(self, uploads: list[ObjectEvent], seconds: float | None) -> list[Answer]:
        """The answer to each upload, in their order."""
        answers = self._handle_side_by_side(uploads, seconds)
        self._count(answers)
        return answers

    def handle_messages(self, messages: list[Message], seconds: float | None) -> list[list[Answer]]:
        """The answers to each message's uploads; one of failure for a message in error."""
        uploads = [upload for message in messages for upload in message.uploads]
        handled = iter(self._handle_side_by_side(uploads, seconds))
        answers = [
            [self._refuse(message)] if message.error else list(islice(handled, len(message.uploads)))
            for message in messages
        ]
        self._count(list(chain.from_iterable(answers)))
        return answers

    def _handle_side_by_side(self, uploads: list[ObjectEvent], seconds: float | None) -> list[Answer]:
        """Each waits for the network, none for another."""
        handled = [self._pool.submit(self._recorder.handle, upload) for upload in uploads]
        if wait(handled, timeout=seconds).not_done:
            for unfinished in handled:
                unfinished.cancel()
            self._pool = ThreadPoolExecutor(WORKERS)
        return [self._answer(upload, result) for upload, result in zip(uploads, handled, strict=True)]

    def _answer(self, upload: ObjectEvent, handled: Future[Result]) -> Answer:
        answer: Answer = {"bucket": upload.bucket, "key": upload.key}
        if upload.run:
            answer |= {"organisation_id": upload.run.organisation_id, "run_id": upload.run.run_id}
        if upload.version_id:
            answer["version_id"] = upload.version_id
        errors: tuple[FieldError, ...] = ()
        write, defect = self._logger.error, None
        try:
            result = _finished(handled)
        except UploadFailedError as error:
            answer |= {"outcome": FAILED, "reason": str(error)}
        except Exception as error:  # noqa: BLE001 - not even a defect of ours may fail the other uploads
            answer |= {"outcome": FAILED, "reason": type(error).__name__}
            defect = error
        else:
            answer["outcome"] = result.outcome.value
            if result.reason:
                answer["reason"] = result.reason
            errors = result.errors
            write = self._logger.warning if result.outcome is Outcome.IGNORED else self._logger.info
        write("Run upload handled", extra=answer, exc_info=defect)
        if errors:  # not for the log: they quote names of the document
            answer["errors"] = [{"path": error.path, "message": error.message} for error in errors]
        return answer

    def _refuse(self, message: Message) -> Answer:
        answer = {"outcome": FAILED, "reason": str(message.error)}
        self._logger.error("Message refused", extra={"message_id": message.message_id, **answer})
        return answer

    def _count(self, answers: list[Answer]) -> None:
        for outcome, count in Counter(answer["outcome"] for answer in answers).items():
            self._metrics.add_metric(_METRICS[outcome], MetricUnit.Count, count)
        if answers:
            self._metrics.flush_metrics()


def _finished(handled: Future[Result]) -> Result:
    if handled.cancelled() or not handled.done():
        raise UploadFailedError("the invocation's time ran out before this upload was handled")
    return handled.result()
