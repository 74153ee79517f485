"""The sample events and objects, and a stack for them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from moto import mock_aws

from local.stack import LocalStack

EVENTS = Path(__file__).parent.parent / "events"
OBJECTS = EVENTS / "objects"
SAMPLES = sorted(path for path in EVENTS.glob("*.json") if not path.name.endswith(".expected.json"))
PARAMETERS = {
    "ModelName": "amplification",
    "ModelVersion": "2.1.0",
    "ModelParameters": '{"threshold": 0.05, "cycles": 40}',
}


def expected_answer(sample: Path) -> Path:
    """Return the file with the expected answer to a sample event."""
    return sample.with_suffix(".expected.json")


@contextlib.contextmanager
def local_stack(stage: str, objects: Path | None = None) -> Iterator[LocalStack]:
    """Create the stack in this process, and give the process the environment of the function."""
    with mock_aws():
        stack = LocalStack({"Stage": stage, **PARAMETERS}, objects=objects)
        os.environ.update(stack.environment)
        yield stack
