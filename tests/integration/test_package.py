"""The package that `sam build` makes, run as Lambda runs it.

SAM CLI ships Lambda's Runtime Interface Emulator, which needs no container.
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from handler.app import backfill_handler, lambda_handler
from local.__main__ import choose_handler
from local.stack import Handler, LocalStack
from tests.integration.conftest import EVENTS, SAMPLES, delete_records, expected_answer

ROOT = EVENTS.parent
SAM = Path(sys.prefix) / "sam"
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def find_python() -> Path | None:
    """Lambda's Python: from PATH or among pyenv's versions, whose shims may refuse to run it."""
    candidates = [shutil.which("python3.13"), *sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"))]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            return Path(candidate)
    return None


PYTHON = find_python()
pytestmark = pytest.mark.skipif(PYTHON is None, reason="NOT TESTED: the package, since python3.13 is not installed")


def run(*command: Any, env: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603
        [str(word) for word in command],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def sam_environ() -> dict[str, str]:
    assert PYTHON is not None
    path = os.pathsep.join([str(SAM / "bin"), str(PYTHON.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def package(sam_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Lambda would unpack to /var/task."""
    build = tmp_path_factory.mktemp("build")
    architecture = ARCHITECTURES[platform.machine().lower()]
    run("sam", "build", "--build-dir", build, "--parameter-overrides", f"Architecture={architecture}", env=sam_environ)
    recorder, backfill = build / "RecorderFunction", build / "BackfillFunction"
    assert contents(recorder) == contents(backfill)
    return recorder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def runtime_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lambda's runtime interface client for the package's Python."""
    target = tmp_path_factory.mktemp("runtime")
    constraints = ROOT / "requirements-dev.txt"
    run(
        PYTHON,
        "-m",
        "pip",
        "install",
        "-q",
        "--target",
        target,
        "-c",
        constraints,
        "awslambdaric",
        env=dict(os.environ),
    )
    return target


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    stack = LocalStack(endpoint_url=f"http://127.0.0.1:{port}")
    stack.upload_tree(EVENTS / "objects")
    yield stack
    server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Emulator:
    """The packaged function under the Runtime Interface Emulator."""

    def __init__(self, package: Path, runtime_client: Path, environment: dict[str, str], handler: str) -> None:
        (emulator,) = SAM.glob(
            f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURES[platform.machine().lower()]}"
        )
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        command = [
            emulator, "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
            "--runtime-api-address", f"127.0.0.1:{free_port()}",
            PYTHON, "-m", "awslambdaric", f"handler.app.{handler}",
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


@pytest.fixture(scope="module")
def emulators(package: Path, runtime_client: Path, stack: LocalStack) -> Iterator[dict[Handler, Emulator]]:
    """Both functions, by the entry point that they run."""
    handlers = (lambda_handler, backfill_handler)
    emulators = {
        handler: Emulator(package, runtime_client, stack.environment, handler.__name__) for handler in handlers
    }
    yield emulators
    for emulator in emulators.values():
        emulator.stop()


def test_sam_accepts_the_template(sam_environ: dict[str, str]) -> None:
    run("sam", "validate", "--lint", env=sam_environ)


def test_package_holds_the_function_with_bytecode_and_nothing_of_the_tests(package: Path) -> None:
    assert (package / "handler" / "metadata.schema.json").is_file()
    assert (package / "handler" / "__pycache__" / "app.cpython-313.pyc").is_file()
    assert {path.name for path in package.iterdir()}.isdisjoint({"tests", "local", "events", "moto", "pytest", "bin"})


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_packaged_function_gives_the_expected_answer(
    emulators: dict[Handler, Emulator], stack: LocalStack, sample: Path
) -> None:
    delete_records(stack)
    event = sample.read_bytes()
    answer = emulators[choose_handler(json.loads(event))].invoke(event)
    expected = json.loads(expected_answer(sample).read_text())
    assert {name: answer.get(name) for name in expected} == expected


def test_packaged_function_refuses_to_start_misconfigured(
    package: Path, runtime_client: Path, stack: LocalStack
) -> None:
    emulator = Emulator(
        package, runtime_client, stack.environment | {"RUNS_TABLE": "", "DEVELOPMENT": "perhaps"}, "lambda_handler"
    )
    try:
        answer = emulator.invoke((EVENTS / "s3-put.json").read_bytes())
    finally:
        emulator.stop()
    assert answer["errorType"] == "SettingsError"
    assert "DEVELOPMENT is 'perhaps', expected true or false; RUNS_TABLE is not set" in answer["errorMessage"]
