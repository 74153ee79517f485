"""The package that `sam build` makes, run as Lambda runs it."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from handler.app import backfill_handler, lambda_handler
from local.invoke import choose_handler
from local.sam import ARCHITECTURE, ROOT, SAM, find_python, run_sam
from local.samples import EVENTS, SAMPLES, expected_answer
from local.stack import Handler, LocalStack
from tests.integration import endpoints
from tests.integration.conftest import delete_records
from tests.integration.emulator import Emulator

UNCHECKED_HASH = b"\1\0\0\0"  # PEP 552
UMASK = 0o077  # not the one that anybody works with

FOUND = find_python()
PYTHON = FOUND or Path()
pytestmark = pytest.mark.skipif(FOUND is None, reason="NOT TESTED: the package, since python3.13 is not installed")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sam build` makes: a folder for each function."""
    folder = tmp_path_factory.mktemp("build")
    overrides = f"Architecture={ARCHITECTURE}"
    run_sam(PYTHON, "build", "--build-dir", folder, "--parameter-overrides", overrides, umask=UMASK)
    return folder


@pytest.fixture(scope="module")
def package(build: Path) -> Path:
    """The folder that Lambda would unpack to /var/task."""
    return build / "RecorderFunction"


@pytest.fixture(scope="module")
def runtime_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lambda's runtime interface client for the package's Python."""
    target = tmp_path_factory.mktemp("runtime")
    constraints = ROOT / "requirements-dev.txt"
    options = ["--quiet", "--target", str(target), "--constraint", str(constraints)]
    subprocess.run([PYTHON, "-m", "pip", "install", *options, "awslambdaric"], check=True)  # noqa: S603
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


@pytest.fixture(scope="module")
def emulators(package: Path, runtime_client: Path, stack: LocalStack) -> Iterator[dict[Handler, Emulator]]:
    """Both functions, by the entry point that they run."""
    handlers = (lambda_handler, backfill_handler)
    emulators = {
        handler: Emulator(PYTHON, package, runtime_client, stack.environment, handler.__name__) for handler in handlers
    }
    yield emulators
    for emulator in emulators.values():
        emulator.stop()


def test_sam_accepts_the_template() -> None:
    run_sam(PYTHON, "validate", "--lint")


def test_package_holds_the_function_and_nothing_of_the_tests(package: Path) -> None:
    assert (package / "handler" / "metadata.schema.json").is_file()
    assert {path.name for path in package.iterdir()}.isdisjoint({"tests", "local", "events", "moto", "pytest", "bin"})


def test_every_module_has_bytecode_that_lambda_takes_as_it_is(package: Path) -> None:
    sources = list(package.rglob("*.py"))
    assert len(sources) > 100
    for source in sources:
        bytecode = package / importlib.util.cache_from_source(str(source)).replace(
            sys.implementation.cache_tag, "cpython-313"
        )
        assert bytecode.read_bytes()[4:8] == UNCHECKED_HASH


def test_package_is_small(package: Path) -> None:
    assert sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) < 20_000_000
    assert {path.name for path in (package / "botocore" / "data").iterdir() if path.is_dir()} == {"s3", "dynamodb"}


def test_same_source_gives_the_same_zip(build: Path, tmp_path: Path) -> None:
    """SAM's own zip of the two functions, which were built one after the other."""
    make_zip = "import sys; from samcli.lib.package.utils import make_zip; make_zip(*sys.argv[1:])"
    for name in ("RecorderFunction", "BackfillFunction"):
        subprocess.run([SAM / "bin" / "python", "-c", make_zip, tmp_path / name, build / name], check=True)  # noqa: S603
    recorder, backfill = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert len(recorder) > 1_000_000
    assert recorder == backfill


def test_package_is_readable_to_lambda_whatever_the_umask(package: Path) -> None:
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in package.rglob("*")}
    assert modes == {(True, 0o755), (False, 0o644)}


def test_package_finds_the_endpoints_that_a_complete_botocore_finds(package: Path) -> None:
    complete = sysconfig.get_path("purelib")
    found, expected = (
        subprocess.run(  # noqa: S603
            [PYTHON, endpoints.__file__], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
        ).stdout
        for folder in (package, complete)
    )
    assert len(json.loads(expected)) == len(endpoints.CASES)
    assert found == expected


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
        PYTHON,
        package,
        runtime_client,
        stack.environment | {"RUNS_TABLE": "", "DEVELOPMENT": "perhaps"},
        "lambda_handler",
    )
    try:
        answer = emulator.invoke((EVENTS / "s3-put.json").read_bytes())
    finally:
        emulator.stop()
    assert answer["errorType"] == "SettingsError"
    assert "DEVELOPMENT is 'perhaps', expected true or false; RUNS_TABLE is not set" in answer["errorMessage"]
