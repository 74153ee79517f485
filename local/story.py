"""A run in production, recorded, rejected and recorded again, and a run in development."""

import contextlib
import io
import json
from typing import Any

from handler.app import lambda_handler
from local import show
from local.samples import OBJECTS, local_stack
from local.stack import LocalStack, in_upload_order

RUN = "runs/acme/run-0001"


def run() -> None:
    """Show the first record in full, and the changes of each later one."""
    recorded = _show_production()
    show.chapter("Development: another output, and a version may be left open")
    with local_stack("development") as stack:
        _upload(stack, b'{"model": {"name": "amplification"}, "parameters": {"threshold": 0.01}}')
        show.changes({"config": recorded["config"]}, {"config": _deliver(stack)["config"]})


def _show_production() -> dict[str, Any]:
    """Show the uploads of a run in production; return its first record."""
    good = (OBJECTS / RUN / "metadata.json").read_bytes()
    bad = (OBJECTS / "runs/acme/run-0002/metadata.json").read_bytes()

    show.chapter("Production: a run is uploaded")
    with local_stack("production") as stack:
        files = in_upload_order(OBJECTS / RUN)
        show.step(f"upload {RUN}/: {', '.join(path.name for path in files)}")
        for path in files:
            stack.upload(f"{RUN}/{path.name}", path.read_bytes())
        recorded = _deliver(stack)
        show.record(recorded)

        show.chapter("Its document is uploaded again, with errors: the last accepted config stays")
        _upload(stack, bad)
        rejected = _deliver(stack)
        show.errors(rejected["errors"])
        show.changes(recorded, rejected)

        show.chapter("And once more, corrected: the record shows no errors")
        _upload(stack, good)
        show.changes(rejected, _deliver(stack))
    return recorded


def _upload(stack: LocalStack, document: bytes) -> None:
    show.step(f"upload {RUN}/metadata.json")
    stack.upload(f"{RUN}/metadata.json", document)


def _deliver(stack: LocalStack) -> dict[str, Any]:
    """Deliver the messages in the queue, show their outcomes, and return the record."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        while stack.deliver(lambda_handler):
            pass
    for line in map(json.loads, output.getvalue().splitlines()):
        if "outcome" in line:
            show.outcome(line, "S3 → SQS → lambda_handler → ")
    (item,) = stack.records()
    return show.plain(item)
