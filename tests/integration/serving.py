"""A process of `python -m local serve`."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator

from local.sam import ROOT

COMMAND = [sys.executable, "-m", "local"]


def shell_environment() -> dict[str, str]:
    """Return an environment as a shell may have it: AWS is set up in it, for another region and account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RUNS_", "OUTPUT_"))}
    elsewhere = {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_PROFILE": "no-such-profile", "AWS_ENDPOINT_URL": "http://x"}
    return kept | elsewhere | {"PYTHONPATH": "src", "COLUMNS": "200", "NO_COLOR": "1"}


@contextlib.contextmanager
def serving(*options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the process on a free port; yield its URL and the process."""
    command = [*COMMAND, "serve", "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, env=shell_environment(), stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        (url,) = next(found for line in process.stdout if (found := re.findall(r"serving AWS on (\S+);", line)))
        yield url, process
        process.kill()
