"""The sample events, each run in a container of `sam local invoke`, with a stack in this process."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local import show
from local.invoke import choose_handler
from local.sam import ARCHITECTURE, ROOT, SAM, find_python, run_sam
from local.samples import EVENTS, OBJECTS, SAMPLES, expected_answer
from local.serve import start_moto
from local.stack import LocalStack

_FUNCTIONS = {"lambda_handler": "RecorderFunction", "backfill_handler": "BackfillFunction"}
_FIND_ENGINE = (
    "from samcli.local.docker.container_client_factory import ContainerClientFactory as Factory;Factory.create_client()"
)

Invoke = Callable[[str, Path], dict[str, Any]]
"""A function that invokes a Lambda function, by its name in the template, and returns its answer or its error."""


def run_samples() -> int:
    """Build the functions, run every sample event, and compare the answers with the expected ones.

    Returns:
        The exit status: 1 if an answer differs, or if nothing can be run on this machine.
    """
    python = find_python()
    if python is None:
        return show.failure("not run: python3.13, with which the functions are built, is not installed")
    if not _has_engine():
        return show.failure("not run: SAM CLI finds no container engine, neither Docker nor Finch")
    url = start_moto("0.0.0.0", 0)  # noqa: S104 - containers reach this machine by its address in their network
    stack = LocalStack(endpoint_url=url, objects=OBJECTS)
    try:
        with TemporaryDirectory() as folder:
            return compare(stack, _build(python, Path(folder), url))
    except RuntimeError as error:
        return show.failure(str(error))


def compare(stack: LocalStack, invoke: Invoke) -> int:
    """Run every sample event, each on an empty table; return the exit status, 1 if an answer is not as expected."""
    status = 0
    for sample in SAMPLES:
        stack.delete_records()
        expected = json.loads(expected_answer(sample).read_text())
        answer = invoke(_FUNCTIONS[choose_handler(json.loads(sample.read_text())).__name__], sample)
        # An error also has a message and a stack trace.
        if {name: answer.get(name) for name in expected} == expected:
            show.step(f"{sample.relative_to(EVENTS.parent)}: as expected")
        else:
            status = show.failure(f"{sample.name}: the answer is {json.dumps(answer)}")
    return status


def _build(python: Path, folder: Path, url: str) -> Invoke:
    """Build the functions, and return a function that invokes them in containers, with the stack at this URL."""
    overrides = ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
    show.step("sam build")
    run_sam(python, "build", "--build-dir", folder, *overrides)
    variables = json.loads((ROOT / "local" / "sam-env-vars.json").read_text())
    variables["Parameters"]["AWS_ENDPOINT_URL"] = url.replace("127.0.0.1", "host.docker.internal")
    (folder / "variables.json").write_text(json.dumps(variables))
    # SAM CLI looks for its configuration beside the template, which is in another folder here.
    options: list[str | Path] = ["--config-file", ROOT / "samconfig.toml", "--template", folder / "template.yaml"]
    options += ["--env-vars", folder / "variables.json", *overrides]

    def invoke(function: str, event: Path) -> dict[str, Any]:
        printed = run_sam(python, "local", "invoke", function, "--event", event, *options).strip()
        try:
            answer: dict[str, Any] = json.loads(printed.rpartition("\n")[2])
        except ValueError:
            return {"printed": printed}
        return answer

    return invoke


def _has_engine() -> bool:
    """Return whether SAM CLI finds a container engine that answers."""
    command: list[str | Path] = [SAM / "bin" / "python", "-c", _FIND_ENGINE]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
