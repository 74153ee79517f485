"""What operators and producers do with a deployed stack."""

import click

from run_recorder.cli.backfill import backfill
from run_recorder.cli.list_runs import list_runs
from run_recorder.cli.reconcile import reconcile
from run_recorder.cli.redrive import redrive
from run_recorder.cli.show import show
from run_recorder.cli.validate import validate

main = click.Group(
    help="What operators and producers do with a deployed stack; docs/command-line.md tells more.",
    commands=[validate, show, list_runs, reconcile, redrive, backfill],
)
