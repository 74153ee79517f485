"""Declared files, checked against a bucket that counts its LIST requests."""

import math
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from run_recorder.domain import DeclaredFile
from run_recorder.errors import AWSCallError, FieldError
from run_recorder.files import find_missing_files, just_below
from run_recorder.s3 import S3
from tests.support.fake_s3 import FakeS3
from tests.support.names import BUCKET, RUN

PREFIX = RUN.prefix
LAST = "\U0010ffff"


class FilesBench:
    """A bucket, and the files that a document declares."""

    def __init__(self, client: MagicMock) -> None:
        self.client = client
        self.bucket = FakeS3().answer(client)

    def store(self, *paths: str) -> None:
        """Store these objects, of one byte each, between those of other runs."""
        self.bucket.put_files(*(PREFIX + path for path in paths), "runs/acme/run-0000/a", "runs/acme/run-0002/a")

    def find_missing(self, *paths: str, size: int | None = None) -> list[FieldError]:
        """Return the errors of a document that declares these paths, each of this size."""
        files = tuple(DeclaredFile(index, path, size) for index, path in enumerate(paths))
        return list(find_missing_files(S3(self.client), BUCKET, RUN, files))

    @property
    def requests(self) -> int:
        """The number of LIST requests."""
        return len(self.bucket.lists)


@pytest.fixture
def files_bench(s3_client: MagicMock) -> FilesBench:
    return FilesBench(s3_client)


def missing(*files: tuple[int, str]) -> list[FieldError]:
    return [FieldError(f"/files/{index}/path", f"no object {path} below the run's prefix") for index, path in files]


def test_one_declared_file_among_a_million_takes_one_request(files_bench: FilesBench) -> None:
    files_bench.bucket.put_files(*(f"{PREFIX}{number:07}" for number in range(1_000_000)))
    assert files_bench.find_missing("0777777") == []
    assert files_bench.requests == 1


def test_last_and_first_of_a_million_files_take_one_request_each(files_bench: FilesBench) -> None:
    files_bench.bucket.put_files(*(f"{PREFIX}{number:07}" for number in range(1_000_000)))
    assert files_bench.find_missing("0999999", "0000000") == []
    assert files_bench.requests == 2


def test_files_that_are_all_declared_take_a_request_for_each_page(files_bench: FilesBench) -> None:
    paths = [f"{number:05}" for number in range(10_000)]
    files_bench.store(*paths)
    assert files_bench.find_missing(*paths) == []
    assert files_bench.requests == 10


def test_declared_files_between_others_take_no_more_requests_than_the_listing_has_pages(
    files_bench: FilesBench,
) -> None:
    paths = [f"{number:05}" for number in range(10_000)]
    files_bench.store(*paths)
    assert files_bench.find_missing(*paths[::7]) == []
    assert files_bench.requests == 10


def test_pages_without_a_declared_file_are_not_listed(files_bench: FilesBench) -> None:
    paths = [f"{number:06}" for number in range(100_000)]
    files_bench.store(*paths)
    declared = ["000500", "000501", "050000", "050999", "099999"]
    assert files_bench.find_missing(*declared) == []
    assert files_bench.requests == 3


def test_files_that_are_missing_are_errors_in_the_order_of_the_document(files_bench: FilesBench) -> None:
    files_bench.store("b", "d")
    assert files_bench.find_missing("e", "d", "c", "b", "a") == missing((0, "e"), (2, "c"), (4, "a"))
    assert files_bench.requests == 1


def test_missing_files_take_no_more_requests_than_there_are_declared_files(files_bench: FilesBench) -> None:
    files_bench.store(*(f"{number:06}" for number in range(100_000)))
    paths = [f"{number:06}x" for number in range(0, 100_000, 25_000)]
    assert files_bench.find_missing(*paths) == missing(*enumerate(paths))
    assert files_bench.requests == 4


def test_several_files_are_missing_before_one_that_exists(files_bench: FilesBench) -> None:
    files_bench.store("d")
    assert files_bench.find_missing("a", "b", "c", "d") == missing((0, "a"), (1, "b"), (2, "c"))
    assert files_bench.requests == 1


def test_names_between_a_file_and_the_string_before_it_are_listed_page_by_page(files_bench: FilesBench) -> None:
    """Only names that contain the last character of Unicode in that place sort between them."""
    files_bench.bucket.page_size = 10
    files_bench.store("a", *(f"a{LAST}{number:02}" for number in range(25)), "b", "c")
    assert files_bench.find_missing("b") == []
    assert files_bench.requests == 3


def test_file_that_is_missing_from_an_empty_run_takes_one_request(files_bench: FilesBench) -> None:
    assert files_bench.find_missing("a", "b") == missing((0, "a"), (1, "b"))
    assert files_bench.requests == 1


def test_object_of_another_run_is_not_a_file_of_this_one(files_bench: FilesBench) -> None:
    files_bench.bucket.put_files("runs/acme/run-00010/a", "runs/acme/run-0002/a")
    assert files_bench.find_missing("a") == missing((0, "a"))


