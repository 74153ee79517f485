"""`invoke`: invoke the function with a sample event, as AWS would."""

import json
from pathlib import Path
from typing import Any

from handler.app import backfill_handler, lambda_handler
from local import show
from local.poller import Handler
from local.samples import OBJECTS, local_stack
from run_recorder.errors import RunRecorderError


def invoke(file: Path) -> int:
    """Invoke the function with an event, with the sample objects in the bucket; show its answer and the records.

    Returns:
        The exit status: 1 if the file is not an event, or if the function raised an error.
    """
    try:
        event = json.loads(file.read_bytes())
    except OSError as error:
        return show.failure(f"cannot read {file}: {error.strerror}")
    except (ValueError, RecursionError) as error:
        return show.failure(f"{file} is not JSON: {error}")
    if not isinstance(event, dict):
        return show.failure(f"{file} is not an event: expected a JSON object")
    handler = choose_handler(event)
    with local_stack("production", OBJECTS) as stack:
        show.step(f"{file} → {handler.__name__}")
        try:
            show.document(handler(event, None), "the function's answer")
        except RunRecorderError as error:
            show.document({"errorType": type(error).__name__, "errorMessage": str(error)}, "the function raised", "red")
            return 1
        for item in stack.records():
            show.record(show.plain(item))
    return 0


def choose_handler(event: dict[str, Any]) -> Handler:
    """Return the entry point that AWS would invoke with this event."""
    return backfill_handler if "invocationSchemaVersion" in event else lambda_handler
