"""`run-recorder validate`: offline, with the code that validates uploads."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import Result

from run_recorder.metadata import MAX_BYTES
from tests.support.stack_fixtures import run_command

EVENTS = Path(__file__).parent.parent.parent / "events"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.json"
    path.write_text('{"organisation_id": "acme", "run_id": "run-1", "name": ""}')
    return path


def validate(*arguments: object, stdin: bytes | None = None) -> Result:
    return run_command("validate", *arguments, stdin=stdin)


def test_valid_documents_pass() -> None:
    files = sorted(EVENTS.glob("objects/runs/*/*/metadata.json"))
    good = [file for file in files if "run-0002" not in str(file)]
    result = validate(*good)
    assert (result.exit_code, result.output) == (0, "".join(f"{file}: valid\n" for file in good))


def test_every_error_of_every_document_is_reported(document: Path) -> None:
    bad = EVENTS / "objects/runs/acme/run-0002/metadata.json"
    result = validate(document, bad)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{document}: /name: expected at least 1 character",
        f"{bad}: /parameters/threshold: NaN is not a JSON number",
        f"{bad}: /name: expected at least 1 character",
        f"{bad}: /created_at: expected an RFC 3339 date-time such as 2026-11-20T08:30:00Z",
        f"{bad}: /tags/plate: expected a string, found an integer",
        f"{bad}: /files/1/path: must not have an empty, '.' or '..' segment",
    ]


def test_one_bad_document_among_good_ones_fails(document: Path) -> None:
    good = EVENTS / "objects/runs/acme/run-0001/metadata.json"
    result = validate("--json", document, good)
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "file": str(document),
            "valid": False,
            "errors": [{"path": "/name", "message": "expected at least 1 character"}],
        },
        {"file": str(good), "valid": True, "errors": []},
    ]


def test_standard_input_is_read() -> None:
    result = validate("-", stdin=b"{]")
    assert result.exit_code == 1
    assert result.output.startswith("-: document: not JSON")
    assert validate("-", stdin=b"{}").exit_code == 0


def test_ids_of_the_run_are_compared(document: Path) -> None:
    result = validate(document, "--run", "globex/run-1")
    assert f"{document}: /organisation_id: differs from the one in the object key, 'globex'" in result.output
    assert "run_id" not in result.output


@pytest.mark.parametrize(
    ("model", "errors"),
    [
        (b"{}", []),
        (b'{"model": {"name": "m", "version": "1"}}', []),
        (
            b'{"model": {"name": "m"}, "name": ""}',
            [
                "/name: expected at least 1 character",
                "/model/version: production needs a pinned version, other than 'latest'",
            ],
        ),
        (b'{"model": {"name": 1}}', ["/model/name: expected a string, found an integer"]),
    ],
)
def test_production_accepts_pinned_models_only(model: bytes, errors: list[str]) -> None:
    result = validate("-", "--production", stdin=model)
    assert result.stdout.splitlines() == [f"-: {error}" for error in errors or ["valid"]]
    assert "/model/version" not in validate("-", stdin=model).stdout


@pytest.mark.parametrize("run", ["acme", "acme/", "acme/run 1", "acme/run-1/x"])
def test_invalid_run_is_a_usage_error(document: Path, run: str) -> None:
    assert validate(document, "--run", run).exit_code == 2


def test_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    assert validate(tmp_path / "none").exit_code == 2
    assert validate().exit_code == 2


def test_size_limits_are_those_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_bytes(b'{"name":"n"}'.ljust(MAX_BYTES))
    assert validate(path).exit_code == 0
    path.write_bytes(b'{"name":"n"}'.ljust(MAX_BYTES + 1))
    assert validate(path).stdout == f"{path}: document: more than the {MAX_BYTES} bytes that are read\n"
    path.write_text(json.dumps({"parameters": {"x": "x" * 400_000}}))
    assert "shorten parameters or tags" in validate(path).stdout
    path.write_text(json.dumps({"parameters": {"x": "x" * 400_000}, "name": ""}))
    assert len(validate(path).stdout.splitlines()) == 2


@pytest.mark.parametrize("fields", [["tags"], ["parameters"], ["tags", "parameters"]])
def test_size_includes_every_field_of_the_record(fields: list[str], tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({field: {"x": "x" * (400_000 // len(fields))} for field in fields}))
    assert "shorten parameters or tags" in validate(path).stdout


def test_as_many_errors_are_reported_as_a_record_lists(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"parameters": [float("nan")], "tags": {f"t{number}": number for number in range(50)}}))
    *errors, last = validate(path).stdout.splitlines()
    assert len(errors) == 20
    assert last == f"{path}: more errors may follow"
    report = json.loads(validate(path, "--json").stdout)
    assert (len(report["errors"]), report["errors_truncated"]) == (20, True)
    path.write_text(json.dumps({"tags": {f"t{number}": number for number in range(20)}}))
    assert len(validate(path).stdout.splitlines()) == 20
    report = json.loads(validate(path, "--json").stdout)
    assert "errors_truncated" not in report


def test_names_of_a_document_cannot_control_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"tags": {"\x1b[2J": 1}}))
    assert validate(path).stdout == f"{path}: '/tags/\\x1b[2J': expected a string, found an integer\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a run, whose document has no errors and lists its only file."""
    (tmp_path / "a.csv").write_text("1")
    write(
        tmp_path, {"model": MODEL, "files": [{"path": "a.csv", "size": 1, "sha256": hashlib.sha256(b"1").hexdigest()}]}
    )
    return tmp_path