def test_file_of_another_size_than_declared_is_an_error(files_bench: FilesBench) -> None:
    files_bench.bucket.put_files(PREFIX + "a", size=2)
    assert files_bench.find_missing("a", size=2) == []
    assert files_bench.find_missing("a") == []
    assert files_bench.find_missing("a", size=0) == [FieldError("/files/0/size", "the object has 2 bytes, not 0")]


def test_empty_file_exists(files_bench: FilesBench) -> None:
    files_bench.bucket.put_files(PREFIX + "a", size=0)
    assert files_bench.find_missing("a", size=0) == []
    assert files_bench.find_missing("a", size=1) == [FieldError("/files/0/size", "the object has 0 bytes, not 1")]


def test_file_that_is_declared_twice_is_checked_for_each_declaration(files_bench: FilesBench) -> None:
    files_bench.store("a")
    assert files_bench.find_missing("a", "b", "a", "b") == missing((1, "b"), (3, "b"))


def test_path_too_long_for_a_key_is_missing_and_never_sent_to_s3(files_bench: FilesBench) -> None:
    """S3 allows keys of at most 1024 bytes, and the URL of a request has a limit as well."""
    longest = "é" * ((1024 - len(PREFIX)) // 2)
    longest += "x" * (1024 - len((PREFIX + longest).encode()))
    files_bench.store(longest)
    assert files_bench.find_missing(longest, longest + "x", "y" * 100_000) == [
        *missing((1, longest + "x"), (2, "y" * 100_000))
    ]
    assert files_bench.find_missing("y" * 100_000) == missing((0, "y" * 100_000))
    assert files_bench.requests == 1


def test_empty_page_that_is_not_the_last_raises(files_bench: FilesBench) -> None:
    """Otherwise the same page would be requested endlessly."""
    files_bench.client.list_objects_v2.side_effect = [{"IsTruncated": True}, {"IsTruncated": False}]
    with pytest.raises(AWSCallError, match=r"listing s3://run-recorder-runs/runs/acme/run-0001/ was answered with an"):
        files_bench.find_missing("a")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("ab", "aa" + LAST),
        ("a\x01", "a\x00" + LAST),
        ("a\x00", "a"),
        ("a\ue000", "a\ud7ff" + LAST),
        ("a" + LAST, "a\U0010fffe" + LAST),
        ("a" * 1020, "a" * 1019 + "`" + LAST),
        ("a" * 1021, "a" * 1020 + "`"),
        ("a" * 1024, "a" * 1023 + "`"),
    ],
    ids=["letter", "U+0001", "U+0000", "U+E000", "U+10FFFF", "1020 bytes", "1021 bytes", "1024 bytes"],
)
def test_string_just_before_a_key(key: str, text: str) -> None:
    assert just_below(key) == text
    assert len(text.encode()) <= 1024


ALPHABET = ("\x00", "\x01", "/", "a", "b", "\x7f", "\x80", "é", "\ud7ff", "\ue000", "\uffff", "😀", LAST)
paths = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=4)


@given(paths)
def test_no_key_without_the_last_character_of_unicode_sorts_between_a_key_and_the_string_before_it(path: str) -> None:
    text = just_below(PREFIX + path)
    assert text.encode() < (PREFIX + path).encode()
    others = {
        PREFIX + path[:-1] + end for end in ("", *ALPHABET, *(letter * 2 for letter in ALPHABET if letter != LAST))
    }
    assert not any(text < other < PREFIX + path for other in others if not other.endswith(LAST))


@given(
    names=st.lists(st.tuples(paths, st.booleans(), st.booleans()), max_size=40, unique_by=lambda name: name[0]),
    page_size=st.integers(1, 5),
)
def test_files_that_are_found_are_those_of_a_complete_listing(
    names: list[tuple[str, bool, bool]], page_size: int
) -> None:
    """Any names, and any part of them declared, are compared as if all names had been listed.

    For example, with two objects in a page, the stored names ``a``, ``b``, ``é``, and the declared
    names ``b``, ``c``: the first request starts just below ``b`` and is answered with ``b`` and
    ``é``. As ``é`` is higher than ``c``, the file ``c`` is missing, and no further request is sent.
    """
    stored = {path for path, is_stored, _ in names if is_stored}
    declared = [path for path, _, is_declared in names if is_declared]
    bench = FilesBench(MagicMock())
    bench.bucket.page_size = page_size
    bench.store(*stored)
    assert bench.find_missing(*declared) == missing(
        *((index, path) for index, path in enumerate(declared) if path not in stored)
    )
    assert bench.requests <= max(math.ceil(len(stored) / page_size), 1)
    # Names with the last character of Unicode may stand between a key and the text just below it.
    if not any(LAST in path for path in stored):
        assert bench.requests <= len(declared) + 1
