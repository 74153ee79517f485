"""Lambda's Runtime Interface Emulator, which SAM CLI ships. It needs no container."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from local.sam import ARCHITECTURE, SAM


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
            **environment,
        }
        self.process = subprocess.Popen([str(word) for word in command], cwd=package, env=environ)  # noqa: S603
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the emulator does not listen"
                time.sleep(0.05)

    def invoke(self, event: bytes) -> Any:
        """The function's answer, or its error, to an event."""
        request = urllib.request.Request(self.url, data=event)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return json.loads(response.read())
        except urllib.error.HTTPError as error:  # the function did not start
            return json.loads(error.read())

    def stop(self) -> None:
        """Ends the emulator and the function."""
        self.process.kill()
        self.process.wait()
