"""Make the files of a release in ``dist/``: ``make dist``.

The same commit gives the same bytes, with the same versions of Python.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from local.sam import ROOT, find_python
from release.contents import package_template, write_project, zip_package
from run_recorder import __version__

DIST = ROOT / "dist"
FUNCTION = f"run-recorder-{__version__}-function"


def main() -> None:
    """Make all files, in an empty folder."""
    python = find_python()
    if python is None:
        raise SystemExit(
            "python3.13 compiles the function, and is not installed: install it, on the PATH or with pyenv"
        )
    os.environ["SOURCE_DATE_EPOCH"] = read_time()  # for the wheel and the bill of materials
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    make_wheel()
    with TemporaryDirectory() as folder:
        package = Path(folder) / "package"
        run(python, ROOT / "src" / "build_package.py", package)
        zip_package(package, DIST / f"{FUNCTION}.zip")
        make_bill_of_materials(python, package, Path(folder))
    template = package_template((ROOT / "template.yaml").read_text(encoding="utf-8"), f"{FUNCTION}.zip")
    (DIST / "template.yaml").write_text(template, encoding="utf-8")
    for name in ("LICENSE", "README.md"):  # which the template names for the AWS Serverless Application Repository
        shutil.copyfile(ROOT / name, DIST / name)
    write_checksums()


def read_time() -> str:
    """Return the time of the commit, in seconds since 1970."""
    command = ["git", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"a release is made of a commit, in a clone of the repository: {done.stderr.strip()}")
    return done.stdout.strip()


def run(*command: str | Path) -> None:
    """Run a command, which must succeed."""
    subprocess.run(command, check=True)  # noqa: S603


def make_wheel() -> None:
    """Build the wheel of the library and the command."""
    options: list[str | Path] = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", DIST]
    run(sys.executable, "-m", "pip", "wheel", *options, ROOT)


def make_bill_of_materials(python: Path, package: Path, folder: Path) -> None:
    """List the packages in the function's zip, with their licences and dependencies, as CycloneDX."""
    # cyclonedx-py lists the packages of a Python. So it gets one that has those of the zip and no others.
    environment = folder / "environment"
    run(python, "-m", "venv", "--without-pip", environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "function.pth").write_text(str(package))
    project = folder / "pyproject.toml"
    write_project(ROOT / "pyproject.toml", project)
    options: list[str | Path] = ["--output-reproducible", "--pyproject", project]
    options += ["--output-file", DIST / f"{FUNCTION}.cdx.json"]
    run(Path(sys.executable).parent / "cyclonedx-py", "environment", *options, environment)


def write_checksums() -> None:
    """Write the SHA-256 of each file in the format of ``sha256sum``."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(DIST.iterdir())]
    (DIST / "SHA256SUMS").write_text("".join(lines))
    for file in sorted(DIST.iterdir()):
        print(f"{file.stat().st_size:>10,}  dist/{file.name}")


if __name__ == "__main__":
    main()
