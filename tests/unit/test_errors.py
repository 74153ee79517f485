"""The texts of errors, and their limits."""

import pytest

from run_recorder.errors import AWSCallError, FieldError, InvalidMetadataError
from tests.support.fake_s3 import failed_call


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


@pytest.mark.parametrize(
    ("operation", "code", "is_of_one_object"),
    [
        ("GetObject", "InvalidObjectState", True),
        ("GetObject", "AccessDenied", True),
        ("GetObject", "KMS.DisabledException", True),
        ("HeadObject", "403", True),
        ("HeadObject", "400", False),
        ("GetObject", "ExpiredToken", False),
        ("GetObject", "InvalidAccessKeyId", False),
        ("GetObject", "SlowDown", False),
        ("ListObjectsV2", "AccessDenied", False),
        ("GetItem", "AccessDeniedException", False),
    ],
)
def test_refusal_of_one_object_is_distinguished_from_a_failure_of_all_calls(
    operation: str, code: str, is_of_one_object: bool
) -> None:
    assert failed_call(operation, code).is_of_one_object is is_of_one_object
    assert not AWSCallError("no answer").is_of_one_object


def test_only_the_status_of_a_head_request_is_unexplained() -> None:
    assert [failed_call("HeadObject", code).is_unexplained for code in ("400", "403", "503")] == [True, True, False]
    assert not failed_call("GetObject", "403").is_unexplained
