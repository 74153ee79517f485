"""The place of a run in the bucket and in the table: what is there before an upload."""

import hashlib
from dataclasses import dataclass

from run_recorder.consumer.run_reader import RunReader, RunRecord
from run_recorder.domain import Run
from run_recorder.errors import AWSCallError
from run_recorder.metadata import MAX_BYTES
from run_recorder.s3 import S3
from run_recorder.s3_objects import ListedObject, StoredObject


@dataclass(frozen=True, slots=True)
class Present:
    """The record and the document of a run, as far as they can be read.

    Attributes:
        record: None if there is none.
        document: the current ``metadata.json`` with its body; None if there is none, or if it cannot be read.
        is_readable: whether the caller may read the document.
    """

    record: RunRecord | None
    document: StoredObject | None
    is_readable: bool

    @property
    def is_empty(self) -> bool:
        """Whether neither a record nor a document is known."""
        return self.record is None and self.document is None

    def has_document(self, body: bytes) -> bool:
        """Return whether the document is known to be there with these bytes."""
        if self.is_readable:
            return self.document is not None and self.document.body == body
        # The entity tag is no MD5 if the bucket encrypts under a KMS key.
        record = self.record
        if record is None:
            return False
        if record.is_accepted and record.source and record.source["etag"] == record.etag:
            return bool(record.source["sha256"] == hashlib.sha256(body).hexdigest())
        return record.etag == hashlib.md5(body, usedforsecurity=False).hexdigest()


class Destination:
    """The bucket and the table of a deployment; every method raises `AWSCallError` as their classes do.

    Attributes:
        bucket: name of the bucket of runs.
        s3: the calls to S3.
        reader: reads the records.
    """

    def __init__(self, bucket: str, s3: S3, reader: RunReader) -> None:
        self.bucket = bucket
        self.s3 = s3
        self.reader = reader

    def find(self, run: Run) -> Present:
        """Return what is there of a run; the record is read first."""
        record = self.read_record(run)
        try:
            document = self.s3.read_object(self.bucket, run.document_key, max_bytes=MAX_BYTES)
        except AWSCallError as error:
            if not error.is_denied:
                raise
            return Present(record, None, is_readable=False)
        return Present(record, document, is_readable=True)

    def read_record(self, run: Run) -> RunRecord | None:
        """Return the record of a run; None if there is none."""
        return self.reader.read(run.organisation_id, run.run_id)

    def list_files(self, run: Run, paths: set[str]) -> dict[str, ListedObject] | None:
        """Return the objects of a run with these paths; None if the caller may not list them."""
        try:
            listed = self.s3.list_objects(self.bucket, run.prefix)
            found = ((listed_object.key.removeprefix(run.prefix), listed_object) for listed_object in listed)
            return {path: listed_object for path, listed_object in found if path in paths}
        except AWSCallError as error:
            if error.is_denied:
                return None
            raise
