"""The declared files of a run, and how many LIST requests it takes to find them."""

import bisect
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.domain import DeclaredFile, Run
from handler.errors import AWSCallError, FieldError
from handler.files import find_missing_files, just_below
from handler.s3 import S3

RUN = Run("acme", "run-0001")
PAGE = 1000


class Listing:
    """A client that lists keys as S3 does, and counts the requests."""

    def __init__(self, paths: list[str], page: int = PAGE) -> None:
        self._keys = sorted(RUN.prefix + path for path in paths)
        self._page = page
        self.requests = 0

    def list_objects_v2(self, *, Bucket: str, Prefix: str, StartAfter: str) -> dict[str, Any]:  # noqa: N803
        """Return the keys after a text."""
        assert (Bucket, Prefix) == ("b", RUN.prefix)
        StartAfter.encode()
        self.requests += 1
        first = bisect.bisect_right(self._keys, StartAfter)
        found = self._keys[first : first + self._page]
        return {
            "IsTruncated": first + self._page < len(self._keys),
            "Contents": [{"Key": key, "Size": len(key)} for key in found],
        }


def check(listing: Any, *paths: str, size: int | None = None) -> list[str]:
    """The paths of the errors."""
    files = tuple(DeclaredFile(index, path, size) for index, path in enumerate(paths))
    return [error.path for error in find_missing_files(S3(listing), "b", RUN, files)]


@pytest.fixture(scope="module")
def million() -> Listing:
    return Listing([f"data/{number:07}.bin" for number in range(1_000_000)])


@pytest.mark.parametrize("path", ["data/0000000.bin", "data/0500000.bin", "data/0999999.bin"])
def test_one_declared_file_of_a_million_takes_one_request(million: Listing, path: str) -> None:
    million.requests = 0
    assert check(million, path) == []
    assert million.requests == 1


def test_absent_file_among_a_million_takes_one_request(million: Listing) -> None:
    million.requests = 0
    assert check(million, "data/0500000.bim") == ["/files/0/path"]
    assert million.requests == 1


def test_10_000_files_that_are_all_declared_take_a_request_a_page() -> None:
    paths = [f"{number:05}" for number in range(10_000)]
    listing = Listing(paths)
    assert check(listing, *paths) == []
    assert listing.requests == 10


def test_stretches_of_other_files_are_passed_over(million: Listing) -> None:
    million.requests = 0
    assert check(million, *[f"data/{number:07}.bin" for number in range(0, 1_000_000, 100_000)]) == []
    assert million.requests == 10


def test_declared_files_that_share_pages_share_requests(million: Listing) -> None:
    million.requests = 0
    near = [f"data/{number:07}.bin" for number in range(0, 5_000, 2)]
    assert check(million, *near) == []
    assert million.requests == 5


def test_errors_come_in_the_order_of_the_document() -> None:
    files = (DeclaredFile(0, "b", 1), DeclaredFile(1, "c"), DeclaredFile(3, "a", 20), DeclaredFile(4, "a", 21))
    listing = Listing(["a", "b"])
    assert list(find_missing_files(S3(listing), "b", RUN, files)) == [  # type: ignore[arg-type]
        FieldError("/files/0/size", "the object has 20 bytes, not 1"),
        FieldError("/files/1/path", "no object c below the run's prefix"),
        FieldError("/files/4/size", "the object has 20 bytes, not 21"),
    ]
    assert listing.requests == 1


def test_empty_page_before_others_is_an_error(s3_client: MagicMock) -> None:
    """Else it would be asked for again and again."""
    s3_client.list_objects_v2.return_value = {"IsTruncated": True}
    with pytest.raises(AWSCallError, match="empty page"):
        check(s3_client, "a")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("a", "`\U0010ffff"),
        ("a\0", "a"),
        ("a\ue000", "a\ud7ff\U0010ffff"),
        ("a\U0010ffff", "a\U0010fffe\U0010ffff"),
        ("a" * 1020, "a" * 1019 + "`\U0010ffff"),
        ("a" * 1021, "a" * 1020 + "`"),
    ],
    ids=["letter", "lowest character", "behind the surrogates", "last character", "fits", "is too long for S3"],
)
def test_text_just_below_a_key(key: str, text: str) -> None:
    assert just_below(key) == text
    assert just_below(key).encode() < key.encode()
    assert len(just_below(key).encode()) <= 1024


# Characters that are neighbours, or at the edges of UTF-8's lengths and of the surrogates.
NAMES = st.text(
    st.sampled_from("ab-/\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010fffe"), min_size=1, max_size=3
)


@given(stored=st.sets(NAMES), declared=st.sets(NAMES, min_size=1), page=st.integers(1, 4))
def test_any_files_are_found_within_the_bound_of_requests(stored: set[str], declared: set[str], page: int) -> None:
    listing = Listing(sorted(stored), page)
    paths = sorted(declared)
    missing = [f"/files/{index}/path" for index, path in enumerate(paths) if path not in stored]
    assert check(listing, *paths) == missing
    assert listing.requests <= min(max(1, -(-len(stored) // page)), 1 + len(declared))
