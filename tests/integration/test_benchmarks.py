"""The parts of the benchmark: one that does not work would yield good figures."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from benchmarks.discarding_server import discard
from benchmarks.documents import BUCKET, DOCUMENTS, make_event
from benchmarks.many_runs import ORGANISATIONS, ManyRuns
from benchmarks.probe import Context
from benchmarks.report import Row
from benchmarks.scale import COMMANDS, measure_scale
from benchmarks.scale_probe import run_bare, run_ours
from benchmarks.server import serve
from benchmarks.upload_probe import upload_bare, upload_ours
from handler.app import lambda_handler
from run_recorder.domain import RECORDED_FIELDS
from run_recorder.metadata import MAX_BYTES
from run_recorder.producer.digests import PART_SIZE


@pytest.fixture
def requests(environment: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The parameters of the calls to the server of the benchmark."""
    session = boto3.Session()
    made: list[dict[str, Any]] = []
    session.events.register("provide-client-params", lambda params, **_: made.append(params))
    environment.setattr(boto3, "DEFAULT_SESSION", session)
    environment.setenv("RUNS_BUCKET", BUCKET)
    with serve() as url:
        environment.setenv("AWS_ENDPOINT_URL", url)
        yield made


def test_function_records_the_documents_of_the_server(requests: list[dict[str, Any]]) -> None:
    event = make_event("small", 2)
    assert lambda_handler(event, Context()) == {"batchItemFailures": []}
    assert len([request for request in requests if "UpdateExpression" in request]) == 2


def test_bare_calls_equal_the_calls_of_the_function(requests: list[dict[str, Any]]) -> None:
    lambda_handler(make_event("small", 1), Context())
    ours = requests.copy()
    requests.clear()
    from benchmarks import floor  # noqa: PLC0415 - it makes its clients at import

    floor.record(make_event("small", 1), Context())
    assert requests[0] == ours[0]
    names, ours_names = (made[1]["ExpressionAttributeNames"] for made in (requests, ours))
    # The function removes the attributes of the fields that the document lacks.
    absent = {f"#{name}" for name in RECORDED_FIELDS if name not in json.loads(DOCUMENTS["small"])}
    assert names.keys() == ours_names.keys() - absent
    written, ours_written = (made[1]["ExpressionAttributeValues"] for made in (requests, ours))
    assert abs(len(str(written)) - len(str(ours_written))) < 100


@pytest.mark.parametrize("name", ["ours", "bare"])
def test_uploads_send_every_file_and_the_document(
    name: str, requests: list[dict[str, Any]], environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "small").write_bytes(b"1")
    (tmp_path / "large").write_bytes(bytes(PART_SIZE + 1))
    with discard() as url:
        environment.setenv("AWS_ENDPOINT_URL", url)
        {"ours": upload_ours, "bare": upload_bare}[name](tmp_path)
    stored = [request["Key"].rpartition("/")[2] for request in requests if "Body" in request]
    assert sorted(stored) == ["large", "large", "metadata.json", "small"]


def test_large_documents_have_the_greatest_size() -> None:
    assert {len(DOCUMENTS[name]) for name in ("large", "nested", "empties")} == {MAX_BYTES}


@pytest.mark.parametrize(("limit", "is_kept"), [(None, True), (0.5, True), (0.49, False)])
def test_limit_is_the_highest_ratio(limit: float | None, is_kept: bool) -> None:
    assert Row("start", "ms", 1, "floor", 2, limit).is_kept is is_kept


def test_ratio_of_pairs_replaces_the_ratio_of_the_medians() -> None:
    row = Row("run", "ms", 3, "bare calls", 2, 1.1, of_pairs=1.05)
    assert (row.ratio, row.is_kept) == (1.05, True)


RUNS = 300


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("reconcile", {"ListObjectsV2": 10, "Query": 10, "HeadObject": RUNS}),
        ("list", {"Query": 10, "BatchGetItem": 3}),
        ("replay", {"Query": 10, "GetItem": RUNS, "GetObject": RUNS}),
    ],
)
@pytest.mark.usefixtures("environment")
def test_commands_find_all_runs_right_in_more_requests_than_the_bare_calls(
    name: str, bare: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    ours_runs, bare_runs = ManyRuns(RUNS), ManyRuns(RUNS)
    run_ours(name, ours_runs)
    run_bare(name, bare_runs)
    assert bare_runs.requests == bare
    assert all(ours_runs.requests[operation] >= count for operation, count in bare.items())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    if name == "list":
        names = [f"{line['organisation_id']}/{line['run_id']}" for line in lines]
        assert len(set(names)) == len(names) == RUNS
        assert {name.partition("/")[0] for name in names} == set(ORGANISATIONS)
        return
    (line,) = lines
    right = {"reconcile": "current", "replay": "unchanged"}[name]
    assert {state: count for state, count in line["summary"]["counts"].items() if count} == {right: RUNS}


@pytest.mark.slow
def test_commands_take_as_long_for_each_of_100_000_runs_as_of_1000_and_no_more_memory() -> None:
    rows = measure_scale(1000, 100_000)
    assert len(rows) == 4 * len(COMMANDS)
    assert [row for row in rows if not row.is_kept] == []
