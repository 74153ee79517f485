"""`run-recorder upload`: its options, its output and its exit codes."""

import io
import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from click.testing import Result
from moto import mock_aws
from pytest_mock import MockerFixture
from rich.console import Console

from local.stack import LocalStack
from run_recorder.cli.command import ExitCode
from tests.support.delivery import Delivery
from tests.support.documents import document, good
from tests.support.fake_s3 import client_error
from tests.support.stack_fixtures import enter_environment, run_command

NUMBERS = count(1)


class UploadBench:
    """A folder, the name of a run that does not exist, and a stack.

    Attributes:
        delivery: has the function handle events while a verdict is waited for.
    """

    def __init__(self, stack: LocalStack, folder: Path, delivery: Delivery) -> None:
        self.stack = stack
        self.delivery = delivery
        self.folder = folder
        self.name = f"acme/run-{next(NUMBERS)}"
        self.bucket = stack.outputs["RunsBucket"]
        self.table = stack.outputs["RunsTable"]
        (folder / "a.csv").write_text("1")
        (folder / "b.csv").write_text("22")
        (folder / "metadata.json").write_bytes(document(name="Plate 7"))

    def upload(self, *options: str) -> Result:
        """Upload the folder."""
        return run_command("upload", self.folder, self.name, *options)

    def report(self, *options: str) -> dict[str, Any]:
        """Upload the folder, and return the JSON document that the command prints."""
        return dict(json.loads(self.upload("--json", *options).stdout.splitlines()[-1]))

    def stored(self) -> dict[str, Any]:
        """Return the document in the bucket."""
        answer = self.stack.s3.get_object(Bucket=self.bucket, Key=f"runs/{self.name}/metadata.json")
        return dict(json.loads(answer["Body"].read()))


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with mock_aws():
        yield LocalStack()


@pytest.fixture
def bench(
    stack: LocalStack, tmp_path: Path, environment: pytest.MonkeyPatch, mocker: MockerFixture
) -> Iterator[UploadBench]:
    enter_environment(environment, stack)
    bench = UploadBench(stack, tmp_path, Delivery(stack, mocker))
    yield bench
    bench.delivery.handle()


def lines(result: Result) -> list[str]:
    """Return the lines of standard output, but for what the function logs in this process."""
    return [line for line in result.stdout.splitlines() if not line.startswith("{")]


def test_uploaded_run_is_reported_with_its_verdict(bench: UploadBench) -> None:
    result = bench.upload()
    assert lines(result) == [
        f"{bench.name}: uploaded 2 files (3 bytes) and metadata.json",
        f"{bench.name}: recorded",
    ]
    assert result.stderr == "uploaded a.csv\nuploaded b.csv\n"
    assert result.exit_code == ExitCode.SUCCESS


def test_run_that_is_there_is_reported_as_such(bench: UploadBench) -> None:
    bench.upload()
    result = bench.upload()
    assert lines(result) == [
        f"{bench.name}: nothing to upload: this run is there already",
        f"{bench.name}: recorded",
    ]
    assert result.exit_code == ExitCode.SUCCESS


def test_files_that_are_there_are_counted(bench: UploadBench) -> None:
    bench.stack.upload(f"runs/{bench.name}/a.csv", b"1")
    first, _ = lines(bench.upload())
    assert first == f"{bench.name}: uploaded 1 file (2 bytes) and metadata.json; 1 file (1 byte) there already"


def test_json_has_the_whole_result(bench: UploadBench) -> None:
    result = bench.upload("--json")
    report = json.loads(result.stdout.splitlines()[-1])
    assert report.pop("version_id")
    assert report.pop("etag")
    assert report == {
        "run": bench.name,
        "status": "recorded",
        "uploaded": {"files": 2, "bytes": 3},
        "skipped": {"files": 0, "bytes": 0},
        "document_uploaded": True,
        "warnings": [],
    }


