"""Changes to moto, made in this process.

Stands for: the atomicity of an operation on one item or on one queue, which moto's threads break; a parameter of the
type Number that is text in a function's environment.

Leaves out: everything else in which moto differs from AWS. Its notifications have no sequencer and no version: events
that have them are the tests' own.
"""

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.awslambda.models import LambdaFunction
from moto.dynamodb.models import DynamoDBBackend
from moto.sqs import models as sqs


def install() -> None:
    """Change moto in this process."""
    _state_variables_as_text()
    # In DynamoDB an operation on one item is atomic. In moto, a thread may read, or overwrite, an item that another
    # thread has created and not yet filled.
    _exclude_each_other(DynamoDBBackend, "get_item", "put_item", "update_item", "delete_item")
    # A deletion copies the list of messages, so that a message which is added meanwhile is lost.
    _exclude_each_other(sqs.Queue, "add_message", "delete_message")
    # Two receivers get the same message, and move it to the dead-letter queue twice. Here the second one waits.
    _exclude_each_other(sqs.SQSBackend, "receive_message")
    # For each message that is sent or received, moto compares the times of all messages in the queue several times,
    # and its own clock function takes most of the time of a burst of uploads.
    sqs.unix_time_millis = lambda _=None: time.time() * 1000  # type: ignore[attr-defined, assignment]


def _state_variables_as_text() -> None:
    """Make CloudFormation pass a parameter of the type Number to a function as text, as in AWS."""
    initialize: Any = LambdaFunction.__init__

    @functools.wraps(initialize)
    def initialize_with_text(function: LambdaFunction, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        initialize(function, *arguments, **named)
        function.environment_vars = {name: str(value) for name, value in function.environment_vars.items()}

    LambdaFunction.__init__ = initialize_with_text  # type: ignore[assignment, method-assign]


def _exclude_each_other(owner: type, *names: str) -> None:
    lock = threading.RLock()

    def locked(operation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(operation)
        def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any operation
            with lock:
                return operation(*arguments, **named)

        return run

    for name in names:
        setattr(owner, name, locked(getattr(owner, name)))
