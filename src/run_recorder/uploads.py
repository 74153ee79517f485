"""The uploads of a run: the versions of its metadata.json in the bucket of runs."""

from collections.abc import Iterator

from run_recorder.domain import ObjectVersion
from run_recorder.metadata import MAX_BYTES
from run_recorder.s3 import S3
from run_recorder.s3_objects import StoredObject


class Uploads:
    """The uploads in a bucket, read by the key of their metadata.json.

    Every method raises `AWSCallError` if S3 refuses, does not answer or breaks off.
    """

    def __init__(self, s3: S3, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def read_named(self, key: str, version_id: str | None, etag: str | None) -> StoredObject | None:
        """Read the upload that an event names, or the current one if the event names no version.

        Returns:
            The upload; None if it no longer exists.
        """
        if version_id is None:
            # Another object may have replaced the object of an event without a version.
            return self.read_current(key)
        return self._s3.read_object(self._bucket, key, version_id, etag, max_bytes=MAX_BYTES)

    def read_current(self, key: str) -> StoredObject | None:
        """Read the newest version that is not a delete marker; None if there is none.

        A deletion is not an upload: a delete marker only hides the versions before it.
        """
        stored = self._s3.read_object(self._bucket, key, max_bytes=MAX_BYTES)
        if stored is None and (newest := next(self.list_versions(key), None)):
            stored = self.read_version(key, newest)
        return stored

    def read_version(self, key: str, version: ObjectVersion) -> StoredObject | None:
        """Read a version that was listed; None if it no longer exists."""
        return self._s3.read_object(self._bucket, key, version.version_id or "null", version.etag, max_bytes=MAX_BYTES)

    def has_version(self, key: str, version_id: str) -> bool:
        """Return whether a version exists."""
        return self._s3.head_object(self._bucket, key, version_id) is not None

    def list_versions(self, key: str) -> Iterator[ObjectVersion]:
        """List the versions, the most recently stored first."""
        return self._s3.list_versions(self._bucket, key)