def test_broken_folder_is_refused_with_all_its_errors_before_the_first_byte(bench: UploadBench) -> None:
    (bench.folder / "metadata.json").write_text('{"name": 7, "modle": {}, "files": [{"path": "none"}]}')
    result = bench.upload()
    assert result.exit_code == ExitCode.ATTENTION
    assert result.stdout.splitlines() == [
        f"{bench.name}: /name: expected a string, found an integer",
        f"{bench.name}: /model: required, since this deployment has no default model",
        f"{bench.name}: /files/0/path: the folder has no file none",
        f"{bench.name}: not uploaded",
    ]
    assert result.stderr == f"{bench.name}: warning: /modle: not a field of the format, and ignored: 'model' is one\n"
    assert bench.report() == {
        "run": bench.name,
        "status": "refused",
        "errors": [
            {"path": "/name", "message": "expected a string, found an integer"},
            {"path": "/model", "message": "required, since this deployment has no default model"},
            {"path": "/files/0/path", "message": "the folder has no file none"},
        ],
        "warnings": [{"path": "/modle", "message": "not a field of the format, and ignored: 'model' is one"}],
    }
    assert bench.stack.s3.list_objects_v2(Bucket=bench.bucket, Prefix=f"runs/{bench.name}/")["KeyCount"] == 0


def test_more_errors_than_are_printed_are_announced(bench: UploadBench) -> None:
    files = [{"path": str(number)} for number in range(21)]
    (bench.folder / "metadata.json").write_bytes(document(files=files))
    assert lines(bench.upload())[-2:] == [f"{bench.name}: more errors may follow", f"{bench.name}: not uploaded"]
    report = bench.report()
    assert (len(report["errors"]), report["errors_truncated"]) == (20, True)


def test_other_upload_of_the_run_is_replaced_only_with_the_option(bench: UploadBench) -> None:
    bench.upload()
    result = bench.upload("--name", "other")
    assert result.exit_code == ExitCode.ATTENTION
    first, second = lines(result)
    assert first.startswith(f"{bench.name}: metadata.json: the run has another one, which was recorded at 20")
    assert second == f"{bench.name}: not uploaded; --replace uploads it in place of the other one"
    assert bench.report("--name", "other")["status"] == "exists"
    assert bench.upload("--name", "other", "--replace").exit_code == ExitCode.SUCCESS
    assert bench.stored()["name"] == "other"


