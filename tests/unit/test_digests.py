"""The hashes of a file, in one reading."""

import hashlib
from pathlib import Path

import pytest

from run_recorder.errors import UploadRefusedError
from run_recorder.producer.digests import PART_SIZE, Digests, compute_digests, part_size_of
from run_recorder.producer.folder import LocalFile, Stamp

MIB = 2**20


def local_file(path: Path) -> LocalFile:
    return LocalFile(path.name, path, Stamp.of(path.stat()))


def md5(body: bytes) -> "hashlib._Hash":
    return hashlib.md5(body, usedforsecurity=False)


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, PART_SIZE - 1])
def test_entity_tag_of_a_file_of_one_part_is_its_md5(tmp_path: Path, size: int) -> None:
    body = bytes(size)
    (tmp_path / "a").write_bytes(body)
    found = compute_digests(local_file(tmp_path / "a"), sha256=True, etag=True)
    assert found == Digests(hashlib.sha256(body).hexdigest(), md5(body).hexdigest())


@pytest.mark.parametrize("size", [PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE])
def test_entity_tag_of_a_larger_file_is_the_md5_of_the_md5s_of_its_parts(tmp_path: Path, size: int) -> None:
    body = bytes(size - 1) + b"x"
    (tmp_path / "a").write_bytes(body)
    parts = [md5(body[start : start + PART_SIZE]).digest() for start in range(0, size, PART_SIZE)]
    expected = f"{md5(b''.join(parts)).hexdigest()}-{len(parts)}"
    assert compute_digests(local_file(tmp_path / "a"), sha256=False, etag=True) == Digests(None, expected)


def test_hash_that_is_not_needed_is_not_computed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    found = compute_digests(local_file(tmp_path / "a"), sha256=True, etag=False)
    assert found == Digests(hashlib.sha256(b"a").hexdigest(), None)


def test_bytes_that_are_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(2 * MIB + 1))
    counts: list[int] = []
    compute_digests(local_file(tmp_path / "a"), sha256=True, etag=False, count=counts.append)
    assert counts == [MIB, MIB, 1]


@pytest.mark.parametrize(
    ("size", "part_size"),
    [(1, 8 * MIB), (80_000 * MIB, 8 * MIB), (80_000 * MIB + 1, 16 * MIB), (5 * MIB * MIB, 1024 * MIB)],
)
def test_file_has_at_most_10000_parts(size: int, part_size: int) -> None:
    assert part_size_of(size) == part_size


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = LocalFile("a", tmp_path / "none", Stamp(1, 1, 1))
    with pytest.raises(UploadRefusedError, match="a: cannot be read: No such file or directory"):
        compute_digests(file, sha256=True, etag=True)
