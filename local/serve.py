"""The stack in a moto server, its queue polled by processes of their own."""

import errno
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from local import show
from local.poller import to_argument
from local.samples import OBJECTS, PARAMETERS
from local.stack import LocalStack


def serve(host: str, port: int, pollers: int) -> int:
    """Keep the stack and hand what is uploaded to the function, until a signal ends this process.

    Returns:
        The exit status: 1, since this function returns only if it cannot go on.
    """
    try:
        url = start_moto(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return show.failure(f"port {port} of {host} is taken; choose another one: make serve PORT={port + 1}")
        return show.failure(f"cannot serve on {host}:{port}: {error.strerror}")
    stack = LocalStack(PARAMETERS, endpoint_url=url, objects=OBJECTS)
    for name, value in stack.outputs.items():
        show.step(f"{name}: {value}")
    ended = threading.Event()
    for _ in range(pollers):
        threading.Thread(target=_show_log, args=(_start_poller(stack), stack, ended), daemon=True).start()
    show.step(f"serving AWS on {url}; Ctrl-C ends it")
    while not ended.wait(0.2):
        pass  # a signal may interrupt another thread, but only this one runs its handler
    return show.failure("a poller ended by itself; its error is above")


def start_moto(host: str, port: int) -> str:
    """Start a moto server in this process and return its URL.

    Raises:
        OSError: this process cannot listen there.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    listener = socket.create_server((host, port))
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        host, port, application, threaded=True, request_handler=MotoRequestHandler, fd=listener.detach()
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.port}"


def _start_poller(stack: LocalStack) -> subprocess.Popen[str]:
    """Start a process that polls the queue and ends with this one, as its standard input does."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-u", "-m", "local.poller", to_argument(stack.event_source)],
        env={**os.environ, **stack.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C is for this process only
    )


_screen = threading.Lock()


def _show_log(poller: subprocess.Popen[str], stack: LocalStack, ended: threading.Event) -> None:
    try:
        for line in poller.stdout or ():
            entry = json.loads(line)
            if "outcome" in entry:
                errors = _read_errors(stack, entry) if entry["outcome"] in {"rejected", "pending"} else []
                with _screen:
                    show.outcome(entry, time.strftime("%H:%M:%S "))
                    show.errors(errors)
    finally:
        ended.set()


def _read_errors(stack: LocalStack, entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the errors of the record, since the log has none of them."""
    key = {name: {"S": entry[name]} for name in ("organisation_id", "run_id")}
    item = stack.dynamodb.get_item(TableName=stack.outputs["RunsTable"], Key=key).get("Item", {})
    return [show.plain(error["M"]) for error in item.get("errors", {"L": []})["L"]]