def test_file_that_changes_is_reported(bench: UploadBench, mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.producer.folder.LocalFile.is_changed", new_callable=mocker.PropertyMock, return_value=1)
    result = bench.upload()
    assert result.exit_code == ExitCode.ATTENTION
    assert lines(result) == [
        f"{bench.name}: a.csv: changed while it was uploaded",
        f"{bench.name}: metadata.json was not uploaded; when no program writes to the folder, run the same command "
        "again",
    ]
    bench.name += "-2"
    assert bench.report()["status"] == "changed"


def test_rejected_run_is_reported_with_its_errors(bench: UploadBench) -> None:
    """The bucket and the table are named, so that the command does not know that there is no default model."""
    (bench.folder / "metadata.json").write_bytes(b"{}")
    options = ["--stack", "none", "--bucket", bench.bucket, "--table", bench.table]
    result = bench.upload(*options)
    assert lines(result)[1:] == [
        f"{bench.name}: rejected",
        f"{bench.name}: /model: required, since this deployment has no default model",
    ]
    assert f"{bench.name}: warning: /model: rejected if the deployment has no default model\n" in result.stderr
    assert result.exit_code == ExitCode.ATTENTION
    report = bench.report(*options)
    assert (report["status"], [error["path"] for error in report["errors"]]) == ("rejected", ["/model"])


def test_upload_without_a_verdict_in_time_has_an_exit_code_of_its_own(bench: UploadBench) -> None:
    bench.delivery.is_on = False
    result = bench.upload("--timeout", "10")
    assert result.exit_code == ExitCode.NO_VERDICT
    assert lines(result)[-1].startswith(f"{bench.name}: no verdict yet: the event of the upload is on its way")


def test_upload_that_does_not_wait_succeeds(bench: UploadBench) -> None:
    result = bench.upload("--no-wait")
    assert (result.exit_code, len(lines(result))) == (ExitCode.SUCCESS, 1)
    assert bench.report("--no-wait")["status"] == "uploaded"


def test_dry_run_reports_what_it_would_upload(bench: UploadBench) -> None:
    result = bench.upload("--dry-run")
    assert result.exit_code == ExitCode.SUCCESS
    assert lines(result) == [f"{bench.name}: would upload 2 files (3 bytes) and metadata.json"]
    assert bench.report("--dry-run")["status"] == "dry-run"


def test_fields_are_set_by_options(bench: UploadBench, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "other.json"
    (bench.folder / "metadata.json").rename(other)
    options = ["--metadata", str(other), "--name", "n", "--tag", "a=1", "--tag", "b=x=y", "--model", "m@2"]
    bench.upload(*options, "--parameter", "x=0.10", "--parameter", 'y={"z": [1]}')
    stored = bench.stored()
    del stored["files"]
    assert stored == {
        "name": "n",
        "tags": {"a": "1", "b": "x=y"},
        "model": {"name": "m", "version": "2"},
        "parameters": {"x": 0.1, "y": {"z": [1]}},
    }


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--tag", "a", "'a': expected NAME=VALUE"),
        ("--tag", "=a", "'=a': expected NAME=VALUE"),
        ("--model", "m@", "'m@': expected NAME@VERSION"),
        ("--model", "@1", "'@1': expected NAME@VERSION"),
        ("--parameter", "x=a", "x='a': not JSON"),
        ("--parameter", "x=NaN", "x='NaN': NaN is not a JSON number"),
        ("--timeout", "-1", "-1.0 is not in the range"),
        ("--metadata", "/nosuch", "does not exist"),
    ],
)
def test_malformed_option_is_a_usage_error(bench: UploadBench, option: str, value: str, message: str) -> None:
    result = bench.upload(option, value)
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr


def test_folder_that_is_not_there_is_a_usage_error(bench: UploadBench) -> None:
    assert run_command("upload", "/nosuch", bench.name).exit_code == ExitCode.USAGE
    assert run_command("upload", bench.folder, "acme").exit_code == ExitCode.USAGE


@pytest.mark.parametrize("options", [["--development"], []], ids=["development", "production"])
def test_stage_may_be_stated(bench: UploadBench, options: list[str]) -> None:
    (bench.folder / "metadata.json").write_text('{"model": {"name": "m"}}')
    result = bench.upload("--dry-run", *options)
    assert result.exit_code == (ExitCode.SUCCESS if options else ExitCode.ATTENTION)
    assert ("/model/version" in result.stdout) is not bool(options)


