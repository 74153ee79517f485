"""The entry points: an event in, an answer out. No rules here.

Two Lambda functions run this code, since S3 Batch Operations must not invoke one that
events trigger: ``handler.app.lambda_handler`` and ``handler.app.backfill_handler``.

The rules are in the library: `run_recorder.events` parses an event, `run_recorder.metadata` a document,
`run_recorder.config` builds the model config, and `run_recorder.recorder` records the run.
"""

import functools
import gc
from typing import Any

import boto3
from aws_lambda_powertools import Metrics
from botocore.config import Config

from handler.dispatcher import WORKERS, Dispatcher, Invocation
from handler.last_modified import parse_last_modified
from handler.log import make_logger
from run_recorder._version import __version__
from run_recorder.config import build_model_config, is_lambda, load_settings, snapshot
from run_recorder.domain import Outcome
from run_recorder.errors import UploadFailedError
from run_recorder.events import is_from_sqs, parse_messages, parse_object_events, parse_tasks
from run_recorder.queue import UploadsQueue
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3

__all__ = ["backfill_handler", "build_model_config", "lambda_handler"]

_CLIENT_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=WORKERS,
    parameter_validation=False,  # AWS checks the same; to do it twice takes 7 % of a call's CPU time
    # The SDK makes its own anew for every request, in 9 % of a call's CPU time.
    user_agent=f"run-recorder/{__version__} Boto3/{boto3.__version__}",
)
_SHARE_FOR_UPLOADS = 0.9  # of an invocation's time; the rest is for the answer
_MAX_RESULT_LENGTH = 1024  # of S3 Batch Operations


def lambda_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Record every upload that an S3 event names.

    Args:
        event: the event that S3, SNS, EventBridge or SQS delivers when objects are created.
        context: the context of Lambda; its remaining time limits the work.

    Returns:
        For SQS ``{"batchItemFailures": [{"itemIdentifier": message id}, …]}``, the messages
        to redeliver; otherwise ``{"outcomes": [{"bucket", "key", "outcome", …}, …]}``.

    Raises:
        SettingsError: environment variables are missing or bad.
        UnknownEventError: the event is not an S3 event.
        UploadFailedError: uploads of an event that SQS did not deliver failed; all were tried.
    """
    dispatcher, invocation = _connect(snapshot()), _describe_invocation(context)
    if is_from_sqs(event):
        return _answer_sqs(event, dispatcher, invocation)
    return _answer_directly(event, dispatcher, invocation)


def backfill_handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Record the runs that a job of S3 Batch Operations lists; safe beside live events.

    Args:
        event: an invocation, schema 1.0 or 2.0.
        context: the context of Lambda; its remaining time limits the work.

    Returns:
        One result a task: ``Succeeded`` with the outcome, ``TemporaryFailure`` if AWS refused a call or
        did not answer, ``PermanentFailure`` if the task names no object.

    Raises:
        SettingsError: environment variables are missing or bad.
        UnknownEventError: the event is not an invocation by S3 Batch Operations.
    """
    return _answer_batch(event, _connect(snapshot()), _describe_invocation(context))


@functools.lru_cache(maxsize=1)
def _connect(environment: tuple[tuple[str, str], ...]) -> Dispatcher:
    """Return the dispatcher and the clients that all invocations with the same environment variables share."""
    settings = load_settings(dict(environment))
    s3 = boto3.client("s3", config=_CLIENT_CONFIG)
    s3.meta.events.register("before-parse.s3.GetObject", parse_last_modified)
    recorder = Recorder(
        settings,
        S3(s3),
        RunTable(settings.runs_table, boto3.client("dynamodb", config=_CLIENT_CONFIG)),
    )
    return Dispatcher(
        recorder,
        make_logger(settings.service),
        Metrics(service=settings.service, namespace=settings.metrics_namespace),
        UploadsQueue(settings.uploads_queue_url, config=_CLIENT_CONFIG) if settings.uploads_queue_url else None,
    )


def _describe_invocation(context: object) -> Invocation:
    """Return the invocation that a context of Lambda describes; outside Lambda a context may describe nothing."""
    request_id = getattr(context, "aws_request_id", None)
    remaining_time = getattr(context, "get_remaining_time_in_millis", None)
    milliseconds = remaining_time() if callable(remaining_time) else None
    return Invocation(
        request_id if isinstance(request_id, str) else None,
        milliseconds / 1000 * _SHARE_FOR_UPLOADS if isinstance(milliseconds, int | float) else None,
    )


def _answer_directly(event: dict[str, Any], dispatcher: Dispatcher, invocation: Invocation) -> dict[str, Any]:
    answers = dispatcher.handle_object_events(parse_object_events(event), invocation)
    failed = [f"s3://{answer['bucket']}/{answer['key']}" for answer in answers if answer["outcome"] == Outcome.FAILED]
    if failed:
        raise UploadFailedError(f"{len(failed)} of {len(answers)} uploads failed, see the log: {', '.join(failed)}")
    return {"outcomes": answers}


def _answer_sqs(event: dict[str, Any], dispatcher: Dispatcher, invocation: Invocation) -> dict[str, Any]:
    messages = parse_messages(event, can_wait=dispatcher.queue is not None)
    failed = [
        message.item_id
        for message, answers in zip(messages, dispatcher.handle_items(messages, invocation), strict=True)
        if any(answer["outcome"] == Outcome.FAILED for answer in answers)
    ]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _answer_batch(event: dict[str, Any], dispatcher: Dispatcher, invocation: Invocation) -> dict[str, Any]:
    tasks = parse_tasks(event)
    results = []
    for task, (answer,) in zip(tasks, dispatcher.handle_items(tasks, invocation), strict=True):
        code, text = "Succeeded", answer["outcome"]
        if text == Outcome.FAILED:
            code = "PermanentFailure" if task.error else "TemporaryFailure"
            text = f"{text}: {answer['reason']}"[:_MAX_RESULT_LENGTH]
        results.append({"taskId": task.item_id, "resultCode": code, "resultString": text})
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "invocationId": event["invocationId"],
        "treatMissingKeysAs": "PermanentFailure",
        "results": results,
    }


if is_lambda():
    # The init phase has more CPU than an invocation, and a wrong configuration must fail before an
    # event is handled.
    _connect(snapshot()).log_start(__version__)
    # The objects of the start live as long as the process: the garbage collector, which `handler` stopped, need not
    # look at them.
    gc.freeze()
    gc.enable()
