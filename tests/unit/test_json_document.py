"""JSON text, converted to values and back exactly."""

import time
from decimal import Decimal

import pytest

from run_recorder.errors import InvalidMetadataError
from run_recorder.json_document import ERRORS_SOUGHT, MAX_ERRORS, decode, encode, pointer


def test_byte_order_mark_is_tolerated() -> None:
    assert decode(b'\xef\xbb\xbf{"a": 1}') == ({"a": 1}, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'"\x01"', "not JSON: Invalid control character"),
        (b'{"a": 1}\n{}', "not JSON: Extra data at line 2, column 1"),
        (b'{"a": "\xe9"}', "not UTF-8: byte 7 is 0xe9"),
        (b"\xef\xbb\xbf[\xe9]", "not UTF-8: byte 4 is 0xe9"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8: byte 0 is 0xff"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b"[" * 1_048_576, "nested deeper than"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than"),
    ],
)
def test_text_that_is_not_json_raises_one_error_of_the_document(text: bytes, message: str) -> None:
    with pytest.raises(InvalidMetadataError) as raised:
        decode(text)
    (error,) = raised.value.errors
    assert error.path == ""
    assert error.message.startswith(message)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.0", 0),
        ("0e999999999999", 0),
        ("12", 12),
        ("-12", -12),
        ("1.0", 1),
        ("1e3", 1000),
        ("120E-1", 12),
        ("1e0000000000001", 10),
        ("1e-0000000000001", Decimal("0.1")),
        ("1E+0000000000000", 1),
        ("1e37", 10**37),
        ("9" * 38, 10**38 - 1),
        ("-" + "9" * 38, 1 - 10**38),
        ("1" + "0" * 100, Decimal("1E+100")),
        ("0.1", Decimal("0.1")),
        ("0.10", Decimal("0.1")),
        ("-2.5e-3", Decimal("-0.0025")),
        ("0." + "1" * 38, Decimal("0." + "1" * 38)),
        ("1E-130", Decimal("1E-130")),
        ("9.9999999999999999999999999999999999999E+125", Decimal("9.9999999999999999999999999999999999999E+125")),
        ("1." + "0" * 60, 1),
    ],
)
def test_numbers_are_kept_exactly(text: str, value: object) -> None:
    (kept, *rest), errors = decode(f"[{text}]")
    assert (kept, rest, errors) == (value, [], [])
    assert type(kept) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NaN", "NaN is not a JSON number"),
        ("-Infinity", "-Infinity is not a JSON number"),
        ("1" * 39, "a number of 39 significant digits; DynamoDB keeps 38"),
        ("1" + "0" * 37 + "1", "a number of 39 significant digits"),
        ("0." + "1" * 39, "a number of 39 significant digits"),
        ("3" * 500_000, "a number of 500000 significant digits"),
        ("1E126", "a number beyond DynamoDB's range"),
        ("1E-131", "a number beyond DynamoDB's range"),
        ("1e" + "9" * 100_000, "a number beyond DynamoDB's range"),
        ("1e-" + "9" * 100_000, "a number beyond DynamoDB's range"),
    ],
)
def test_number_that_dynamodb_cannot_hold_exactly_is_an_error(text: str, message: str) -> None:
    _, (error,) = decode(f'{{"a": [0, {text}]}}')
    assert error.path == "/a/1"
    assert error.message.startswith(message)


def test_repeated_name_is_an_error_at_every_level() -> None:
    value, errors = decode('{"a": 1, "b": [{"c": 1, "d": 2, "c": 3}], "a": 2}')
    assert [error.path for error in errors] == ["/a", "/b/0/c"]
    assert value == {"a": 2, "b": [{"c": 3, "d": 2}]}


def test_names_that_dynamodb_cannot_hold_are_errors() -> None:
    _, errors = decode(f'{{"a": {{"": 1}}, "{"é" * 32_768}": 1, "{"x" * 65_535}": 1}}')
    assert [(error.path[:3], error.message) for error in errors] == [
        ("/éé", "a name of more than 65535 bytes, which DynamoDB cannot keep"),
        ("/a/", "an empty name, which DynamoDB cannot keep"),
    ]


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"\udc00\ud800", r"x\uDBFFy"])
def test_lone_surrogate_is_an_error(escape: str) -> None:
    _, errors = decode(f'{{"a": ["{escape}"], "{escape}": 1}}')
    assert [error.message for error in errors] == [
        "the name has a lone surrogate, which is not Unicode text",
        "a lone surrogate, which is not Unicode text",
    ]
    assert errors[1].path == "/a/0"
    for error in errors:
        error.path.encode()


def test_surrogate_pair_is_one_character() -> None:
    assert decode(r'["\ud83d\ude00"]') == (["😀"], [])


def test_33rd_level_is_an_error() -> None:
    """DynamoDB counts an attribute as level 1 and accepts a leaf at level 32."""
    assert decode("[" * 31 + "1" + "]" * 31)[1] == []
    assert decode("[" * 32 + "]" * 32)[1] == []
    _, (error,) = decode("[" * 32 + "1" + "]" * 32)
    assert error.path == "/0" * 31
    assert error.message == "nested deeper than the 32 levels that can be recorded"


def test_search_stops_after_one_error_more_than_is_reported() -> None:
    assert ERRORS_SOUGHT == MAX_ERRORS + 1 == 21
    _, errors = decode("[" + "NaN," * 100_000 + "NaN]")
    assert [error.path for error in errors] == [f"/{index}" for index in range(ERRORS_SOUGHT)]
    _, errors = decode("[" + '{"": NaN},' * 100 + "1]")
    assert len(errors) == ERRORS_SOUGHT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": [1, True, None, "é"], "a": {}}, '{"a":{},"b":[1,true,null,"é"]}'),
        ({"": '"\\\n'}, '{"":"\\"\\\\\\n"}'),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("-0.035"), "-0.035"),
        (Decimal("1E+40"), "1" + "0" * 40),
    ],
)
def test_encoding_is_canonical(value: object, text: str) -> None:
    assert encode(value) == text
    assert decode(text)[0] == value


def test_equal_numbers_have_equal_texts() -> None:
    assert {encode(decode(text)[0]) for text in ("[100]", "[1e2]", "[100.00]", "[ 1000E-1 ]")} == {"[100]"}


def test_pointer_escapes_slash_and_tilde() -> None:
    assert pointer("a/b~c", pointer(0)) == "/a~1b~0c/0"


def test_repeated_names_are_read_in_linear_time() -> None:
    names = [f'"{number:x}":0' for number in range(40_000)]
    before = time.thread_time()
    _, errors = decode("{" + ",".join(names + names) + "}")
    assert time.thread_time() - before < 10  # 0.2 if linear, some 30 if not
    assert len(errors) == ERRORS_SOUGHT
