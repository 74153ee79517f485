"""The package that `sam build` makes, run as Lambda runs it."""

import importlib.util
import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from build_package import copy_modules
from local.cloudformation import CREDENTIALS
from local.invoke import choose_handler
from local.sam import ARCHITECTURE, ROOT, SAM, find_python, run_sam
from local.samples import EVENTS, SAMPLES, expected_answer
from local.stack import TABLE
from local.template import REGION
from tests.support import endpoints, operations
from tests.support.emulator import Emulator
from tests.support.events import notification, s3_record
from tests.support.serving import VARIABLES, serving, shell_environment

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
    requirements = str(ROOT / "requirements" / "runtime.txt")
    options = ["--quiet", "--target", str(target), "--require-hashes", "--requirement", requirements]
    subprocess.run([PYTHON, "-m", "pip", "install", *options], check=True)  # noqa: S603
    return target


@pytest.fixture(scope="module")
def containers(build: Path) -> dict[str, dict[str, Any]]:
    """What `sam local invoke` hands to the container of each function, by the function's entry point."""
    command: list[str | Path] = [SAM / "bin" / "python", ROOT / "tests" / "support" / "sam_probe.py", "local", "invoke"]
    options: list[str | Path] = [
        "--config-file", ROOT / "samconfig.toml", "--template", build / "template.yaml",
        "--parameter-overrides", f"Architecture={ARCHITECTURE}", "--event", SAMPLES[0],
    ]  # fmt: skip
    environment = shell_environment() | {"SAM_CLI_TELEMETRY": "0"}
    del environment["AWS_PROFILE"]  # SAM CLI looks for it

    def probe(*function: str) -> dict[str, Any]:
        done = subprocess.run(  # noqa: S603
            [*command, *function, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        container: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return container

    return {"lambda_handler": probe(), "backfill_handler": probe("BackfillFunction")}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """What `python -m local serve` serves."""
    with serving() as (url, _):
        yield url


@pytest.fixture(scope="module")
def emulators(
    package: Path, runtime_client: Path, containers: dict[str, dict[str, Any]], url: str
) -> Iterator[dict[str, Emulator]]:
    """Both functions, by the entry point that they run, in the environment that their containers get."""
    emulators = {
        handler: Emulator(
            PYTHON, package, runtime_client, container["environment"] | {"AWS_ENDPOINT_URL": url}, handler
        )
        for handler, container in containers.items()
    }
    yield emulators
    for emulator in emulators.values():
        emulator.stop()


def test_sam_accepts_the_template() -> None:
    run_sam(PYTHON, "validate", "--lint")


def test_package_holds_the_function_and_nothing_of_the_tests(package: Path) -> None:
    assert {path.name for path in package.iterdir()}.isdisjoint({"tests", "local", "events", "moto", "pytest", "bin"})


def test_package_does_not_depend_on_the_path_of_its_python(package: Path) -> None:
    """As pip's lists of files do, with the hashes of scripts that begin with this path."""
    assert [*package.glob("*.dist-info/METADATA")]
    assert [*package.glob("*.dist-info/RECORD")] == []


def test_package_holds_exactly_the_modules_that_the_function_loads(package: Path) -> None:
    program = (
        "import sys, handler.app\n"
        "for name, module in sys.modules.items():\n"
        "    if name.partition('.')[0] in ('handler', 'run_recorder'):\n"
        "        print(module.__file__)"
    )
    done = subprocess.run(  # noqa: S603
        [PYTHON, "-c", program], env={"PYTHONPATH": str(package)}, capture_output=True, text=True, check=True
    )
    files = {
        path
        for folder in ("handler", "run_recorder")
        for path in (package / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert files == {package / "run_recorder" / "metadata.schema.json", *map(Path, done.stdout.splitlines())}


def test_package_holds_what_is_imported_when_it_runs(tmp_path: Path) -> None:
    sources = {
        "handler/__init__.py": "",
        "handler/app.py": "from typing import TYPE_CHECKING\nimport json\nfrom run_recorder.reader import read\n"
        "if TYPE_CHECKING:\n    import run_recorder.types\nelse:\n    import run_recorder.values",
        "handler/app.schema.json": "{}",
        "handler/unused.py": "",
        "run_recorder/__init__.py": "",
        "run_recorder/reader.py": "def read():\n    from run_recorder import later",
        "run_recorder/later.py": "import handler.app\nfrom .deeper import value",
        "run_recorder/deeper/__init__.py": "from ..distant import value",
        "run_recorder/distant.py": "",
        "run_recorder/types.py": "",
        "run_recorder/types.schema.json": "{}",
        "run_recorder/values.py": "",
    }
    for name, text in sources.items():
        (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "src" / name).write_text(text)
    copy_modules(tmp_path / "package", tmp_path / "src")
    copied = {path.relative_to(tmp_path / "package").as_posix() for path in (tmp_path / "package").rglob("*.*")}
    assert copied == sources.keys() - {"handler/unused.py", "run_recorder/types.py", "run_recorder/types.schema.json"}


def test_every_module_has_bytecode_that_lambda_takes_as_it_is(package: Path) -> None:
    sources = list(package.rglob("*.py"))
    assert len(sources) > 100
    for source in sources:
        bytecode = package / importlib.util.cache_from_source(str(source)).replace(
            sys.implementation.cache_tag, "cpython-313"
        )
        assert bytecode.read_bytes()[4:8] == UNCHECKED_HASH


def test_package_is_small(package: Path) -> None:
    assert sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) < 10_000_000
    assert {path.name for path in (package / "botocore" / "data").iterdir() if path.is_dir()} == {
        "s3",
        "dynamodb",
        "sqs",
    }


def test_package_holds_the_operations_that_its_modules_and_botocore_call(package: Path) -> None:
    data = package / "botocore" / "data"
    function = {"s3": {"GetObject", "HeadObject", "ListObjectsV2", "ListObjectVersions"}}
    function |= {"dynamodb": {"GetItem", "UpdateItem"}, "sqs": {"SendMessage"}}
    commands = {"s3": {"ListBuckets"}, "dynamodb": {"Query", "Scan"}, "sqs": set[str]()}
    # For a bucket in another region, a directory bucket, and the discovery of endpoints.
    botocore = {"s3": {"HeadBucket", "CreateSession"}, "dynamodb": {"DescribeEndpoints"}, "sqs": set[str]()}
    for service in function:
        expected = function[service] | commands[service] | botocore[service]
        assert operations.find_operations(data, service) == expected


def test_package_makes_requests_and_parses_responses_and_errors_as_a_complete_botocore_does(package: Path) -> None:
    complete = sysconfig.get_path("purelib")
    printed, expected = (
        subprocess.run(  # noqa: S603
            [PYTHON, operations.__file__, package / "botocore" / "data"],
            env={"PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for folder in (package, complete)
    )
    assert len(expected) > 100
    assert printed == expected


def test_every_module_of_the_function_and_of_powertools_can_be_imported(package: Path) -> None:
    program = (
        "import importlib, pathlib\n"
        "for folder in ('handler', 'run_recorder', 'aws_lambda_powertools'):\n"
        "    for path in sorted(pathlib.Path(folder).rglob('*.py')):\n"
        "        importlib.import_module('.'.join(path.with_suffix('').parts).removesuffix('.__init__'))"
    )
    subprocess.run([PYTHON, "-c", program], cwd=package, check=True)  # noqa: S603


def test_package_lacks_only_modules_of_powertools_that_nothing_imports_or_that_need_pydantic(package: Path) -> None:
    powertools = package / "aws_lambda_powertools"
    importers = [path.name for path in powertools.rglob("*.py") if "import" in _lines_with("event_handler", path)]
    assert importers == ["functions.py"]
    program = "import sys; sys.modules['pydantic'] = None; import aws_lambda_powertools.event_handler.openapi.compat"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603
    assert "ModuleNotFoundError: import of pydantic halted" in done.stderr
    assert "pydantic" not in (ROOT / "requirements.txt").read_text()


def _lines_with(text: str, path: Path) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if text in line)


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


def test_sam_local_starts_containers_for_this_machine_whatever_the_region_of_the_shell(
    build: Path, containers: dict[str, dict[str, Any]]
) -> None:
    for (handler, container), function in zip(
        containers.items(), ("RecorderFunction", "BackfillFunction"), strict=True
    ):
        environment = container["environment"]
        assert {name: value for name, value in container.items() if name != "environment"} == {
            "architecture": ARCHITECTURE,
            "handler": f"handler.app.{handler}",
            "code": str(build / function),
            "hosts": {"host.docker.internal": "host-gateway"},
        }
        expected = {**VARIABLES, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        if function == "BackfillFunction":
            del expected["UPLOADS_QUEUE_URL"]
        assert environment.items() >= expected.items()
        assert ("UPLOADS_QUEUE_URL" in environment) is (function == "RecorderFunction")


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_packaged_function_gives_the_expected_answer(emulators: dict[str, Emulator], url: str, sample: Path) -> None:
    """In the environment of its container, against a serving process."""
    dynamodb = boto3.client("dynamodb", endpoint_url=url)
    for item in dynamodb.scan(TableName=TABLE)["Items"]:
        dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("organisation_id", "run_id")})
    event = sample.read_bytes()
    answer = emulators[choose_handler(json.loads(event)).__name__].invoke(event)
    expected = json.loads(expected_answer(sample).read_text())
    assert {name: answer.get(name) for name in expected} == expected


def test_packaged_function_looks_for_an_older_version(emulators: dict[str, Emulator], url: str) -> None:
    """The only request of the function that no sample event needs."""
    bucket, key = VARIABLES["RUNS_BUCKET"], "runs/acme/older/metadata.json"
    s3 = boto3.client("s3", endpoint_url=url)
    first, _ = (s3.put_object(Bucket=bucket, Key=key, Body=b"{}")["VersionId"] for _ in range(2))
    for version_id, outcome in ((first, "stale"), ("gone", "ignored")):
        event = notification(s3_record(key, bucket, versionId=version_id))
        (answer,) = emulators["lambda_handler"].invoke(json.dumps(event).encode())["outcomes"]
        assert answer["outcome"] == outcome


def test_packaged_function_refuses_to_start_misconfigured(package: Path, runtime_client: Path) -> None:
    environment = CREDENTIALS | VARIABLES | {"RUNS_TABLE": "", "DEVELOPMENT": "perhaps"}
    emulator = Emulator(PYTHON, package, runtime_client, environment, "lambda_handler")
    try:
        answer = emulator.invoke((EVENTS / "s3-put.json").read_bytes())
    finally:
        emulator.stop()
    assert answer["errorType"] == "SettingsError"
    assert "DEVELOPMENT is 'perhaps', expected true or false; RUNS_TABLE is not set" in answer["errorMessage"]
