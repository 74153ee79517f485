"""The measurements, each in its own processes; the packages alternate, and the results are medians."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.documents import BUCKET, make_event
from benchmarks.processes import Figures, alternate, run_probe

LATENCY = 0.15
"""Seconds that each call takes when batches are timed, far more than the work of the server."""

_BLOCK = 10  # runs; a block is one batch of 10, or 10 batches of 1
_BLOCKS = 60
_WARM_UP = 10  # blocks
_HERE = Path(__file__).parent
_HANDLERS = {"tutorial": "app:lambda_handler", "floor": "floor:read"}
_OURS = "handler.app:lambda_handler"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_FUNCTION_NAME": "recorder",
    # As in Lambda, where the handler connects at import.
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "DEVELOPMENT": "false",
    "RUNS_BUCKET": BUCKET,
    "RUNS_TABLE": "run-recorder-runs",
    "OUTPUT_BUCKET": "run-recorder-results",
    "POWERTOOLS_SERVICE_NAME": "run-recorder",
    "POWERTOOLS_METRICS_NAMESPACE": "RunRecorder",
    # /var/task is read-only.
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Bench:
    """Measurements of the packages that `builds.build` returns, with Lambda's Python."""

    def __init__(self, python: Path, packages: Mapping[str, Path], rounds: int) -> None:
        self._python = python
        self._packages = packages
        self._rounds = rounds

    def size(self) -> Figures:
        """Return the size of each package, unzipped, in megabytes."""
        return {
            name: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
            for name, folder in self._packages.items()
        }

    def start(self, url: str) -> dict[str, Figures]:
        """Return the CPU milliseconds of a new process: until it is ready, and through its first event."""
        event = make_event("small", 1)

        def probe(name: str) -> Figures:
            handler = _HANDLERS.get(name, _OURS)
            figures: Figures = self._probe(name, url, measure="start", handler=handler, event=event)
            return figures

        figures = alternate(["ours", "default", "tutorial", "floor"], probe, self._rounds)
        return {phase: {name: figures[name][phase] * 1000 for name in figures} for phase in ("ready", "first")}

    def run(self, url: str, batch: int) -> dict[str, Figures]:
        """Return the CPU milliseconds for each run in a warm process: of the handler, and of the bare calls.

        ``ratio`` is the median of the ratios of pairs: the handler and the bare calls handle the same block of ten
        runs, one directly after the other, so that whatever slows the machine down slows down both.
        """
        blocks = [[make_event("small", batch) for _ in range(_BLOCK // batch)] for _ in range(_BLOCKS)]
        pairs: dict[str, list[tuple[float, float]]] = {"ours": [], "tutorial": []}
        for turn in range(self._rounds):
            for name in list(pairs)[:: -1 if turn % 2 else 1]:
                handlers = [_HANDLERS.get(name, _OURS), "floor:record"]
                taken = self._probe(name, url, measure="repeat", handlers=handlers, blocks=blocks, clock="process_time")
                pairs[name] += list(zip(*taken, strict=True))[_WARM_UP:]
        return {
            name: {
                "handler": statistics.median(handler for handler, _ in found) / _BLOCK * 1000,
                "bare": statistics.median(bare for _, bare in found) / _BLOCK * 1000,
                "ratio": statistics.median(handler / bare for handler, bare in found),
            }
            for name, found in pairs.items()
        }

    def batch(self, url: str, name: str, count: int) -> float:
        """Return the seconds that a batch takes in a warm process, with `LATENCY`."""
        blocks = [[make_event("small", count)] for _ in range(4)]
        handlers = [_HANDLERS.get(name, _OURS)]
        (taken,) = self._probe(name, url, measure="repeat", handlers=handlers, blocks=blocks, clock="monotonic")
        return float(statistics.median(taken[1:]))

    def grow(self, url: str, document: str) -> Figures:
        """Return the peak resident memory in megabytes: idle, and after a batch of 10 such documents."""
        idle, event = make_event("small", 1), make_event(document, 10)

        def probe(name: str) -> Figures:
            figures: Figures = self._probe(name, url, measure="grow", handler=_OURS, idle=idle, event=event)
            return figures

        (figures,) = alternate(["ours"], probe, self._rounds).values()
        return {name: value / 2**20 for name, value in figures.items()}

    def _probe(self, name: str, url: str, **task: object) -> Any:  # noqa: ANN401 - JSON
        path = f"{self._packages[name]}:{_HERE}"
        environment = {**_ENVIRONMENT, "AWS_ENDPOINT_URL": url, "PYTHONPATH": path}
        return run_probe([self._python, "-P", _HERE / "probe.py"], environment, json.dumps(task))
