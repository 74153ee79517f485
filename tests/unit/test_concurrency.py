"""Concurrent calls with their results in order."""

import threading
from collections.abc import Iterator

import pytest

from run_recorder.concurrency import WORKERS, map_in_order


@pytest.mark.parametrize("workers", [3, WORKERS])
def test_results_are_in_order_and_few_items_are_taken_ahead(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    most = 0
    for done, (number, result) in enumerate(map_in_order(lambda number: number * 2, items(), workers)):
        assert (number, result) == (done, done * 2)
        most = max(most, len(taken) - done)
    assert done == 999
    assert most <= 4 * workers + 1


def test_error_of_a_call_ends_the_others_that_have_not_begun() -> None:
    called: list[int] = []
    released = threading.Event()

    def call(number: int) -> None:
        called.append(number)
        if number == 0:
            raise ValueError("the first")
        released.wait(10)

    results = map_in_order(call, range(5), workers=2)
    with pytest.raises(ValueError, match="the first"):
        next(iter(results))
    assert 0 in called
    released.set()
