"""`run-recorder list`: the records of an organisation or of all, page by page."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from pytest_mock import MockerFixture

from local.stack import LocalStack
from run_recorder.cli.newest_records import Selection, find_newest
from run_recorder.cli.stack import Stack
from run_recorder.domain import Outcome
from run_recorder.runs import RunTable
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
    first, second = everything[:2]
    assert result.stdout.splitlines() == [
        "recorded_at           status    run",
        f"{first['recorded_at'][:19]}Z  recorded  listed/b  uploaded again",
        f"{second['recorded_at'][:19]}Z  rejected  listed/e",
        "    /name: expected at least 1 character",
    ]
    assert result.stderr == f"more with --start-after {second['recorded_at']}/listed/e\n"


def test_first_error_of_each_record_that_is_not_accepted_is_listed(record_run: Callable[..., Outcome]) -> None:
    record_run("errors", "many", json.dumps({"files": [{"path": f"{number}.csv"} for number in range(21)]}).encode())
    record_run("errors", "two", b'{"name": "", "created_by": ""}')
    record_run("errors", "good", b'{"name": "fine"}')
    result = run_command("list", "errors")
    lines = [line for line in result.stdout.splitlines()[1:] if "Z  " not in line]
    assert lines == [
        "    /name: expected at least 1 character (first of 2 errors)",
        "    /files/0/path: no object 0.csv below the run's prefix (first of more than 20 errors)",
    ]
    runs = [json.loads(line) for line in run_command("list", "errors", "--json").stdout.splitlines()]
    assert [run.get("first_error", {}).get("path") for run in runs] == [None, "/name", "/files/0/path"]


@pytest.fixture
def organisations(record_run: Callable[..., Outcome], shared_stack: LocalStack) -> list[tuple[str, str]]:
    """The runs of three organisations alone, each a record, in the order in which they were recorded."""
    shared_stack.delete_records()
    runs = [("one", "a"), ("two", "b"), ("one", "c"), ("three", "d"), ("two", "e"), ("two", "f"), ("one", "g")]
    for number, (organisation, run) in enumerate(runs):
        record_run(organisation, run, BAD if number % 3 == 0 else b'{"parameters": {"x": 0.10000000000000000001}}')
    return runs


def names(text: str) -> list[tuple[str, str]]:
    return [(run["organisation_id"], run["run_id"]) for run in map(json.loads, text.splitlines())]


def test_runs_of_all_organisations_are_merged_newest_first_and_page_by_page(
    organisations: list[tuple[str, str]],
) -> None:
    newest_first = organisations[::-1]
    assert names(run_command("list", "--json").stdout) == newest_first
    for length in (1, 2, 3):
        found, more = [], [""]
        start: list[str] = []
        while more:
            result = run_command("list", "--json", "--limit", length, *start)
            found += names(result.stdout)
            more = result.stderr.partition("more with ")[2].split()
            start = more
        assert found == newest_first
    rejected = run_command("list", "--json", "--status", "rejected", "--limit", "2")
    assert names(rejected.stdout) == [("one", "g"), ("three", "d")]


def test_records_of_the_same_time_are_on_one_page_each(
    organisations: list[tuple[str, str]], shared_stack: LocalStack
) -> None:
    for organisation, run in organisations:
        shared_stack.dynamodb.update_item(
            TableName=shared_stack.outputs["RunsTable"],
            Key={"organisation_id": {"S": organisation}, "run_id": {"S": run}},
            UpdateExpression="SET recorded_at = :time",
            ExpressionAttributeValues={":time": {"S": "2026-11-20T08:30:00.000000Z"}},
        )
    found: list[tuple[str, str]] = []
    start: list[str] = []
    for _ in organisations:
        result = run_command("list", "--json", "--limit", 2, "--since", "2026-11-20", *start)
        found += names(result.stdout)
        if not (start := result.stderr.partition("more with ")[2].split()):
            break
    assert sorted(found) == sorted(organisations)


def test_page_after_a_time_before_since_is_empty(organisations: list[tuple[str, str]]) -> None:  # noqa: ARG001
    for scope in ([], ["one"]):
        start = ["--start-after", "2026-11-20T08:30:00.000000Z/one/a"]
        result = run_command("list", *scope, "--since", "1h", *start)
        assert (result.exit_code, result.stdout) == (0, "")


def test_whole_records_of_all_organisations_are_lines_with_exact_numbers(
    organisations: list[tuple[str, str]], shared_stack: LocalStack
) -> None:
    result = run_command("list", "--json", "--full", "--all")
    assert names(result.stdout) == organisations[::-1]
    assert result.stderr == ""
    records = [json.loads(line, parse_float=str) for line in result.stdout.splitlines()]
    assert records[1]["config"]["parameters"] == {"x": "0.10000000000000000001"}
    stored = {item["run_id"]["S"]: item.keys() for item in shared_stack.records()}
    assert {record["run_id"]: record.keys() for record in records} == stored
    assert len(run_command("list", "--json", "--full").stdout.splitlines()) == len(organisations)
    assert run_command("list", "--full").exit_code == 2


def test_records_held_are_limited_however_many_organisations_there_are(mocker: MockerFixture) -> None:
    table = mocker.create_autospec(RunTable, instance=True)
    begun = Counter[str]()

    def find(_operation: str, **request: Any) -> Iterator[dict[str, Any]]:
        organisation = request["ExpressionAttributeValues"][":organisation_id"]["S"]
        for number in range(10**6, 0, -1):
            begun[organisation] += 1
            texts = {"organisation_id": organisation, "run_id": str(number), "recorded_at": f"2026-{number:07}"}
            yield {name: {"S": text} for name, text in texts.items()}

    table.find.side_effect = find
    found = find_newest(table, [f"organisation-{number:04}" for number in range(2000)], Selection())
    assert len({item["organisation_id"]["S"] for item in islice(found, 4000)}) == 2000
    assert begun.total() <= 6000
    assert {call.kwargs["Limit"] for call in table.find.call_args_list} == {20}


def test_requests_of_a_list_are_those_in_the_guide(
    organisations: list[tuple[str, str]],  # noqa: ARG001
    made_stacks: list[Stack],
) -> None:
    made_stacks.clear()
    run_command("list")
    run_command("list", "two")
    run_command("list", "--json", "--full")
    scan = {"DescribeStacks": 1, "Scan": 4}
    assert [dict(stack.calls) for stack in made_stacks] == [
        {**scan, "Query": 3, "BatchGetItem": 1},
        {"DescribeStacks": 1, "Query": 1},
        {**scan, "Query": 3, "BatchGetItem": 1},
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "organisation nosuch has no records\n"),
        (["--since", "1h"], "organisation nosuch has no records like these\n"),
        (["--status", "rejected"], "organisation nosuch has no records like these\n"),
        (["--start-after", "2026-11-20T08:30:00.000000Z/nosuch/run-1"], "organisation nosuch has no more records\n"),
    ],
)
def test_empty_list_is_a_line_on_standard_error(arguments: list[str], message: str) -> None:
    for more in ([], ["--json"]):
        result = run_command("list", "nosuch", *arguments, *more)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", message)


def test_since_accepts_times_of_all_zones(mocker: MockerFixture) -> None:
    find = mocker.patch("run_recorder.cli.list_runs.find_newest", autospec=True, side_effect=lambda *_: iter(()))
    for since, expected in {
        "2026-11-20": "2026-11-20T00:00:00.000000Z",
        "2026-11-20T10:00:00.5+02:00": "2026-11-20T08:00:00.500000Z",
        "2026-11-20T08:00Z": "2026-11-20T08:00:00.000000Z",
    }.items():
        listed("--since", since)
        assert find.call_args.args[2].since == expected
    for nonsense in ("yesterday", "5", "3 h", "2026-13-01"):
        assert run_command("list", "listed", "--since", nonsense).exit_code == 2
    for nonsense in ("x", "/x", "x/", "2026-11-20T08:30:00.000000Z/run-1", "/acme/run-1"):
        assert run_command("list", "listed", "--start-after", nonsense).exit_code == 2
