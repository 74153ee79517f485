"""The hashes of a file: its SHA-256, and the entity tag that S3 gives it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from s3transfer.utils import ChunksizeAdjuster

from run_recorder.errors import FieldError, UploadRefusedError
from run_recorder.producer.folder import LocalFile

PART_SIZE = 8 * 2**20
"""The size of a file, in bytes, from which it is uploaded in parts, and the size of a part."""

_BLOCK_SIZE = 2**20


@dataclass(frozen=True, slots=True)
class Digests:
    """The hashes of a file, hexadecimal; None for one that was not needed.

    Attributes:
        sha256: of its contents.
        etag: the entity tag that S3 gives it if it is uploaded as `transfer` does, without encryption under a KMS key.
    """

    sha256: str | None = None
    etag: str | None = None


def part_size_of(size: int) -> int:
    """Return the size of the parts in which boto3 uploads a file: S3 allows 10,000 parts."""
    part_size: int = ChunksizeAdjuster().adjust_chunksize(PART_SIZE, size)
    return part_size


def compute_digests(
    file: LocalFile, *, sha256: bool, etag: bool, count: Callable[[int], None] = lambda _: None
) -> Digests:
    """Read a file once and return the hashes that are asked for.

    An entity tag is the MD5 of the contents, or of the MD5s of the parts, with their number:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html

    Args:
        file: the file.
        sha256: whether its SHA-256 is needed.
        etag: whether its entity tag is needed.
        count: called with the number of bytes of each block that was read.

    Raises:
        UploadRefusedError: the file cannot be read.
    """
    whole = hashlib.sha256()
    parts: list[bytes] = []
    part = _md5()
    part_size = part_size_of(file.size)
    left_of_part = part_size
    for block in _blocks(file, part_size):
        count(len(block))
        if sha256:
            whole.update(block)
        if etag:
            part.update(block)
            left_of_part -= len(block)
            if left_of_part == 0:
                parts.append(part.digest())
                part, left_of_part = _md5(), part_size
    if left_of_part < part_size:
        parts.append(part.digest())
    return Digests(whole.hexdigest() if sha256 else None, _combine(file.size, parts) if etag else None)


def _blocks(file: LocalFile, part_size: int) -> Iterator[memoryview]:
    """Yield the contents in blocks, none of which crosses the end of a part."""
    buffer = memoryview(bytearray(_BLOCK_SIZE))
    try:
        with file.source.open("rb", buffering=0) as stream:
            left = part_size
            while count := stream.readinto(buffer[: min(left, _BLOCK_SIZE)]):
                yield buffer[:count]
                left = left - count or part_size
    except OSError as error:
        raise UploadRefusedError([FieldError(file.path, f"cannot be read: {error.strerror}")]) from error


def _combine(size: int, parts: list[bytes]) -> str:
    if size < PART_SIZE:
        return parts[0].hex() if parts else _md5().hexdigest()
    whole = _md5()
    whole.update(b"".join(parts))
    return f"{whole.hexdigest()}-{len(parts)}"


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
