"""The upload of a folder, compared with the SHA-256 of its files and boto3's transfer manager alone."""

import os
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.discarding_server import discard
from benchmarks.processes import Figures, alternate, run_probe
from benchmarks.report import Row

_FILES = 10_000
_FILE_SIZE = 1024
_LARGE = 5 * 2**30
_ROUNDS = 3


def measure_uploads() -> list[Row]:
    """Return the figures of 10,000 small files, and of one of 5 GiB, which is sparse."""
    with TemporaryDirectory() as work, discard() as url:
        many, large = Path(work) / "many", Path(work) / "large"
        many.mkdir()
        large.mkdir()
        for number in range(_FILES):
            (many / f"{number:05}").write_bytes(os.urandom(_FILE_SIZE))
        with (large / "readings").open("wb") as stream:
            stream.truncate(_LARGE)
        small_files, large_file = (
            alternate(["ours", "bare"], partial(_probe, url, folder), _ROUNDS) for folder in (many, large)
        )
    return [
        _row("upload of 10,000 files", "s CPU", small_files, "cpu", 1.15),
        _row("upload of 10,000 files", "MB", small_files, "peak", 1.2),
        _row("upload of a file of 5 GiB", "s CPU", large_file, "cpu", 1.25),
        _row("upload of a file of 5 GiB", "MB", large_file, "peak", 1.2),
    ]


def _row(what: str, unit: str, figures: dict[str, Figures], name: str, limit: float) -> Row:
    return Row(what, unit, figures["ours"][name], "bare calls", figures["bare"][name], limit)


def _probe(url: str, folder: Path, name: str) -> Figures:
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    environment = {**os.environ, **credentials, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
    figures: Figures = run_probe([sys.executable, "-m", "benchmarks.upload_probe", name, folder], environment)
    return figures
