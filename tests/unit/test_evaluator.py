"""The verdict on one upload: all errors at once, those of files last."""

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest

from run_recorder.config import load_settings
from run_recorder.domain import RECORDED_FIELDS, ObjectVersion
from run_recorder.evaluator import Evaluator
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject
from run_recorder.verdict import Evaluation
from run_recorder.waiting import Wait
from tests.support.documents import document
from tests.support.fake_s3 import FakeS3
from tests.support.names import RUN, UPLOADED_AT


class EvaluatorBench:
    """An evaluator, and the bucket that holds the files of the run."""

    def __init__(self, client: MagicMock) -> None:
        self.bucket = FakeS3().answer(client)
        self.evaluator = Evaluator(load_settings(), S3(client))

    def evaluate(self, document: Any) -> Evaluation:
        """Return the verdict on a document."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.evaluator.evaluate(RUN, StoredObject("v1", "etag", UPLOADED_AT, len(body), body))

    def find_errors(self, document: Any) -> dict[str, str]:
        """Return the message of each error by its path, in their order."""
        verdict = self.evaluate(document)
        assert not verdict.is_accepted
        assert verdict.accepted == {}
        return {error.path: error.message for error in verdict.errors}


@pytest.fixture
def bench(s3_client: MagicMock) -> EvaluatorBench:
    return EvaluatorBench(s3_client)


def missing_files(count: int, first: int = 0) -> list[str]:
    return [f"/files/{index}/path" for index in range(first, first + count)]


def declare(count: int) -> list[dict[str, str]]:
    return [{"path": f"{index:04}"} for index in range(count)]


def wrong_tags(count: int) -> dict[str, int]:
    return {f"t{index:02}": index for index in range(count)}


def test_accepted_upload_has_what_its_record_needs(bench: EvaluatorBench) -> None:
    bench.bucket.put_files("runs/acme/run-0001/a", size=2)
    verdict = bench.evaluate(document(name="n", files=[{"path": "a", "size": 2}]))
    assert verdict.version == ObjectVersion("v1", "etag")
    assert (verdict.is_accepted, verdict.errors, verdict.errors_truncated) == (True, (), False)
    assert set(verdict.accepted) == {"config", "config_sha256", "source", *RECORDED_FIELDS}
    assert (verdict.accepted["name"], verdict.accepted["created_by"]) == ("n", None)


def test_errors_of_the_document_its_model_and_its_files_are_found_at_once(bench: EvaluatorBench) -> None:
    bench.bucket.put_files("runs/acme/run-0001/a", size=2)
    bench.bucket.put_files("runs/acme/run-0001/c", size=3)
    bench.bucket.put_files("runs/acme/run-0001/d", size=1)
    files = [{"path": "a", "size": 1}, {"path": "b"}, {"path": "c", "size": 3}, {"path": "d", "size": -1}]
    assert bench.find_errors({"name": 1, "model": {"name": "m"}, "files": files}) == {
        "/name": "expected a string, found an integer",
        "/files/3/size": "expected at least 0",
        "/files/0/size": "the object has 2 bytes, not 1",
        "/files/1/path": "no object b below the run's prefix",
        "/model/version": "production needs a pinned version, other than 'latest'",
    }


def test_rejected_upload_sets_nothing_though_its_config_could_be_built(bench: EvaluatorBench) -> None:
    assert list(bench.find_errors(document(files=declare(1)))) == ["/files/0/path"]
    assert list(bench.find_errors(document(name=1))) == ["/name"]


def test_errors_of_files_are_last(bench: EvaluatorBench) -> None:
    """So that those that are reported show whether files are all that is missing."""
    files = [{"path": ".."}, {"path": "b", "sha256": "0"}, {"path": "c"}]
    document = {"files": files, "model": {"name": "m"}, "run_id": "other"}
    assert list(bench.find_errors(document)) == [
        "/files/1/sha256", "/run_id", "/model/version", "/files/0/path", "/files/2/path",
    ]  # fmt: skip


def test_errors_of_files_do_not_displace_others(bench: EvaluatorBench) -> None:
    """Though they are found first: the schema is checked in the order of the document."""
    document = {"files": [{"path": ".."}] * 20, "name": 1}
    verdict = bench.evaluate(document)
    assert [error.path for error in verdict.errors] == ["/name", *missing_files(19)]
    assert verdict.errors_truncated


@pytest.mark.parametrize(("count", "is_truncated"), [(19, False), (20, False), (21, True), (500, True)])
def test_first_20_errors_are_reported_and_that_there_are_more(
    bench: EvaluatorBench, count: int, *, is_truncated: bool
) -> None:
    verdict = bench.evaluate(document(files=declare(count)))
    assert [error.path for error in verdict.errors] == missing_files(min(count, 20))
    assert verdict.errors_truncated is is_truncated


@pytest.mark.parametrize(
    ("tags", "files", "is_truncated"), [(19, 1, False), (20, 0, False), (20, 1, True), (19, 2, True), (21, 0, True)]
)
def test_20_errors_of_all_kinds_together_are_reported(
    bench: EvaluatorBench, tags: int, files: int, *, is_truncated: bool
) -> None:
    verdict = bench.evaluate(document(tags=wrong_tags(tags), files=declare(files)))
    assert len(verdict.errors) == 20
    assert verdict.errors_truncated is is_truncated


@pytest.mark.parametrize(("tags", "lists"), [(20, 1), (21, 0)])
def test_files_are_not_listed_where_more_errors_are_known_than_are_reported(
    bench: EvaluatorBench, tags: int, lists: int
) -> None:
    verdict = bench.evaluate(document(tags=wrong_tags(tags), files=declare(1)))
    assert verdict.errors_truncated
    assert len(bench.bucket.lists) == lists


def test_files_are_not_listed_where_the_model_makes_21_errors(bench: EvaluatorBench) -> None:
    verdict = bench.evaluate({"tags": wrong_tags(20), "files": declare(1)})
    assert (len(verdict.errors), verdict.errors_truncated) == (20, True)
    assert bench.bucket.lists == []


def test_model_that_is_wrong_in_itself_is_not_missing_as_well(bench: EvaluatorBench) -> None:
    assert bench.find_errors({"model": {"name": 1}}) == {"/model/name": "expected a string, found an integer"}
    assert bench.find_errors({"model": 1}) == {"/model": "expected an object, found an integer"}


def test_document_that_is_not_json_has_that_error_alone(bench: EvaluatorBench) -> None:
    assert bench.find_errors(b"{") == {
        "": "not JSON: Expecting property name enclosed in double quotes at line 1, column 2"
    }


@pytest.mark.parametrize(("length", "is_accepted"), [(390_000, True), (393_216, False)])
def test_record_over_the_item_size_is_an_error(bench: EvaluatorBench, length: int, *, is_accepted: bool) -> None:
    verdict = bench.evaluate(document(parameters={"p": "x" * length}))
    assert verdict.is_accepted is is_accepted
    assert all("of the record, which holds 393216" in error.message for error in verdict.errors)


@pytest.mark.parametrize(
    "fields",
    [
        {"files": declare(1)},
        {"files": [{"path": "a", "size": 1}]},
        {"files": declare(500)},
    ],
    ids=["missing", "another size", "more missing than are reported"],
)
def test_upload_that_lacks_nothing_but_files_waits_for_them(
    bench: EvaluatorBench, set_age: Callable[[float], None], fields: dict[str, Any]
) -> None:
    bench.bucket.put_files("runs/acme/run-0001/a", size=2)
    set_age(100)
    assert bench.evaluate(document(**fields)).wait == Wait(100, 3500)
    assert bench.evaluate(document(**fields)).is_waiting
    set_age(3600)
    assert bench.evaluate(document(**fields)).wait == Wait(3600, 0)
    assert not bench.evaluate(document(**fields)).is_waiting


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": 1, "files": declare(1)},
        {"files": [{"path": ".."}]},
        {"files": [{"path": ".."}, {"path": "b"}]},
        {"files": declare(1), "model": {"name": "m"}},
        {"files": declare(1), "parameters": {"p": "x" * 393_216}},
        {"tags": wrong_tags(21), "files": declare(1)},
    ],
    ids=["nothing", "a field", "a path", "a path and a file", "the model", "the size of the record", "too much"],
)
def test_upload_with_an_error_of_another_kind_does_not_wait(
    bench: EvaluatorBench, set_age: Callable[[float], None], fields: dict[str, Any]
) -> None:
    set_age(0)
    assert bench.evaluate(document(**fields)).wait is None
    assert bench.evaluate(b"{").wait is None


def test_clock_is_read_before_the_files_are_listed(
    bench: EvaluatorBench, set_age: Callable[[float], None], s3_client: MagicMock
) -> None:
    """A file that arrives before the end of the wait is not overlooked by the last look."""
    list_objects = s3_client.list_objects_v2.side_effect

    def list_late(**request: Any) -> Any:
        set_age(3601)
        return list_objects(**request)

    s3_client.list_objects_v2.side_effect = list_late
    set_age(3599)
    assert bench.evaluate(document(files=declare(1))).wait == Wait(3599, 1)


@pytest.mark.parametrize(("seconds", "remaining"), [("0", 0), ("101", 1)])
def test_wait_lasts_as_long_as_the_settings_state(
    s3_client: MagicMock,
    set_age: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    seconds: str,
    remaining: float,
) -> None:
    monkeypatch.setenv("FILES_WAIT_SECONDS", seconds)
    set_age(100)
    assert EvaluatorBench(s3_client).evaluate(document(files=declare(1))).wait == Wait(100, remaining)


def test_document_that_was_not_read_is_an_error(bench: EvaluatorBench) -> None:
    verdict = bench.evaluator.evaluate(RUN, StoredObject("v1", "etag", UPLOADED_AT, 1_048_577, None))
    assert [error.message for error in verdict.errors] == ["1048577 bytes; at most 1048576 are read"]
