"""The limit of the work in a second."""

from unittest.mock import MagicMock

import pytest
from pytest_mock import MockerFixture

from run_recorder.cli import pacing
from run_recorder.cli.pacing import pace


@pytest.fixture
def clock(mocker: MockerFixture) -> MagicMock:
    """A clock that stands still but for the sleeps; ``now`` is its time in seconds."""
    clock: MagicMock = mocker.patch.object(pacing, "time", autospec=True)
    clock.now = 100.0
    clock.monotonic.side_effect = lambda: clock.now

    def sleep(seconds: float) -> None:
        clock.now += seconds

    clock.sleep.side_effect = sleep
    return clock


def test_rate_limits_the_items_in_a_second(clock: MagicMock) -> None:
    assert list(pace("abcde", 2)) == [*"abcde"]
    assert clock.now == 102.0


def test_without_a_rate_no_item_waits(clock: MagicMock) -> None:
    assert list(pace("abcde", None)) == [*"abcde"]
    assert clock.sleep.call_count == 0


def test_slow_item_is_not_followed_by_a_burst(clock: MagicMock) -> None:
    times = []
    for item in pace("abcd", 2):
        times.append(clock.now)
        if item == "b":
            clock.now += 10
    assert times == [100.0, 100.5, 110.5, 111.0]
