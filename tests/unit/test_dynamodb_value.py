"""Format and size of values in an item."""

from decimal import Decimal
from typing import Any

import pytest

from run_recorder.dynamodb_value import measure, serialize


@pytest.mark.parametrize(
    ("value", "serialized", "size"),
    [
        ("é", {"S": "é"}, 2),
        ("", {"S": ""}, 0),
        (True, {"BOOL": True}, 1),
        (False, {"BOOL": False}, 1),
        (None, {"NULL": True}, 1),
        (10**38 - 1, {"N": "9" * 38}, 21),
        (Decimal("1E-130"), {"N": "1E-130"}, 21),
        ([], {"L": []}, 3),
        ({}, {"M": {}}, 3),
        (["a", None], {"L": [{"S": "a"}, {"NULL": True}]}, 7),
        ({"é": {"b": "c"}}, {"M": {"é": {"M": {"b": {"S": "c"}}}}}, 12),
    ],
)
def test_values_have_the_format_and_the_size_that_dynamodb_defines(
    value: Any, serialized: dict[str, Any], size: int
) -> None:
    assert serialize(value) == serialized
    assert measure(value) == size
