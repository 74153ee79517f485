import pytest

from run_recorder.large_document_gate import LargeDocumentGate

LARGE = 100_000


def test_small_document_does_not_wait() -> None:
    gate = LargeDocumentGate()
    with gate.hold(LARGE), gate.hold(1000), gate.hold(1000):
        pass


def test_large_document_passes_after_the_longest_wait() -> None:
    gate = LargeDocumentGate(0.01)
    with gate.hold(LARGE), gate.hold(LARGE):
        pass


def test_gate_opens_after_an_error() -> None:
    gate = LargeDocumentGate()
    with pytest.raises(ZeroDivisionError), gate.hold(LARGE):
        raise ZeroDivisionError
    with gate.hold(LARGE):
        pass
