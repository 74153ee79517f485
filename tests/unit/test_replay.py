"""A settled upload that is evaluated again: with other settings, other files, or as it was."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from run_recorder.config import load_settings
from run_recorder.errors import AWSCallError, ContentionError, FieldError
from run_recorder.replay import Replay, ReplayingRecorder, ReplayState, UnchangedTable
from run_recorder.s3 import S3
from tests.support.documents import BAD, GOOD, INCOMPLETE, document
from tests.support.fake_s3 import client_error
from tests.support.names import RUN, TABLE, UPLOADED_AT
from tests.support.recorder_bench import RecorderBench

NO_MODEL = (FieldError("/model", "required, since this deployment has no default model"),)
BAD_ERRORS = (FieldError("/model", "expected an object, found an integer"),)
SOURCE = {"version_id": "v1", "etag": "etag of v1", "size": 1, "sha256": "0"}
CONFIG = {
    "environment": "production",
    "model": {"name": "m", "version": "1"},
    "input": "s3://run-recorder-runs/runs/acme/run-0001/",
    "output": "s3://results/results/acme/run-0001/",
    "parameters": {},
}


def rejected(*errors: FieldError) -> dict[str, Any]:
    return {"status": "rejected", "errors": [{"path": error.path, "message": error.message} for error in errors]}


def replay(bench: RecorderBench) -> Replay:
    recorder = ReplayingRecorder(load_settings(), S3(bench.s3_client), bench.table)
    return recorder.replay(RUN)


def test_upload_that_was_rejected_for_the_deployment_is_recorded_once_that_is_right(
    recorder_bench: RecorderBench, environment: pytest.MonkeyPatch
) -> None:
    recorder_bench.put(b"{}", "v1")
    recorder_bench.show("v1", **rejected(*NO_MODEL))
    assert replay(recorder_bench) == Replay(ReplayState.UNCHANGED, "rejected", "rejected", NO_MODEL)
    assert recorder_bench.writes == []
    environment.setenv("MODEL_NAME", "m")
    environment.setenv("MODEL_VERSION", "1")
    assert replay(recorder_bench) == Replay(ReplayState.CHANGED, "rejected", "recorded", changes=("config",))
    assert recorder_bench.written["config"] == CONFIG
    assert recorder_bench.written["errors"] is None


def test_errors_that_differ_now_are_recorded(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(BAD, "v1")
    recorder_bench.show("v1", **rejected(*NO_MODEL))
    assert replay(recorder_bench) == Replay(ReplayState.CHANGED, "rejected", "rejected", BAD_ERRORS)
    assert recorder_bench.written["errors"] == rejected(*BAD_ERRORS)["errors"]
    assert "config" not in recorder_bench.written


@pytest.mark.parametrize("sequencer", [None, "0" * 31 + "5"])
def test_config_of_an_accepted_upload_is_that_of_the_settings_now(
    recorder_bench: RecorderBench, environment: pytest.MonkeyPatch, sequencer: str | None
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.show("v1", sequencer=sequencer, config=CONFIG, source={**SOURCE, "sequencer": "0" * 31 + "5"})
    assert replay(recorder_bench) == Replay(ReplayState.UNCHANGED, "recorded", "recorded")
    environment.setenv("MODEL_PARAMETERS", '{"x": 1.50}')
    assert replay(recorder_bench) == Replay(ReplayState.CHANGED, "recorded", "recorded", changes=("config",))
    assert recorder_bench.written["config"]["parameters"] == {"x": Decimal("1.5")}
    # Like that of any event without a sequencer.
    assert recorder_bench.written["sequencer"] is None
    assert "sequencer" not in recorder_bench.written["source"]
    assert len(recorder_bench.writes) == 1


def test_every_attribute_of_an_accepted_upload_is_compared(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(document(name="new", tags={"a": "b"}), "v1")
    recorder_bench.show("v1", config=CONFIG, source=SOURCE, name="old", created_by="c")
    assert replay(recorder_bench).changes == ("name", "created_by", "tags")


def test_accepted_upload_that_would_be_rejected_now_is_left(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(b"{}", "v1")
    recorder_bench.show("v1", config=CONFIG, source=SOURCE)
    assert replay(recorder_bench) == Replay(ReplayState.LEFT, "recorded", "recorded", NO_MODEL)
    assert recorder_bench.writes == []


def test_accepted_upload_whose_files_are_gone_is_left(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1", config=CONFIG, source=SOURCE)
    assert replay(recorder_bench).state == "left"
    assert recorder_bench.writes == []


@pytest.mark.parametrize("status", ["pending", "rejected"])
def test_incomplete_upload_waits_while_its_files_may_still_arrive(
    recorder_bench: RecorderBench, set_age: Any, status: str
) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    error = FieldError("/files/0/path", "no object late.csv below the run's prefix")
    recorder_bench.show("v1", **{**rejected(error), "status": status})
    set_age(3599)
    assert replay(recorder_bench) == Replay(ReplayState.WAITING, status, status, (error,))
    set_age(3600)
    expected = ReplayState.CHANGED if status == "pending" else ReplayState.UNCHANGED
    assert replay(recorder_bench) == Replay(expected, status, "rejected", (error,))
    assert len(recorder_bench.writes) == (status == "pending")


def test_run_without_a_record_and_run_with_a_newer_upload_are_recorded(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v2")
    assert replay(recorder_bench) == Replay(ReplayState.CHANGED, None, "recorded", changes=("config",))
    recorder_bench.show("v1", config=CONFIG, source=SOURCE)
    assert replay(recorder_bench) == Replay(ReplayState.CHANGED, "recorded", "recorded", changes=("config",))


def test_last_accepted_upload_is_found_behind_one_that_is_rejected(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1", last_modified=UPLOADED_AT - timedelta(days=1))
    recorder_bench.put(BAD, "v2")
    recorder_bench.show("v2", **rejected(*BAD_ERRORS))
    assert replay(recorder_bench) == Replay(
        ReplayState.CHANGED, "rejected", "rejected", BAD_ERRORS, changes=("config",)
    )
    assert recorder_bench.written["config"] == CONFIG


def test_run_without_a_document_is_gone(recorder_bench: RecorderBench) -> None:
    assert replay(recorder_bench) == Replay(ReplayState.GONE)
    recorder_bench.show("v1")
    assert replay(recorder_bench) == Replay(ReplayState.GONE, "recorded", "recorded")


@pytest.mark.parametrize("body", [GOOD, BAD], ids=["accepted", "rejected"])
def test_record_that_changes_meanwhile_is_read_again(recorder_bench: RecorderBench, body: bytes) -> None:
    recorder_bench.put(body, "v2")
    shown = recorder_bench.show("v1")
    recorder_bench.refuse(shown)
    assert replay(recorder_bench).state == "changed"
    assert recorder_bench.reads >= 2
    recorder_bench.show("v1")
    recorder_bench.refuse(*[shown] * 10)
    with pytest.raises(ContentionError, match="changed under each of 10 attempts"):
        replay(recorder_bench)


def test_accepted_record_that_changes_meanwhile_is_read_again(
    recorder_bench: RecorderBench, environment: pytest.MonkeyPatch
) -> None:
    recorder_bench.put(GOOD, "v1")
    shown = recorder_bench.show("v1", config=CONFIG, source=SOURCE)
    environment.setenv("MODEL_PARAMETERS", '{"x": 1}')
    recorder_bench.refuse(shown)
    assert replay(recorder_bench).state == "changed"
    assert len(recorder_bench.writes) == 2


def test_record_that_is_another_one_at_the_second_reading_is_compared_again(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.show("v1", config=CONFIG, source=SOURCE)
    read = recorder_bench.dynamodb_client.get_item.side_effect
    answers = iter(["first", "meanwhile"])

    def change(**request: Any) -> Any:
        if next(answers, None) == "meanwhile":
            recorder_bench.show("v1", config=CONFIG, source=SOURCE, recorded_at="2026-11-20T08:31:00.000000Z")
        return read(**request)

    recorder_bench.dynamodb_client.get_item.side_effect = change
    assert replay(recorder_bench).state == "unchanged"
    assert recorder_bench.reads == 4


def test_failure_of_aws_is_raised(recorder_bench: RecorderBench) -> None:
    recorder_bench.s3_client.get_object.side_effect = client_error("SlowDown")
    with pytest.raises(AWSCallError):
        replay(recorder_bench)


def test_table_that_is_not_written_shows_what_would_change(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    table = UnchangedTable(TABLE, recorder_bench.dynamodb_client)
    recorder = ReplayingRecorder(load_settings(), S3(recorder_bench.s3_client), table)
    assert recorder.replay(RUN) == Replay(ReplayState.CHANGED, None, "recorded", changes=("config",))
    assert recorder_bench.writes == []
