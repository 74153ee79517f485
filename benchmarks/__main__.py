"""Measure the function as it is deployed: `make bench`. Needs Lambda's Python; needs no AWS account."""

import json
import platform
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.builds import build
from benchmarks.measure import LATENCY, Bench
from benchmarks.report import Row, print_table, to_json
from benchmarks.scale import measure_scale
from benchmarks.server import serve
from benchmarks.uploads import measure_uploads
from local.sam import find_python

_NOTES = [
    "ours: a plain `sam build`. default build: the same code, built by SAM's own builder for Python. tutorial: "
    "benchmarks/tutorial, built by SAM's own builder. floor: boto3, its two clients and one GetObject, with bytecode.",
    "start: user and system time of a new process, including its interpreter; the folders have the timestamps of SAM's "
    "zips, and no bytecode is written, as in /var/task. Through the first event: an SQS batch of one.",
    "run: CPU time of all threads of a warm process for each run of a batch; the bare calls are GetObject and "
    "UpdateItem with the same item, in the same process, alternating with the handler after every ten runs. The ratio "
    "is the median of the ratios of all pairs. The process runs on one CPU: Lambda gives a function of 512 MB the time "
    "of 0.29 vCPU, so that its threads seldom run at once.",
    f"batch: wall time in a warm process; each AWS call is answered after {LATENCY * 1000:.0f} ms.",
    "memory: peak resident memory of a process after a batch of 10 documents of 1 MiB, compared with 1.5 x its idle "
    "memory + 64 MB. readings: data of an instrument. nested, empties: the documents that need the most memory of all "
    "that were tried, the first while it is read, the second, a record of 340,000 empty strings, while it is written.",
    "upload: `upload_run` of a folder, and the bare calls: the SHA-256 of each file, and boto3's transfer manager. The "
    "server keeps nothing. On one CPU.",
    "reconcile, list, replay: the commands over the runs of ten organisations whose records are right, and the calls "
    "that they cannot avoid, one after the other. The clients sign their requests and parse the answers, which are "
    "made up in memory. One process each, on one CPU, warm.",
    "All handlers call the same local HTTP server, which gives prepared answers. Medians; the handlers alternate.",
]


@click.command()
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this file.")
@click.option("--rounds", default=5, show_default=True, help="Processes for each median.")
def main(file: Path | None, rounds: int) -> None:
    """Build, measure and print; exit with 1 if a limit is exceeded."""
    python = find_python()
    if python is None:
        raise click.ClickException("python3.13, Lambda's, is neither on the PATH nor among pyenv's versions")
    with TemporaryDirectory() as work:
        click.echo("Building four packages…", err=True)
        rows = _measure(Bench(python, build(python, Path(work)), rounds))
    notes = [*_NOTES, f"Python {python}, {platform.platform()}, medians of {rounds} processes."]
    print_table(rows, notes)
    if file:
        file.write_text(json.dumps(to_json(rows, notes), indent=2) + "\n")
    if not all(row.is_kept for row in rows):
        sys.exit(1)


def _measure(bench: Bench) -> list[Row]:
    click.echo("Measuring; some minutes…", err=True)
    with serve() as url:
        rows = _start(bench, url) + _run(bench, url) + _grow(bench, url)
    with serve(LATENCY) as url:
        rows += _batch(bench, url)
    rows += measure_uploads()
    rows += measure_scale()
    size = bench.size()
    rows.append(Row("package", "MB", size["ours"], "limit", 10, 1))
    rows.append(Row("package", "MB", size["ours"], "default build", size["default"]))
    return rows


def _start(bench: Bench, url: str) -> list[Row]:
    rows = []
    for phase, figures in bench.start(url).items():
        what = {"ready": "start, until ready", "first": "start, through the first event"}[phase]
        rows += [
            Row(what, "ms", figures["ours"], "default build", figures["default"], 0.36),
            Row(what, "ms", figures["ours"], "floor", figures["floor"], 0.88),
            Row(what, "ms", figures["ours"], "tutorial", figures["tutorial"]),
        ]
    return rows


def _run(bench: Bench, url: str) -> list[Row]:
    rows = []
    for batch, limit in ((10, 1.15), (1, 1.1)):
        figures = bench.run(url, batch)
        what, ours = f"run, in a batch of {batch}", figures["ours"]
        rows.append(Row(what, "ms", ours["handler"], "bare calls", ours["bare"], limit, ours["ratio"]))
        rows.append(Row(what, "ms", ours["handler"], "tutorial", figures["tutorial"]["handler"]))
    return rows


def _grow(bench: Bench, url: str) -> list[Row]:
    rows = []
    # No limit for a record that is large on purpose.
    for document, name, limit in [("large", "readings", 1), ("nested", "nested", 1), ("empties", "empties", None)]:
        memory = bench.grow(url, document)
        rows.append(Row(f"memory, {name}", "MB", memory["peak"], "1.5 x idle + 64", 1.5 * memory["idle"] + 64, limit))
    return rows


def _batch(bench: Bench, url: str) -> list[Row]:
    one, ten, fifty = (bench.batch(url, "ours", count) for count in (1, 10, 50))
    return [
        Row("batch of 10", "s", ten, "batch of 1", one, 1.5),
        Row("batch of 50", "s", fifty, "batch of 1", one, 5),
        Row("batch of 10", "s", ten, "tutorial", bench.batch(url, "tutorial", 10)),
    ]


if __name__ == "__main__":
    main()
