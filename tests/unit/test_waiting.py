"""The wait for late files: its end, the delays of its message, and the truth table of putting it back."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from pytest_mock import MockerFixture

from run_recorder.waiting import MAX_DELAY, MIN_DELAY, Look, Wait, choose_delay, is_put_back

STORED = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
COLUMNS = ("latest", "complete", "newer accepted", "wait over", "from queue", "failed record", "put back")


@pytest.fixture
def set_clock(mocker: MockerFixture) -> Iterator[None]:
    """Stop the clock a hundred seconds after the upload was stored."""
    clock = mocker.patch("run_recorder.waiting.datetime", autospec=True)
    clock.now.return_value = STORED + timedelta(seconds=100)
    yield
    clock.now.assert_called_with(UTC)


def read_truth_table() -> Iterator[dict[str, str]]:
    lines = str(is_put_back.__doc__).splitlines()
    rules = [index for index, line in enumerate(lines) if line.strip().startswith("===")]
    columns = [match.span() for match in re.finditer("=+", lines[rules[0]])]
    head, *rows = [
        [line[start:end].strip() for start, end in columns]
        for line in [lines[rules[0] + 1], *lines[rules[1] + 1 : rules[2]]]
    ]
    assert tuple(head) == COLUMNS
    for row in rows:
        yield dict(zip(COLUMNS, row, strict=True))


ROWS = list(read_truth_table())
CASES = [dict(zip(COLUMNS[:-1], values, strict=True)) for values in product(("no", "yes"), repeat=6)]


def decide(case: dict[str, str]) -> bool:
    is_true = {column: value == "yes" for column, value in case.items()}
    wait = None if is_true["complete"] else Wait(age=60, remaining=0 if is_true["wait over"] else 60)
    look = Look(wait, is_latest=is_true["latest"], is_newer_accepted=is_true["newer accepted"])
    return is_put_back(look, is_from_queue=is_true["from queue"], has_failed_record=is_true["failed record"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: ", ".join(name for name in case if case[name] == "yes"))
def test_each_case_is_decided_as_every_row_that_it_matches(case: dict[str, str]) -> None:
    matching = [row for row in ROWS if all(row[name] in ("any", value) for name, value in case.items())]
    assert matching
    for row in matching:
        assert decide(case) is (row["put back"] == "yes"), row


def test_message_is_put_back_in_one_case_alone_be_the_upload_the_latest_or_not() -> None:
    put_back = [case for case in CASES if decide(case)]
    assert [(case.pop("latest"), case) for case in put_back] == [
        (
            latest,
            dict.fromkeys(("complete", "newer accepted", "wait over", "failed record"), "no") | {"from queue": "yes"},
        )
        for latest in ("no", "yes")
    ]


@pytest.mark.usefixtures("set_clock")
@pytest.mark.parametrize(
    ("seconds", "remaining", "is_over"), [(101, 1, False), (100, 0, True), (99, -1, True), (3600, 3500, False)]
)
def test_wait_lasts_for_its_seconds_after_the_upload_was_stored(seconds: int, remaining: int, *, is_over: bool) -> None:
    assert Wait.of(STORED, seconds) == Wait(100, remaining)
    assert Wait.of(STORED, seconds).is_over is is_over


@pytest.mark.usefixtures("set_clock")
@pytest.mark.parametrize("behind", [0, 101, 5000])
def test_wait_of_no_seconds_is_over_even_if_the_clock_is_behind(behind: int) -> None:
    assert Wait.of(STORED + timedelta(seconds=behind), 0).is_over


@pytest.mark.parametrize(
    ("age", "remaining", "delay"),
    [
        (-30, 3630, 15),
        (0, 3600, 15),
        (14.9, 3585.1, 15),
        (16.9, 3583.1, 16),
        (600, 3000, 600),
        (901, 2699, 900),
        (3300, 300, 301),
        (3599.5, 0.5, 2),
        (2, 3, 4),
    ],
)
def test_delay_is_the_age_within_its_limits_and_at_most_until_just_after_the_end(
    age: float, remaining: float, delay: int
) -> None:
    assert Wait(age, remaining).next_delay == delay


@pytest.mark.parametrize("seconds", [1, 15, 60, 3600, 86_400])
@pytest.mark.parametrize("behind", [0, 1, 20, 900])
@pytest.mark.parametrize("late", [0.0, 0.4, 5.0, 70.0])
def test_message_is_put_back_a_limited_number_of_times(seconds: int, behind: int, late: float) -> None:
    """Lambda does not stop the loop: `RecursiveLoop` is `Allow`.

    The bound: 8 looks until the delay is 900 s, one for each further 900 s of the wait, and one for each 15 s
    by which the clock is behind that of S3. A delivery that is late takes none more.
    """
    bound = 8 + -(-max(0, seconds - 960) // MAX_DELAY) + -(-behind // MIN_DELAY)
    now, looks = float(-behind), 1
    while not (wait := Wait(now, seconds - now)).is_over:
        looks += 1
        now += wait.next_delay + late
    assert looks <= bound
    assert seconds <= now <= seconds + MAX_DELAY + late


def test_looks_in_the_default_wait_of_an_hour() -> None:
    """The bound of the documentation, reached when every message is delivered at once."""
    now, looks = 0.0, [0.0]
    while not (wait := Wait(now, 3600 - now)).is_over:
        now += wait.next_delay
        looks.append(now)
    assert looks == [0, 15, 30, 60, 120, 240, 480, 960, 1860, 2760, 3601]


def test_shortest_delay_of_several_looks_is_chosen() -> None:
    looks = [Look(Wait(age, 3600 - age), is_latest=True) for age in (300, 100, 200)]
    assert choose_delay(looks, is_from_queue=True, has_failed_record=False) == 100
    looks[1] = Look(looks[1].wait, is_latest=False, is_newer_accepted=True)
    assert choose_delay(looks, is_from_queue=True, has_failed_record=False) == 200


def test_no_delay_is_chosen_where_nothing_is_put_back() -> None:
    look = Look(Wait(10, 100), is_latest=True)
    assert choose_delay([], is_from_queue=True, has_failed_record=False) is None
    assert choose_delay([Look(None, is_latest=True)], is_from_queue=True, has_failed_record=False) is None
    assert choose_delay([look], is_from_queue=False, has_failed_record=False) is None
    assert choose_delay([look], is_from_queue=True, has_failed_record=True) is None
