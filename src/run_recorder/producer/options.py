"""What `upload_run` takes and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from run_recorder.domain import JSON, Run
    from run_recorder.errors import FieldError
    from run_recorder.producer.folder import LocalFile
    from run_recorder.producer.progress import Report
    from run_recorder.producer.rules import DeploymentRules
    from run_recorder.producer.waiting_for_verdict import Verdict

TIMEOUT = 300.0
"""The longest wait for a verdict, in seconds, unless another one is given."""


class Clients(TypedDict, total=False):
    """The boto3 clients to use; by default, clients of the environment's AWS settings."""

    s3_client: S3Client
    dynamodb_client: DynamoDBClient


class UploadOptions(Clients, total=False):
    """The options of `upload_run`.

    Attributes:
        metadata: the document; by default the ``metadata.json`` of the folder, if there is one.
        fields: fields of the document to set; tags and parameters are added to those that it has.
        hidden: whether hidden files belong to the run; False by default.
        rules: the rules by which the document is checked; by default those of production.
        replace: whether another upload of the run may be replaced; False by default.
        wait: whether to wait for the verdict; True by default.
        timeout: the longest wait for the verdict, in seconds; 300 by default.
        dry_run: whether to do all but the upload; False by default.
        report: called with the progress, from several threads, but never from two at once.
        warn: called with each warning, when it is found.
    """

    metadata: Path | None
    fields: Mapping[str, JSON]
    hidden: bool
    rules: DeploymentRules
    replace: bool
    wait: bool
    timeout: float
    dry_run: bool
    report: Report
    warn: Callable[[FieldError], None]


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of files, and their size in bytes."""

    files: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, files: list[LocalFile]) -> Amount:
        """Return the number and the size of files."""
        return cls(len(files), sum(file.size for file in files))


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result of `upload_run`.

    Attributes:
        run: the run.
        uploaded: the files that were uploaded, or would be.
        skipped: the files that were there already.
        is_document_uploaded: whether ``metadata.json`` was uploaded, or would be; else it was there already.
        verdict: on the upload; None if it was not waited for.
        version_id: of ``metadata.json``; None in a bucket without versions, and after a dry run.
        etag: of ``metadata.json``, without quotes; None after a dry run.
    """

    run: Run
    uploaded: Amount
    skipped: Amount
    is_document_uploaded: bool
    verdict: Verdict | None
    version_id: str | None
    etag: str | None
