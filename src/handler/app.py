"""The entry points: an event in, an answer out. No rules here.

Two Lambda functions run this code, since S3 Batch Operations must not invoke one that
events trigger: ``handler.app.lambda_handler`` and ``handler.app.backfill_handler``.
"""

import functools
import logging
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TextIO

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config

from handler.config import is_lambda, load_settings, snapshot
from handler.domain import Outcome, Upload
from handler.errors import FieldError, UploadFailedError
from handler.events import Message, is_from_sqs, parse_messages, parse_tasks, parse_uploads
from handler.recorder import Recorder
from handler.runs import RunTable
from handler.s3 import S3

_WORKERS = 16
_CLIENT_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=_WORKERS,
)
_MAX_RESULT_LENGTH = 1024  # of S3 Batch Operations
_FAILED = "failed"
_METRICS = {
    Outcome.RECORDED: "RunsRecorded",
    Outcome.REJECTED: "RunsRejected",
    Outcome.DUPLICATE: "DuplicateEvents",
    Outcome.STALE: "StaleEvents",
    Outcome.IGNORED: "IgnoredEvents",
    _FAILED: "FailedEvents",
}

_Answer = dict[str, Any]


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Records every upload that an S3 event names.

    Args:
        event: what S3, SNS, EventBridge or SQS deliver when objects were created.

    Returns:
        For SQS ``{"batchItemFailures": [{"itemIdentifier": message id}, …]}``, the messages
        to deliver again; otherwise ``{"outcomes": [{"bucket", "key", "outcome", …}, …]}``.

    Raises:
        SettingsError: environment variables are missing or bad.
        UnknownEventError: the event is not one of S3.
        UploadFailedError: uploads failed, and it is not SQS that could be told which; all
            were tried.
    """
    services = _connect(snapshot())
    if is_from_sqs(event):
        return _answer_sqs(services, parse_messages(event))
    return _answer_directly(services, parse_uploads(event))


def backfill_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Records the objects that a job of S3 Batch Operations lists; safe beside live events.

    Args:
        event: an invocation, schema 1.0 or 2.0.

    Returns:
        One result a task: ``Succeeded`` with the outcome, ``TemporaryFailure`` if AWS did not
        do its part, ``PermanentFailure`` if the task names no object.

    Raises:
        SettingsError: environment variables are missing or bad.
        UnknownEventError: the event is not one of S3 Batch Operations.
    """
    return _answer_batch(_connect(snapshot()), event, parse_tasks(event))


class _Stdout(logging.StreamHandler[TextIO]):
    """Writes to what is standard output at the time of writing, as ``print`` does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


@dataclass(frozen=True, slots=True)
class _Services:
    recorder: Recorder
    logger: Logger
    metrics: Metrics


@functools.lru_cache(maxsize=1)
def _connect(_environment: tuple[tuple[str, str], ...]) -> _Services:
    """What is made once for an environment and shared by the invocations in it."""
    settings = load_settings()
    return _Services(
        Recorder(
            settings,
            S3(boto3.client("s3", config=_CLIENT_CONFIG)),
            RunTable(settings.runs_table, boto3.client("dynamodb", config=_CLIENT_CONFIG)),
        ),
        Logger(service=settings.service, logger_handler=_Stdout()),
        Metrics(service=settings.service, namespace=settings.metrics_namespace),
    )


def _answer_directly(services: _Services, uploads: list[Upload]) -> dict[str, Any]:
    answers = _handle_uploads(services, uploads)
    _publish(services, answers)
    failed = [f"s3://{answer['bucket']}/{answer['key']}" for answer in answers if answer["outcome"] == _FAILED]
    if failed:
        raise UploadFailedError(f"{len(failed)} of {len(answers)} uploads failed, see the log: {', '.join(failed)}")
    return {"outcomes": answers}


def _answer_sqs(services: _Services, messages: list[Message]) -> dict[str, Any]:
    failed = [
        message.message_id
        for message, answers in zip(messages, _handle_messages(services, messages), strict=True)
        if any(answer["outcome"] == _FAILED for answer in answers)
    ]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _answer_batch(services: _Services, event: dict[str, Any], tasks: list[Message]) -> dict[str, Any]:
    results = []
    for task, (answer,) in zip(tasks, _handle_messages(services, tasks), strict=True):
        code, text = "Succeeded", answer["outcome"]
        if text == _FAILED:
            code = "PermanentFailure" if task.error else "TemporaryFailure"
            text = f"{_FAILED}: {answer['reason']}"[:_MAX_RESULT_LENGTH]
        results.append({"taskId": task.message_id, "resultCode": code, "resultString": text})
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "invocationId": event["invocationId"],
        "treatMissingKeysAs": "PermanentFailure",
        "results": results,
    }


def _handle_messages(services: _Services, messages: list[Message]) -> list[list[_Answer]]:
    """The answers of each message; one of failure for a message that names no upload."""
    handled = iter(_handle_uploads(services, [upload for message in messages for upload in message.uploads]))
    answers = [
        [_refuse(services, message)] if message.error else list(islice(handled, len(message.uploads)))
        for message in messages
    ]
    _publish(services, list(chain.from_iterable(answers)))
    return answers


def _refuse(services: _Services, message: Message) -> _Answer:
    answer = {"outcome": _FAILED, "reason": str(message.error)}
    services.logger.error("Message refused", extra={"message_id": message.message_id, **answer})
    return answer


def _handle_uploads(services: _Services, uploads: list[Upload]) -> list[_Answer]:
    """Handles the uploads side by side: each waits for the network, none for another."""
    handle = functools.partial(_handle, services)
    if len(uploads) > 1:
        with ThreadPoolExecutor(min(_WORKERS, len(uploads))) as pool:
            return list(pool.map(handle, uploads))
    return [handle(upload) for upload in uploads]


def _handle(services: _Services, upload: Upload) -> _Answer:
    """Handles one upload and logs what became of it; raises nothing."""
    answer: _Answer = {"bucket": upload.bucket, "key": upload.key}
    if upload.run:
        answer |= {"organisation_id": upload.run.organisation_id, "run_id": upload.run.run_id}
    if upload.version_id:
        answer["version_id"] = upload.version_id
    errors: tuple[FieldError, ...] = ()
    write, defect = services.logger.error, None
    try:
        result = services.recorder.handle(upload)
    except UploadFailedError as error:
        answer |= {"outcome": _FAILED, "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - not even a defect of ours may fail the other uploads
        answer |= {"outcome": _FAILED, "reason": type(error).__name__}
        defect = error
    else:
        answer["outcome"] = result.outcome.value
        if result.reason:
            answer["reason"] = result.reason
        errors = result.errors
        write = services.logger.warning if result.outcome is Outcome.IGNORED else services.logger.info
    write("Run upload handled", extra=answer, exc_info=defect)
    if errors:
        answer["errors"] = [{"path": error.path, "message": error.message} for error in errors]
    return answer


def _publish(services: _Services, answers: list[_Answer]) -> None:
    for outcome, count in Counter(answer["outcome"] for answer in answers).items():
        services.metrics.add_metric(_METRICS[outcome], MetricUnit.Count, count)
    if answers:
        services.metrics.flush_metrics()


if is_lambda():
    # The init phase has more CPU than an invocation, and a wrong configuration must fail
    # before an event is taken.
    _connect(snapshot())
