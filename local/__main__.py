"""`python -m local`: the stack on this machine, for a person to see and to try."""

import argparse
import contextlib
import io
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto import mock_aws
from moto.server import ThreadedMotoServer

from handler.app import backfill_handler, lambda_handler
from handler.errors import RunRecorderError
from local import show
from local.stack import Handler, LocalStack, in_upload_order

OBJECTS = Path(__file__).parent.parent / "events" / "objects"
RUN = "runs/acme/run-0001"
PARAMETERS = {
    "ModelName": "amplification",
    "ModelVersion": "2.1.0",
    "ModelParameters": '{"threshold": 0.05, "cycles": 40}',
}


def run() -> None:
    """Tells the story of a run: recorded, broken, recovered, and in development."""
    good = (OBJECTS / RUN / "metadata.json").read_bytes()
    broken = (OBJECTS / "runs/acme/run-0002/metadata.json").read_bytes()

    show.chapter("Production: a run is uploaded")
    with _stack("production") as stack:
        for path in in_upload_order(OBJECTS / RUN):
            _upload(stack, path.name, path.read_bytes())
        _tell_delivery(stack)

        show.chapter("The document is uploaded again, broken: the last good config stays")
        _upload(stack, "metadata.json", broken)
        _tell_delivery(stack)

        show.chapter("And once more, mended: the record recovers")
        _upload(stack, "metadata.json", good)
        _tell_delivery(stack)

    show.chapter("Development: another output, and a version may be left open")
    with _stack("development") as stack:
        _upload(stack, "metadata.json", b'{"model": {"name": "amplification"}, "parameters": {"threshold": 0.01}}')
        _tell_delivery(stack)


def invoke(file: Path) -> int:
    """Hands a sample event to the function, with the objects of ``events/objects`` in the bucket.

    Returns:
        The exit status: 1 if the function raised.
    """
    event = json.loads(file.read_text())
    handler = choose_handler(event)
    with _stack("production") as stack:
        stack.upload_tree(OBJECTS)
        show.step(f"{file} → {handler.__name__}")
        try:
            show.document(handler(event, None), "the function's answer")
        except RunRecorderError as error:
            show.document({"errorType": type(error).__name__, "errorMessage": str(error)}, "the function raised", "red")
            return 1
        for item in stack.records():
            show.record(item)
    return 0


def serve(host: str, port: int) -> None:
    """Keeps the stack, and hands what is uploaded to the function, until Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address=host, port=port, verbose=False)
    server.start()
    try:
        _, actual_port = server.get_host_and_port()
        stack = LocalStack(PARAMETERS, endpoint_url=f"http://127.0.0.1:{actual_port}")
        os.environ.update(stack.environment)
        stack.upload_tree(OBJECTS)
        for name, value in stack.outputs.items():
            show.step(f"{name}: {value}")
        show.step(f"serving AWS on http://{host}:{actual_port}; Ctrl-C ends it")
        while not stop.is_set():
            if not _deliver(stack):
                stop.wait(0.2)
    finally:
        server.stop()


def choose_handler(event: dict[str, Any]) -> Handler:
    """The entry point that AWS would hand this event to."""
    return backfill_handler if "invocationSchemaVersion" in event else lambda_handler


@contextlib.contextmanager
def _stack(stage: str) -> Iterator[LocalStack]:
    with mock_aws():
        stack = LocalStack({"Stage": stage, **PARAMETERS})
        os.environ.update(stack.environment)
        yield stack


def _upload(stack: LocalStack, name: str, body: bytes) -> None:
    show.step(f"upload s3://{stack.outputs['RunsBucket']}/{RUN}/{name}, {len(body)} bytes")
    stack.upload(f"{RUN}/{name}", body)


def _tell_delivery(stack: LocalStack) -> None:
    show.step("S3 notification → queue → lambda_handler")
    while _deliver(stack):
        pass
    for item in stack.records():
        show.record(item)


def _deliver(stack: LocalStack) -> bool:
    """Delivers a batch and shows what became of it; returns whether there was anything to deliver."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        records = stack.deliver(lambda_handler)
    for line in map(json.loads, output.getvalue().splitlines()):
        if "outcome" in line:
            show.outcome(line)
    return bool(records)


def main() -> int:
    """Runs the command that the arguments name; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="record a sample run and show what happens")
    invoke_parser = commands.add_parser("invoke", help="hand a sample event to the function")
    invoke_parser.add_argument("file", type=Path, help="for example events/s3-put.json")
    serve_parser = commands.add_parser("serve", help="keep the stack, to be tried with any client")
    serve_parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets containers in")
    serve_parser.add_argument("--port", type=int, default=5000, help="0 takes a free one")
    arguments = parser.parse_args()
    if arguments.command == "invoke":
        return invoke(arguments.file)
    if arguments.command == "serve":
        serve(arguments.host, arguments.port)
    else:
        run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
