"""`run-recorder list`: the records of an organisation, page by page."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from run_recorder.domain import Outcome
from tests.support.stack_fixtures import run_command

pytestmark = pytest.mark.usefixtures("shared_stack")

BAD = b'{"name": ""}'


Runs = list[dict[str, Any]]


def listed(*arguments: str) -> tuple[Runs, str | None]:
    """Return the runs of a page, and the argument that shows the next one."""
    result = run_command("list", "listed", "--json", *arguments)
    assert result.exit_code == 0, result.output
    _, has_more, following = result.stderr.partition("more with --start-after ")
    return [json.loads(line) for line in result.stdout.splitlines()], following.strip() if has_more else None


def ids(runs: Runs) -> list[str]:
    return [run["run_id"] for run in runs]


def test_list_shows_newest_first_page_by_page(record_run: Callable[..., Outcome]) -> None:
    names = ["b", "d", "a", "c", "e"]
    for name in names:
        record_run("listed", name, BAD if name in "de" else b'{"name": "the name"}')
    record_run("listed", "b", b'{"name": "uploaded again"}')
    names = ["d", "a", "c", "e", "b"]

    everything, following = listed()
    assert ids(everything) == names[::-1]
    assert following is None
    assert set(everything[0]) == {"organisation_id", "run_id", "recorded_at", "status", "uploaded_at", "name"}

    page, following = listed("--limit", "2")
    pages = [page]
    while following:
        page, following = listed("--limit", "2", "--start-after", following)
        pages.append(page)
    assert [ids(page) for page in pages] == [["b", "e"], ["c", "a"], ["d"]]
    assert listed("--limit", "5")[1] is None

    rejected, following = listed("--status", "rejected", "--limit", "1")
    assert ids(rejected) == ["e"]
    assert following is not None
    assert ids(listed("--status", "rejected", "--start-after", following)[0]) == ["d"]

    third = everything[2]["recorded_at"]
    assert ids(listed("--since", third)[0]) == ["b", "e", "c"]
    assert ids(listed("--since", "1h")[0]) == names[::-1]

    result = run_command("list", "listed", "--limit", "2")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["recorded_at", "run_id", "status", "uploaded_at", "name"]
    assert [row[1] for row in rows[1:]] == ["b", "e"]
    second = everything[1]
    assert result.stderr == f"more with --start-after {second['recorded_at']}/{second['run_id']}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "organisation nosuch has no records\n"),
        (["--since", "1h"], "organisation nosuch has no records like these\n"),
        (["--status", "rejected"], "organisation nosuch has no records like these\n"),
        (["--start-after", "2026-11-20T08:30:00.000000Z/run-1"], "organisation nosuch has no more records\n"),
    ],
)
def test_empty_list_is_a_line_on_standard_error(arguments: list[str], message: str) -> None:
    for more in ([], ["--json"]):
        result = run_command("list", "nosuch", *arguments, *more)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", message)


def test_since_accepts_times_of_all_zones(mocker: MockerFixture) -> None:
    find = mocker.patch("run_recorder.cli.list_runs.Records.newest", autospec=True, return_value=[])
    for since, expected in {
        "2026-11-20": "2026-11-20T00:00:00.000000Z",
        "2026-11-20T10:00:00.5+02:00": "2026-11-20T08:00:00.500000Z",
        "2026-11-20T08:00Z": "2026-11-20T08:00:00.000000Z",
    }.items():
        listed("--since", since)
        assert find.call_args.args[3] == expected
    for nonsense in ("yesterday", "5", "3 h", "2026-13-01"):
        assert run_command("list", "listed", "--since", nonsense).exit_code == 2
    for nonsense in ("x", "/x", "x/"):
        assert run_command("list", "listed", "--start-after", nonsense).exit_code == 2
