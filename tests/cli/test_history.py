"""`run-recorder show --history`: the uploads of a run, with their verdicts of now."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.config import load_settings
from run_recorder.domain import Outcome, Run
from run_recorder.errors import AWSCallError
from run_recorder.uploads import Uploads
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")


@pytest.fixture
def history(record_run: Callable[..., Outcome]) -> Callable[..., list[dict[str, Any]]]:
    """Record these documents one after the other; return the history."""

    def read(run: str, *documents: object, limit: int = 20) -> list[dict[str, Any]]:
        for document in documents:
            record_run("past", run, document if isinstance(document, bytes) else json.dumps(document).encode())
        result = run_command("show", f"past/{run}", "--history", "--json", "--limit", limit)
        assert result.exit_code == 0, result.output
        uploads: list[dict[str, Any]] = json.loads(result.stdout)["history"]
        return uploads

    return read


FIRST = {"name": "a", "parameters": {"x": 1, "y": {"z": 1}}}


def test_uploads_are_shown_newest_first_with_verdict_and_changes(
    history: Callable[..., list[dict[str, Any]]], shared_stack: LocalStack
) -> None:
    second = {"name": "b", "parameters": {"x": 2, "y": {"z": 2}, "a/b": 1}, "tags": {}}
    late = {**second, "files": [{"path": "late.csv"}]}
    uploads = history("all", FIRST, FIRST, second, b"{oops", {"name": ""}, late)
    assert [upload["verdict"] for upload in uploads] == ["pending", *["rejected"] * 2, *["accepted"] * 3]
    assert [upload["changed"] for upload in uploads] == [
        ["/files", "/name", "/parameters", "/tags"],
        [""],
        [""],
        ["/name", "/parameters/a~1b", "/parameters/x", "/parameters/y", "/tags"],
        [],
        None,
    ]
    assert [upload["is_recorded"] for upload in uploads] == [True, *[False] * 5]
    assert [upload["is_source"] for upload in uploads] == [False, False, False, True, False, False]
    assert uploads[1]["errors"] == [{"path": "/name", "message": "expected at least 1 character"}]
    key = "runs/past/all/metadata.json"
    listed = shared_stack.s3.list_object_versions(Bucket=shared_stack.outputs["RunsBucket"], Prefix=key)["Versions"]
    assert [(upload["version_id"], upload["size"]) for upload in uploads] == [
        (version["VersionId"], version["Size"]) for version in listed
    ]


def test_history_is_printed_with_marks(history: Callable[..., list[dict[str, Any]]]) -> None:
    newest, oldest = history("printed", FIRST, {**FIRST, "name": ""})
    lines = run_command("show", "past/printed", "--history").stdout.splitlines()
    assert lines[0] == "past/printed: rejected"
    assert lines[lines.index("") + 1 :] == [
        "uploaded_at           verdict         bytes",
        f"{newest['uploaded_at']}  rejected           {newest['size']}  record",
        f"    version {newest['version_id']}",
        "    /name: expected at least 1 character",
        "    changed: /name",
        f"{oldest['uploaded_at']}  accepted           {oldest['size']}  source",
        f"    version {oldest['version_id']}",
    ]


def test_history_is_limited_and_reads_one_upload_more(
    history: Callable[..., list[dict[str, Any]]], mocker: MockerFixture
) -> None:
    history("long", *({"name": str(number)} for number in range(5)))
    read = mocker.spy(Uploads, "read_version")
    uploads = history("long", limit=2)
    assert [upload["changed"] for upload in uploads] == [["/name"], ["/name"]]
    assert read.call_count == 3
    result = run_command("show", "past/long", "--history", "--limit", "2")
    assert result.stderr == "more with --limit 4\n"
    assert run_command("show", "past/long", "--history", "--limit", "5").stderr == ""


def test_verdicts_are_those_of_the_settings_of_now(
    history: Callable[..., list[dict[str, Any]]], mocker: MockerFixture, shared_stack: LocalStack
) -> None:
    """A run that was rejected because the default model was missing, after the deployment was corrected."""
    without_model = {name: text for name, text in shared_stack.environment.items() if not name.startswith("MODEL_")}
    mocker.patch("run_recorder.cli.stack.load_settings", return_value=load_settings(without_model))
    (upload,) = history("settings", {})
    assert (upload["verdict"], upload["is_recorded"]) == ("rejected", True)
    mocker.stopall()
    (upload,) = history("settings")
    assert (upload["verdict"], upload["errors"]) == ("accepted", [])


def test_upload_that_cannot_be_read_does_not_stop_the_history(
    history: Callable[..., list[dict[str, Any]]], mocker: MockerFixture
) -> None:
    history("archived", FIRST, {"name": "b"}, {"name": "c"})
    read, calls = Uploads.read_version, iter(range(3))

    def refuse_second(*arguments: Any) -> Any:
        if next(calls) == 1:
            raise AWSCallError("reading failed: InvalidObjectState")
        return read(*arguments)

    mocker.patch("run_recorder.cli.history._WORKERS", 1)
    mocker.patch.object(Uploads, "read_version", refuse_second)
    uploads = history("archived")
    assert [upload["verdict"] for upload in uploads] == ["accepted", "unreadable", "accepted"]
    assert [upload["changed"] for upload in uploads] == [None, None, None]
    assert uploads[1]["failure"] == "reading failed: InvalidObjectState"


def test_upload_that_is_too_large_is_not_compared(history: Callable[..., list[dict[str, Any]]]) -> None:
    uploads = history("large", FIRST, b" " * (1024 * 1024 + 1))
    assert [(upload["verdict"], upload["changed"]) for upload in uploads] == [("rejected", None), ("accepted", None)]


def test_run_without_uploads_has_an_empty_history() -> None:
    result = run_command("show", "past/nowhere", "--history", "--json")
    assert (result.exit_code, json.loads(result.stdout)["history"]) == (1, [])
    assert Run("past", "nowhere").prefix in json.loads(result.stdout)["key"]
