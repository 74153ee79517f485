"""SAM CLI and Lambda's Python on this machine."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAM = Path(sys.prefix) / "sam"
"""The virtual environment of SAM CLI, inside the one of this process."""

ARCHITECTURE = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
"""The architecture of this machine, by its name in Lambda."""


def find_python() -> Path | None:
    """Return Lambda's Python, from PATH or from the versions of pyenv, whose shims may refuse to run it."""
    on_path = shutil.which("python3.13")
    installed = sorted(Path.home().glob(".pyenv/versions/3.13.*/bin/python3.13"))
    for candidate in [Path(on_path), *installed] if on_path else installed:
        if subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:  # noqa: S603
            return candidate
    return None


def run_sam(python: Path, *arguments: str | Path, umask: int = -1) -> str:
    """Run SAM CLI at the top of this project and return its output.

    Raises:
        RuntimeError: SAM CLI failed; the message holds its output.
    """
    path = os.pathsep.join([str(SAM / "bin"), str(python.parent), os.environ["PATH"]])
    done = subprocess.run(  # noqa: S603
        [str(SAM / "bin" / "sam"), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        umask=umask,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"sam {arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
