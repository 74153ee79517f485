"""Figures of processes that are measured, each from a new process."""

import json
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, float]

_ROOT = Path(__file__).parent.parent


def run_probe(command: Sequence[str | Path], environment: Mapping[str, str], task: str | None = None) -> Any:  # noqa: ANN401 - JSON
    """Run a command, with ``task`` on its standard input; return the JSON in the last line of its standard error.

    Its standard output is discarded: a reader of it would take CPU time from the process.
    """
    done = subprocess.run(  # noqa: S603
        command,
        input=task,
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command} failed: {done.stderr}")
    return json.loads(done.stderr.splitlines()[-1])


def alternate(names: Sequence[str], probe: Callable[[str], Figures], rounds: int) -> dict[str, Figures]:
    """Return the medians of all rounds for each name; each round reverses the order of the names."""
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[:: -1 if turn % 2 else 1]:
            found[name].append(probe(name))
    return {
        name: {figure: statistics.median(each[figure] for each in figures) for figure in figures[0]}
        for name, figures in found.items()
    }