def test_stack_is_not_described_if_bucket_and_table_are_named(
    bench: UploadBench, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("RUN_RECORDER_STACK", "none")
    assert bench.upload().exit_code == ExitCode.AWS
    environment.setenv("RUN_RECORDER_BUCKET", bench.bucket)
    environment.setenv("RUN_RECORDER_TABLE", bench.table)
    assert bench.upload().exit_code == ExitCode.SUCCESS


def test_interrupted_upload_tells_how_to_continue(bench: UploadBench, mocker: MockerFixture) -> None:
    mocker.patch("run_recorder.producer.sending.upload_files", side_effect=KeyboardInterrupt)
    result = bench.upload()
    assert result.exit_code == ExitCode.INTERRUPTED
    assert result.stderr == "the same command continues the upload\ninterrupted\n"


def test_refused_upload_is_a_failure_of_aws(bench: UploadBench, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("RUN_RECORDER_TABLE", bench.table)
    result = bench.upload("--bucket", "no-such-bucket")
    assert result.exit_code == ExitCode.AWS
    assert "NoSuchBucket" in result.stderr


def test_names_of_files_cannot_control_the_terminal(bench: UploadBench) -> None:
    """With a character that is not printable; moto cannot list a key with an escape character."""
    (bench.folder / "A\u202e").write_text("1")
    (bench.folder / "a\u202e").write_text("1")
    result = bench.upload()
    assert result.exit_code == ExitCode.SUCCESS
    assert "\u202e" not in result.output
    assert r"uploaded 'A\u202e'" in result.stderr
    assert r"warning: 'a\u202e': " in result.stderr


@pytest.fixture
def terminal(mocker: MockerFixture, environment: pytest.MonkeyPatch) -> Callable[[], str]:
    """Make standard error a terminal of 60 columns; return what was drawn on it."""
    environment.setenv("TERM", "xterm")
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=60)
    mocker.patch("run_recorder.cli.progress_screen.Console", return_value=console)
    return drawn.getvalue


def test_progress_is_drawn_on_a_terminal_in_lines_that_fit(bench: UploadBench, terminal: Callable[[], str]) -> None:
    result = bench.upload()
    assert result.stderr == ""
    text = terminal()
    for word in ("reading", "uploading", "2/2", "3/3 bytes", "waiting for the verdict"):
        assert word in text
    assert "…" not in text


def test_run_that_another_client_uploaded_can_be_waited_for(bench: UploadBench) -> None:
    key = f"runs/{bench.name}/metadata.json"
    result = run_command("wait", bench.name)
    assert result.exit_code == ExitCode.ATTENTION
    assert lines(result) == [
        f"{bench.name}: there is no s3://{bench.bucket}/{key}: upload the run, or correct its name"
    ]
    assert json.loads(run_command("wait", bench.name, "--json").stdout) == {"run": bench.name, "status": "absent"}
    bench.stack.upload(key, good("first"))
    result = run_command("wait", bench.name)
    assert (result.exit_code, lines(result)) == (ExitCode.SUCCESS, [f"{bench.name}: recorded"])
    bench.stack.upload(key, b"{}")
    result = run_command("wait", bench.name)
    assert result.exit_code == ExitCode.ATTENTION
    assert lines(result)[0] == f"{bench.name}: rejected"
    report = json.loads(run_command("wait", bench.name, "--json").stdout)
    assert (report["status"], report["of"], len(report["errors"])) == ("rejected", "current", 1)


def test_wait_that_ends_with_its_time_has_an_exit_code_of_its_own(bench: UploadBench) -> None:
    bench.delivery.is_on = False
    bench.stack.upload(f"runs/{bench.name}/metadata.json", document(files=[{"path": "late"}]))
    assert run_command("wait", bench.name, "--timeout", "5").exit_code == ExitCode.NO_VERDICT
    bench.delivery.handle()
    result = run_command("wait", bench.name, "--timeout", "0")
    assert result.exit_code == ExitCode.NO_VERDICT
    assert lines(result)[-2:] == [
        f"{bench.name}: no verdict yet: listed files are not there; `wait` waits again",
        f"{bench.name}: /files/0/path: no object late below the run's prefix",
    ]


def test_wait_without_permission_to_read_the_document_says_so(bench: UploadBench, mocker: MockerFixture) -> None:
    bench.upload()
    make_api_call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation == "HeadObject":
            raise client_error("403")
        return make_api_call(client, operation, parameters)

    mocker.patch("botocore.client.BaseClient._make_api_call", call)
    result = run_command("wait", bench.name)
    assert result.exit_code == ExitCode.SUCCESS
    assert result.stderr == "no permission to read metadata.json: this is the verdict that the record shows\n"
    assert json.loads(run_command("wait", bench.name, "--json").stdout)["of"] == "record"
