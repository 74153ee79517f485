"""The commands that go over all runs, compared with the calls that they cannot avoid, and with fewer runs."""

import os
import sys

from benchmarks.processes import Figures, run_probe
from benchmarks.report import Row

COMMANDS = {"reconcile": "reconcile", "list": "list --json --full --all", "replay": "replay --yes"}
_FEW, _MANY = 1000, 10_000
# Beside the bare calls: of CPU time, and of requests.
_LIMITS = {"reconcile": (1.4, 1.1), "list": (1.8, 1.1), "replay": (2.2, 1.6)}


def measure_scale(few: int = _FEW, many: int = _MANY) -> list[Row]:
    """Return the figures of each command for ``many`` runs."""
    return [row for name in COMMANDS for row in _measure(name, few, many)]


def _measure(name: str, few: int, many: int) -> list[Row]:
    of_few, bare, ours = probe(name, "ours", few), probe(name, "bare", many), probe(name, "ours", many)
    what = f"{COMMANDS[name]}, {many:,} runs"
    cpu_limit, requests_limit = _LIMITS[name]
    for_each = {number: figures["cpu"] / number * 1000 for number, figures in ((few, of_few), (many, ours))}
    return [
        Row(what, "s CPU", ours["cpu"], "bare calls", bare["cpu"], cpu_limit),
        Row(what, "requests", ours["requests"], "bare calls", bare["requests"], requests_limit),
        Row(what, "ms CPU a run", for_each[many], f"{few:,} runs", for_each[few], 1.15),
        Row(what, "MB", ours["peak"], f"{few:,} runs", of_few["peak"], 1.2),
    ]


def probe(name: str, who: str, number: int) -> Figures:
    """Return the figures of a command, or of its bare calls, in a process of its own."""
    credentials = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    command = [sys.executable, "-m", "benchmarks.scale_probe", name, who, str(number)]
    figures: Figures = run_probe(command, {**os.environ, **credentials, "AWS_DEFAULT_REGION": "us-east-1"})
    return figures
