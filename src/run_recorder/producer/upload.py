"""The public functions for producers: upload a folder as a run, and wait for the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from run_recorder.consumer.run_reader import RunReader
from run_recorder.errors import FieldError, UploadRefusedError
from run_recorder.keys import parse_name
from run_recorder.producer.destination import Destination
from run_recorder.producer.options import TIMEOUT, Clients, UploadOptions, UploadResult
from run_recorder.producer.preparation import Preparation, Source
from run_recorder.producer.rules import DeploymentRules
from run_recorder.producer.sending import Upload
from run_recorder.producer.waiting_for_verdict import Verdict, wait_for_current
from run_recorder.s3 import S3

if TYPE_CHECKING:
    from typing import Unpack

    from run_recorder.domain import Run


def upload_run(
    folder: Path, organisation_id: str, run_id: str, *, bucket: str, table: str, **options: Unpack[UploadOptions]
) -> UploadResult:
    """Upload a folder as a run, and wait for the verdict.

    The files come first and ``metadata.json`` last. The document lists all files, with their sizes and SHA-256. It is
    checked as the function checks it, and against the folder, before the first byte is uploaded. Files that are
    in the bucket already, with the same size and entity tag, are skipped, so that the same call continues an upload
    that was interrupted. If the same document is there already, its verdict is returned.

    Args:
        folder: the folder.
        organisation_id: the organisation of the run.
        run_id: the id of the run.
        bucket: the bucket of runs.
        table: the table of records.
        **options: see `UploadOptions`.

    Raises:
        UploadRefusedError: the run would be rejected or cannot be stored; nothing was uploaded.
        RunExistsError: the run has another document, and ``replace`` is not set.
        FileChangedError: a file changed while it was uploaded; ``metadata.json`` was not uploaded.
        AWSCallError: AWS refused a call or did not answer.
    """
    run = _parse_run(organisation_id, run_id)
    upload = Upload(_connect(bucket, table, options), options)
    source = Source(folder, options.get("metadata"), options.get("fields", {}), hidden=options.get("hidden", False))
    warn = options.get("warn") or (lambda _: None)
    return upload.send(Preparation(run, source, options.get("rules") or DeploymentRules(), warn))


def wait_for_verdict(
    organisation_id: str,
    run_id: str,
    *,
    bucket: str,
    table: str,
    timeout: float = TIMEOUT,
    **clients: Unpack[Clients],
) -> Verdict:
    """Wait for the verdict on the current upload of a run.

    If the caller may not read the ``metadata.json``, the current upload is not known: the verdict is the one that the
    record shows, and ``is_of_current`` is False.

    Args:
        organisation_id: the organisation of the run.
        run_id: the id of the run.
        bucket: the bucket of runs.
        table: the table of records.
        timeout: the longest wait, in seconds; 0 for one look.
        **clients: see `Clients`.

    Raises:
        RunNotFoundError: the run has no ``metadata.json``.
        AWSCallError: AWS refused a call or did not answer.
    """
    return wait_for_current(_connect(bucket, table, clients), _parse_run(organisation_id, run_id), timeout=timeout)


def _connect(bucket: str, table: str, clients: Clients | UploadOptions) -> Destination:
    return Destination(bucket, S3(clients.get("s3_client")), RunReader(table, clients.get("dynamodb_client")))


def _parse_run(organisation_id: str, run_id: str) -> Run:
    run = parse_name(f"{organisation_id}/{run_id}")
    if run is None:
        raise UploadRefusedError(
            [FieldError(".", f"{organisation_id}/{run_id} is not the name of a run: docs/producers.md states the rule")]
        )
    return run
