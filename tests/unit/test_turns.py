import pytest

from run_recorder.turns import Turns

LARGE = 100_000


def test_small_document_needs_no_turn() -> None:
    turns = Turns()
    with turns.take(LARGE), turns.take(1000), turns.take(1000):
        pass


def test_turn_that_does_not_end_is_waited_for_so_long_only() -> None:
    turns = Turns(0.01)
    with turns.take(LARGE), turns.take(LARGE):
        pass


def test_turn_ends_with_an_error_too() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.take(LARGE):
        raise ZeroDivisionError
    with turns.take(LARGE):
        pass
