"""The upload of a folder, compared with the SHA-256 of its files and boto3's transfer manager alone."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.discarding_server import discard
from benchmarks.report import Row

_ROOT = Path(__file__).parent.parent
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
        small_files, large_file = _alternate(many, url), _alternate(large, url)
    return [
        _row("upload of 10,000 files", "s CPU", small_files, "cpu", 1.15),
        _row("upload of 10,000 files", "MB", small_files, "peak", 1.2),
        _row("upload of a file of 5 GiB", "s CPU", large_file, "cpu", 1.25),
        _row("upload of a file of 5 GiB", "MB", large_file, "peak", 1.2),
    ]


def _row(what: str, unit: str, figures: dict[str, dict[str, float]], name: str, limit: float) -> Row:
    return Row(what, unit, figures["ours"][name], "bare calls", figures["bare"][name], limit)


def _alternate(folder: Path, url: str) -> dict[str, dict[str, float]]:
    """Return the medians of all rounds; each round reverses the order."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for turn in range(_ROUNDS):
        for name in ["ours", "bare"][:: -1 if turn % 2 else 1]:
            found[name].append(_probe(name, folder, url))
    return {
        name: {figure: statistics.median(each[figure] for each in figures) for figure in figures[0]}
        for name, figures in found.items()
    }


def _probe(name: str, folder: Path, url: str) -> dict[str, float]:
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmarks.upload_probe", name, folder],
        cwd=_ROOT,
        env={**os.environ, **credentials, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
