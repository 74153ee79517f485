"""The check of the files that a document declares against the objects in the bucket."""

from collections.abc import Iterator

from run_recorder.domain import DeclaredFile, Run
from run_recorder.errors import AWSCallError, FieldError
from run_recorder.s3 import S3

MAX_KEY_BYTES = 1024  # of S3
_LAST_CHARACTER = "\U0010ffff"


def find_missing_files(s3: S3, bucket: str, run: Run, files: tuple[DeclaredFile, ...]) -> Iterator[FieldError]:
    """Yield an error for each declared file that is missing or has another size, in the order of the document.

    Sends at most one LIST request for each declared file, and at most as many as a listing of the
    whole run has pages, however many other files the run has.

    Raises:
        AWSCallError: S3 refuses a request or does not answer.
    """
    keys = {run.prefix + file.path for file in files}
    # A longer key cannot exist, and S3 refuses a listing that starts after it.
    possible = sorted(key for key in keys if len(key.encode()) <= MAX_KEY_BYTES)
    sizes = _find_sizes(s3, bucket, run.prefix, possible)
    for file in files:
        actual = sizes.get(run.prefix + file.path)
        if actual is None:
            yield FieldError(f"/files/{file.index}/path", f"no object {file.path} below the run's prefix")
        elif file.size not in (None, actual):
            yield FieldError(f"/files/{file.index}/size", f"the object has {actual} bytes, not {file.size}")


def _find_sizes(s3: S3, bucket: str, prefix: str, declared: list[str]) -> dict[str, int]:
    """Return the size in bytes of each declared key that exists.

    Args:
        s3: S3, where the bucket is.
        bucket: bucket name.
        prefix: the prefix of all declared keys.
        declared: keys, sorted by code point, which is also the order of their UTF-8, in which S3 lists.
    """
    sizes: dict[str, int] = {}
    remaining = iter(declared)
    sought = next(remaining, None)
    last = ""
    while sought is not None:
        # Each page begins just before the next declared key, so that the objects before it are not listed.
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
    """Return a string that sorts before a key, and after almost all other keys before it.

    S3 sorts keys by their UTF-8 bytes. The string is the key with its last character lowered by one,
    followed by the last character of Unicode. Only keys that contain the last character of Unicode in
    the same place sort between the string and the key.
    """
    lowered = ord(key[-1]) - 1
    if lowered < 0:
        return key[:-1]
    if lowered == 0xDFFF:  # UTF-8 cannot encode surrogates
        lowered = 0xD7FF
    text = key[:-1] + chr(lowered)
    fits = len((text + _LAST_CHARACTER).encode()) <= MAX_KEY_BYTES
    return text + _LAST_CHARACTER if fits else text
