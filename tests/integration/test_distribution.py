"""The distribution: its wheel, installed outside the checkout and used there as its users do."""

import json
import os
import re
import subprocess
import sys
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

from local.sam import ROOT
from run_recorder import __version__

INFO = f"run_recorder-{__version__}.dist-info"
PROGRAM = """
import json
import boto3
import run_recorder
from run_recorder import S3, Metadata, Model, Run, build_model_config

env = {"RUNS_BUCKET": "uploads", "RUNS_TABLE": "runs", "OUTPUT_BUCKET": "results"}
config = build_model_config(Run("acme", "run-0001"), Metadata(model=Model("m", "1.0")), env)
s3 = S3(boto3.client("s3", region_name="eu-west-1"))
print(json.dumps([run_recorder.__file__, config, s3.client.meta.region_name]))
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command without the variables of this process, such as PYTHONPATH."""
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}  # Windows' own
    environment["NO_COLOR"] = "1"
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


def python(*arguments: str | Path) -> None:
    """Run the Python of this environment, which has pip and the build backend."""
    subprocess.run([sys.executable, *arguments], check=True)  # noqa: S603


def changed_files() -> str:
    """Return what git says of files that are changed, or that it does not know."""
    command = ["git", "status", "--porcelain"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    before = changed_files()
    python("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    assert changed_files() == before
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands in an environment that holds the wheel and what it depends on."""
    scripts = tmp_path_factory.mktemp("environment") / ("Scripts" if sys.platform == "win32" else "bin")
    python("-m", "venv", "--without-pip", scripts.parent)
    install = ("-m", "pip", "--python", scripts.parent, "install", "--quiet", "--no-compile")
    python(*install, "--require-hashes", "--requirement", ROOT / "requirements" / "run-recorder.txt")
    python(*install, "--no-deps", wheel)
    return scripts


def test_wheel_holds_the_library_and_the_command_alone(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.startswith(f"{INFO}/")}
    sources = [path.relative_to(ROOT / "src") for path in (ROOT / "src" / "run_recorder").rglob("*.py")]
    data = {"metadata.schema.json", "py.typed", "run-event.schema.json"}
    assert names == {*map(Path.as_posix, sources), *(f"run_recorder/{name}" for name in data)}


def test_wheel_needs_three_packages_and_brings_one_command(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        metadata = message_from_bytes(archive.read(f"{INFO}/METADATA"))
        entry_points = archive.read(f"{INFO}/entry_points.txt").decode()
        assert f"{INFO}/licenses/LICENSE" in archive.namelist()
    assert metadata["Version"] == __version__
    needed = metadata.get_all("Requires-Dist", [])
    assert [re.split(r"\W", text)[0] for text in needed] == ["boto3", "click", "rich"]
    assert entry_points.split("\n") == ["[console_scripts]", "run-recorder = run_recorder.cli:main", ""]


def test_command_runs_as_a_script_and_as_a_module(scripts: Path, tmp_path: Path) -> None:
    for command in ([scripts / "run-recorder"], [scripts / "python", "-m", "run_recorder"]):
        done = run(*command, "--version", cwd=tmp_path)
        assert (done.stdout, done.stderr) == (f"run-recorder, version {__version__}\n", "")


@pytest.mark.parametrize(("document", "exit_code"), [({"model": {"name": "m", "version": "1"}}, 0), ({"name": 7}, 1)])
def test_command_validates_documents(
    scripts: Path, tmp_path: Path, document: dict[str, object], exit_code: int
) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps(document))
    done = run(scripts / "run-recorder", "validate", "metadata.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (exit_code, "")
    assert ("/name" in done.stdout) is bool(exit_code)


def test_program_uses_the_public_names(scripts: Path, tmp_path: Path) -> None:
    done = run(scripts / "python", "-c", PROGRAM, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, config, region = json.loads(done.stdout)
    assert Path(file).is_relative_to(scripts.parent)
    assert config == {
        "environment": "production",
        "model": {"name": "m", "version": "1.0"},
        "input": "s3://uploads/runs/acme/run-0001/",
        "output": "s3://results/results/acme/run-0001/",
        "parameters": {},
    }
    assert region == "eu-west-1"
