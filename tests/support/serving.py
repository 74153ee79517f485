"""Processes of `python -m local`."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from local.sam import ROOT

VARIABLES = json.loads((ROOT / "local" / "sam-env-vars.json").read_text())["Parameters"]
COMMAND = [sys.executable, "-m", "local"]


def shell_environment(site: Path | None = None) -> dict[str, str]:
    """Return an environment as a shell may have it: AWS is set up in it, for another region and account.

    Args:
        site: a folder with a ``sitecustomize.py``, which Python runs when it starts.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RUNS_", "OUTPUT_"))}
    elsewhere = {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_PROFILE": "no-such-profile", "AWS_ENDPOINT_URL": "http://x"}
    return kept | elsewhere | {"PYTHONPATH": f"src{os.pathsep}{site or ''}", "COLUMNS": "80", "NO_COLOR": "1"}


def run_local(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `python -m local` to its end."""
    return subprocess.run(  # noqa: S603
        [*COMMAND, *arguments], cwd=ROOT, env=shell_environment(), capture_output=True, text=True, check=False
    )


@contextlib.contextmanager
def serving(*options: str, site: Path | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the process on a free port; yield its URL and the process."""
    command = [*COMMAND, "serve", "--port", "0", *options]
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=ROOT,
        env=shell_environment(site),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            (url,) = next(found for line in process.stdout if (found := re.findall(r"serving AWS on (\S+);", line)))
            yield url, process
        finally:
            process.kill()
