"""What a record says of its uploads."""

import pytest

from handler.domain import ObjectVersion
from handler.errors import FieldError
from handler.record_state import STATE_ATTRIBUTES, RecordState

MISSING = FieldError("/files/0/path", "no object a below the run's prefix")
WRONG_SIZE = FieldError("/files/12/size", "the object has 2 bytes, not 1")
OTHER = FieldError("/files", "expected an array, found an integer")


def test_state_is_read_from_an_item() -> None:
    texts = {
        "status": "rejected",
        "sequencer": "5",
        "uploaded_at": "u",
        "version_id": "v",
        "etag": "e",
        "recorded_at": "r",
    }
    source = {"version_id": {"S": "v0"}, "etag": {"S": "e0"}, "sequencer": {"S": "4"}, "size": {"N": "1"}}
    error = {"path": {"S": MISSING.path}, "message": {"S": MISSING.message}}
    item = {
        **{name: {"S": text} for name, text in texts.items()},
        "source": {"M": source},
        "errors": {"L": [{"M": error}]},
    }
    assert item.keys() == set(STATE_ATTRIBUTES)
    state = RecordState.of(item)
    assert state == RecordState("rejected", "5", "u", "v", "e", "v0", "e0", "4", "r", (MISSING,))
    assert state.version == ObjectVersion("v", "e")
    assert state.source == ObjectVersion("v0", "e0")


def test_state_of_a_record_without_an_accepted_upload_has_no_source() -> None:
    assert RecordState.of({}).source is None


@pytest.mark.parametrize(
    ("status", "errors", "is_settled"),
    [
        ("recorded", (), True),
        ("rejected", (MISSING,), False),
        ("rejected", (MISSING, WRONG_SIZE), False),
        ("rejected", (OTHER, MISSING), True),
        ("rejected", (FieldError("/files/0/path/x", ""),), True),
        ("rejected", (FieldError("/files/x/path", ""),), True),
        ("rejected", (FieldError("/files/0/sha256", ""),), True),
    ],
)
def test_only_an_upload_that_lacks_nothing_but_files_is_not_settled(
    status: str, errors: tuple[FieldError, ...], *, is_settled: bool
) -> None:
    assert RecordState(status=status, errors=errors).is_settled is is_settled
