"""`python -m ops`: what operators and producers do with a deployed stack."""

import click

from ops.backfill import backfill
from ops.list_runs import list_runs
from ops.reconcile import reconcile
from ops.redrive import redrive
from ops.show import show
from ops.validate import validate

main = click.Group(
    help="What operators and producers do with a deployed stack; docs/command-line.md tells more.",
    commands=[validate, show, list_runs, reconcile, redrive, backfill],
)

if __name__ == "__main__":
    main(prog_name="python -m ops")