MODEL = {"name": "m", "version": "1"}


def write(folder: Path, document: object) -> None:
    (folder / "metadata.json").write_text(json.dumps(document))


def test_folder_that_agrees_with_its_document_is_valid(folder: Path) -> None:
    result = validate(folder, "--strict", "--production")
    assert (result.exit_code, result.output) == (0, f"{folder}: valid\n")


def test_listed_files_are_compared_with_the_folder(folder: Path) -> None:
    (folder / "b.csv").write_text("22")
    files = [{"path": "a.csv", "sha256": "0" * 64}, {"path": "b.csv", "size": 1}, {"path": "c.csv"}]
    write(folder, {"model": MODEL, "files": files})
    result = validate(folder)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{folder}: /files/0/sha256: the file has the SHA-256 {hashlib.sha256(b'1').hexdigest()}",
        f"{folder}: /files/1/size: the file has 2 bytes, not 1",
        f"{folder}: /files/2/path: the folder has no file c.csv",
    ]


def test_what_may_be_a_mistake_is_a_warning_and_with_strict_an_error(folder: Path) -> None:
    (folder / "b.csv").write_text("22")
    (folder / "empty").mkdir()
    write(folder, {"modle": MODEL, "files": [{"path": "a.csv"}, {"path": "a.csv"}, {"path": "metadata.json"}]})
    mistakes = [
        "empty: an empty folder is not uploaded",
        "/model: rejected if the deployment has no default model",
        "/modle: not a field of the format, and ignored: 'model' is one",
        "/files/1/path: a.csv is also listed at /files/0",
        "/files/2/path: metadata.json is not one of the files of its run",
        "b.csv: the document does not list this file",
    ]
    result = validate(folder)
    assert (result.exit_code, result.stdout) == (0, f"{folder}: valid\n")
    assert result.stderr.splitlines() == [f"{folder}: warning: {mistake}" for mistake in mistakes]
    result = validate(folder, "--strict")
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.splitlines() == [f"{folder}: {mistake}" for mistake in mistakes]
    report = json.loads(validate(folder, "--json").stdout)
    assert (report["valid"], len(report["errors"]), len(report["warnings"])) == (True, 0, len(mistakes))


def test_model_that_production_would_reject_is_a_warning_unless_it_is_an_error(folder: Path) -> None:
    write(folder, {"model": {"name": "m"}, "files": [{"path": "a.csv"}]})
    message = "/model/version: production needs a pinned version, other than 'latest'"
    assert validate(folder).stderr == f"{folder}: warning: {message}\n"
    assert validate(folder, "--production").stdout == f"{folder}: {message}\n"


def test_folder_without_a_document_is_invalid(folder: Path) -> None:
    (folder / "metadata.json").unlink()
    result = validate(folder)
    assert (result.exit_code, result.stdout) == (1, f"{folder}: metadata.json: the folder has no such file\n")


def test_link_to_nothing_in_a_folder_is_an_error(folder: Path) -> None:
    (folder / "b.csv").symlink_to("none")
    assert validate(folder).stdout == f"{folder}: b.csv: cannot be read: No such file or directory\n"
