"""The texts of errors, and their limits."""

from run_recorder.errors import FieldError, InvalidMetadataError


def test_texts_are_clipped_to_200_bytes_of_valid_utf_8() -> None:
    error = FieldError("/" + "é" * 500, "x" * 201)
    for text in (error.path, error.message):
        assert 196 < len(text.encode()) <= 200
        assert text.endswith("…")
    assert FieldError("/" + "a" * 199, "m").path == "/" + "a" * 199


def test_lone_surrogates_are_replaced() -> None:
    assert FieldError("/\ud800", "m").path == "/?"


def test_message_of_invalid_metadata_lists_every_error() -> None:
    error = InvalidMetadataError([FieldError("", "one"), FieldError("/a", "two")])
    assert str(error) == "document: one; /a: two"
    assert error.errors == (FieldError("", "one"), FieldError("/a", "two"))
