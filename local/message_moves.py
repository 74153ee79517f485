"""Message move tasks, which moto's SQS lacks. All messages move when the task starts."""

import time
import uuid
from typing import Any

from moto.core.responses import ActionResult
from moto.sqs.models import SQSBackend
from moto.sqs.responses import SQSResponse


def _start(self: SQSResponse) -> ActionResult:
    backend = self.sqs_backend
    source_arn, destination_arn = self._get_param("SourceArn"), self._get_param("DestinationArn")
    source, destination = (arn.rpartition(":")[2] for arn in (source_arn, destination_arn))
    moved = 0
    while messages := backend.receive_message(source, 10, 0, 60, ["All"]):
        for message in messages:
            backend.send_message(destination, message.body, message_attributes=message.message_attributes)
            backend.delete_message(source, message.receipt_handle or "")
        moved += len(messages)
    task = {
        "SourceArn": source_arn,
        "DestinationArn": destination_arn,
        "Status": "COMPLETED",
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": moved,
        "StartedTimestamp": time.time_ns() // 1_000_000,
    }
    _tasks_of(backend).insert(0, task)
    return ActionResult({"TaskHandle": str(uuid.uuid4())})


def _list(self: SQSResponse) -> ActionResult:
    tasks = [task for task in _tasks_of(self.sqs_backend) if task["SourceArn"] == self._get_param("SourceArn")]
    return ActionResult({"Results": tasks[: self._get_param("MaxResults", 1)]})


def _tasks_of(backend: SQSBackend) -> list[dict[str, Any]]:
    """Return the tasks of the backend, the latest first; moto's reset deletes them with the queues."""
    tasks: list[dict[str, Any]] = backend.__dict__.setdefault("message_move_tasks", [])
    return tasks


def install() -> None:
    """Add both operations to moto's SQS."""
    SQSResponse.start_message_move_task = _start  # type: ignore[attr-defined]
    SQSResponse.list_message_move_tasks = _list  # type: ignore[attr-defined]
