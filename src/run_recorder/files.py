"""The files that a document declares, against the objects in the bucket."""

from collections.abc import Iterator

from run_recorder.domain import DeclaredFile, Run
from run_recorder.errors import AWSCallError, FieldError
from run_recorder.s3 import S3

_MAX_KEY_BYTES = 1024  # of S3
_LAST_CHARACTER = "\U0010ffff"


def find_missing_files(s3: S3, bucket: str, run: Run, files: tuple[DeclaredFile, ...]) -> Iterator[FieldError]:
    """Find the declared files that are not there, or not in the stated size, in the order of the document.

    Takes at most one LIST request for each declared file, and no more than a listing of the
    whole run has pages, however many other files the run has.

    Raises:
        AWSCallError: S3 refuses or does not answer.
    """
    keys = {run.prefix + file.path for file in files}
    # A longer key cannot be there, and S3 would refuse a listing that starts at it.
    possible = sorted(key for key in keys if len(key.encode()) <= _MAX_KEY_BYTES)
    sizes = _find_sizes(s3, bucket, run.prefix, possible)
    for file in files:
        actual = sizes.get(run.prefix + file.path)
        if actual is None:
            yield FieldError(f"/files/{file.index}/path", f"no object {file.path} below the run's prefix")
        elif file.size not in (None, actual):
            yield FieldError(f"/files/{file.index}/size", f"the object has {actual} bytes, not {file.size}")


def _find_sizes(s3: S3, bucket: str, prefix: str, declared: list[str]) -> dict[str, int]:
    """Return the sizes of those keys that are there, in bytes.

    Args:
        s3: the calls.
        bucket: bucket name.
        prefix: the prefix of all declared keys.
        declared: keys by code point, which is the order of UTF-8, in which S3 lists.
    """
    sizes: dict[str, int] = {}
    remaining = iter(declared)
    sought = next(remaining, None)
    last = ""
    while sought is not None:
        # Each page begins where the next declared key must be: what lies before it is passed over.
        page = s3.list_page(bucket, prefix, max(last, just_below(sought)))
        for listed in page.objects:
            while sought is not None and sought < listed.key:
                sought = next(remaining, None)
            if sought == listed.key:
                sizes[sought] = listed.size
                sought = next(remaining, None)
        if not page.is_truncated:
            break
        if not page.objects:
            raise AWSCallError(f"listing s3://{bucket}/{prefix} was answered with an empty page, though more follow")
        last = page.objects[-1].key
    return sizes


def just_below(key: str) -> str:
    """Return a text that is lower than a key, and higher than almost every other key that is.

    S3 compares keys by their UTF-8. The text is the key with its last character lowered,
    followed by the last character of Unicode. Higher than it, and lower than the key, are only
    keys that contain that last character in the same place.
    """
    lowered = ord(key[-1]) - 1
    if lowered < 0:
        return key[:-1]
    if lowered == 0xDFFF:  # UTF-8 has no surrogates
        lowered = 0xD7FF
    text = key[:-1] + chr(lowered)
    fits = len((text + _LAST_CHARACTER).encode()) <= _MAX_KEY_BYTES
    return text + _LAST_CHARACTER if fits else text
