"""The upload of a prepared run: compare it with what is there, send what is missing, wait for the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from run_recorder.domain import DOCUMENT, Outcome, Run
from run_recorder.errors import FieldError, RunExistsError
from run_recorder.producer.options import TIMEOUT, Amount, UploadOptions, UploadResult
from run_recorder.producer.progress import Counter, Progress, Step
from run_recorder.producer.transfer import upload_document, upload_files
from run_recorder.producer.waiting_for_verdict import AwaitedUpload, Verdict, wait_for_upload

if TYPE_CHECKING:
    from run_recorder.producer.destination import Destination, Present
    from run_recorder.producer.folder import LocalFile
    from run_recorder.producer.preparation import Preparation


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A folder compared with the bucket.

    Attributes:
        body: the document to upload.
        missing: the files that are not there, or differ.
        skipped: the files that are there already.
        is_listed: whether the caller may list the bucket; else all files count as missing.
    """

    body: bytes
    missing: list[LocalFile]
    skipped: list[LocalFile]
    is_listed: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """What there is to upload.

    Attributes:
        files: the files to upload.
        skipped: the files that are there already.
        sends_document: whether the document is to be uploaded.
    """

    files: list[LocalFile]
    skipped: list[LocalFile]
    sends_document: bool = True


class Upload:
    """The upload of one run, to one destination, with the options of `upload_run`."""

    def __init__(self, destination: Destination, options: UploadOptions) -> None:
        self._destination = destination
        self._options = options
        self._report = options.get("report") or (lambda _: None)
        self._replace = options.get("replace", False)
        self._warn = options.get("warn") or (lambda _: None)

    def send(self, preparation: Preparation) -> UploadResult:
        """Upload a run; see `upload_run`."""
        run = preparation.run
        present = self._destination.find(run)
        compared = self._compare(preparation)
        plan = self._plan(present, compared)
        awaited, verdict = _identify(present), None
        if not self._options.get("dry_run"):
            if plan.files:
                counter = Counter(Step.UPLOADING, plan.files, self._report)
                upload_files(self._destination.s3.client, self._destination.bucket, run, plan.files, counter)
            if plan.sends_document:
                awaited = self._send_document(run, compared.body, present)
            if self._options.get("wait", True):
                verdict = self._wait(run, awaited)
        return UploadResult(
            run=run,
            uploaded=Amount.of(plan.files),
            skipped=Amount.of(plan.skipped),
            is_document_uploaded=plan.sends_document,
            verdict=verdict,
            version_id=awaited.version_id,
            etag=awaited.etag,
        )

    def _compare(self, preparation: Preparation) -> _Comparison:
        files = preparation.files
        listed = self._destination.list_files(preparation.run, {file.path for file in files}) if files else {}
        if listed is None:
            uploaded_again = "no permission to list the objects: files that are there already are uploaded again"
            self._warn(FieldError(preparation.run.prefix, uploaded_again))
        there = listed or {}
        candidates = {file.path: file for file in files if file.path in there and there[file.path].size == file.size}
        body, digests = preparation.read(candidates.keys(), self._report)
        skipped = [file for path, file in candidates.items() if digests[path].etag == there[path].etag]
        paths = {file.path for file in skipped}
        missing = [file for file in files if file.path not in paths]
        return _Comparison(body, missing, skipped, is_listed=listed is not None)

    def _plan(self, present: Present, compared: _Comparison) -> _Plan:
        """Decide what to upload, by what is there."""
        missing, skipped = compared.missing, compared.skipped
        if self._replace or present.is_empty:
            return _Plan(missing, skipped)
        if not present.has_document(compared.body):
            raise _exists(present)
        record = present.record
        if record is None or not _identify(present).is_shown_by(record):
            # The event of the document is on its way. Without a listing, its files are taken to be there.
            return _Plan(missing if compared.is_listed else [], skipped, sends_document=False)
        if record.is_settled:
            return _Plan([], [*missing, *skipped], sends_document=False)
        # A document that was rejected for missing files is evaluated again only if it is uploaded again.
        return _Plan(missing, skipped, sends_document=record.status == Outcome.REJECTED)

    def _send_document(self, run: Run, body: bytes, present: Present) -> AwaitedUpload:
        may_replace = self._replace or not present.is_empty
        client, bucket = self._destination.s3.client, self._destination.bucket
        if stored := upload_document(client, bucket, run, body, replace=may_replace):
            return AwaitedUpload(stored.version_id, stored.etag, stored_by=stored.stored_by, before=present.record)
        # Another producer, or an earlier attempt of the SDK whose answer was lost.
        present = self._destination.find(run)
        if not present.has_document(body):
            raise _exists(present)
        return _identify(present)

    def _wait(self, run: Run, awaited: AwaitedUpload) -> Verdict:
        def report() -> None:
            self._report(Progress(Step.WAITING, 0, 0, 0, 0))

        timeout = self._options.get("timeout", TIMEOUT)
        return wait_for_upload(self._destination, run, awaited, timeout=timeout, report=report)


def _identify(present: Present) -> AwaitedUpload:
    """Return the upload that is there."""
    if document := present.document:
        return AwaitedUpload(document.version_id, document.etag, document.uploaded_at)
    if record := present.record:
        return AwaitedUpload(record.version_id, record.etag, record.uploaded_at)
    return AwaitedUpload()


def _exists(present: Present) -> RunExistsError:
    if present.is_empty:  # S3 refused to replace it, and the caller may not read it
        message = "the run has one that is not recorded yet, which may be the same: try again when it is recorded"
    else:
        known = f", which was {present.record.status} at {present.record.recorded_at}" if present.record else ""
        message = f"the run has another one{known}: choose another run id, or replace it"
    return RunExistsError([FieldError(DOCUMENT, message)])
