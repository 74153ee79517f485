"""Upload a folder in a process of its own, with `upload_run` or with the bare calls; print the figures.

Arguments: ``ours`` or ``bare``, and the folder. Prints CPU seconds and peak resident memory in MB to standard error.
"""

import hashlib
import json
import resource
import sys
import time
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager

from benchmarks.probe import use_one_cpu
from run_recorder import upload_run

DOCUMENT = b'{"model": {"name": "m", "version": "1"}}'


def upload_ours(folder: Path) -> None:
    """Upload the folder as a run."""
    fields = {"model": {"name": "m", "version": "1"}}
    upload_run(folder, "acme", "run-0001", bucket="uploads", table="runs", fields=fields, wait=False)


def upload_bare(folder: Path) -> None:
    """Hash the files one after the other and upload them and a document, without any check or comparison."""
    client = boto3.client("s3")
    files = sorted(folder.iterdir())
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256").hexdigest()
    config = TransferConfig(preferred_transfer_client="classic")
    with create_transfer_manager(client, config) as manager:
        for future in [manager.upload(str(file), "uploads", f"runs/acme/run-0001/{file.name}") for file in files]:
            future.result()
    client.put_object(Bucket="uploads", Key="runs/acme/run-0001/metadata.json", Body=DOCUMENT)


if __name__ == "__main__":
    upload = {"ours": upload_ours, "bare": upload_bare}[sys.argv[1]]
    use_one_cpu()
    upload(Path(sys.argv[2]))
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {
        "cpu": time.process_time(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20,
    }
    print(json.dumps(figures), file=sys.stderr)
