"""Lambda's Runtime Interface Emulator, which is part of the SAM CLI. It does not need a container."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from local.sam import ARCHITECTURE, SAM

_HANG = 300  # seconds after which a test that hangs fails; no outcome depends on it
# Below the ranges from which Linux and macOS assign ports, so that no connection and no other server takes the port
# before the emulator binds it.
_PORTS = range(10_000, 32_000)


def free_port() -> int:
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            port = secrets.choice(_PORTS)
            probe.bind(("127.0.0.1", port))
            return port


class Emulator:
    """The packaged function under the Runtime Interface Emulator."""

    def __init__(
        self, python: Path, package: Path, runtime_client: Path, environment: dict[str, str], handler: str
    ) -> None:
        (emulator,) = SAM.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        command = [
            emulator, "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
            "--runtime-api-address", f"127.0.0.1:{free_port()}",
            python, "-m", "awslambdaric", f"handler.app.{handler}",
        ]  # fmt: skip
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{package}{os.pathsep}{runtime_client}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(_HANG),
            **environment,
        }
        self.process = subprocess.Popen([str(word) for word in command], cwd=package, env=environ)  # noqa: S603
        deadline = time.monotonic() + _HANG
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert self.process.poll() is None, "the emulator has ended"
                assert time.monotonic() < deadline, "the emulator does not listen"
                time.sleep(0.05)

    def invoke(self, event: bytes) -> Any:
        """Return the answer of the function to an event, or its error."""
        request = urllib.request.Request(self.url, data=event)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_HANG) as response:  # noqa: S310
                return json.loads(response.read())
        except urllib.error.HTTPError as error:  # the function did not start
            return json.loads(error.read())

    def stop(self) -> None:
        """End the emulator and the function."""
        self.process.kill()
        self.process.wait()
