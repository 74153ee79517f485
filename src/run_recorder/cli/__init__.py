"""The command `run-recorder`, for producers of runs and for operators of a deployed stack."""

import click

from run_recorder._version import __version__
from run_recorder.cli.backfill import backfill
from run_recorder.cli.dead_letters import dead_letters
from run_recorder.cli.list_runs import list_runs
from run_recorder.cli.notifications import notifications
from run_recorder.cli.output import escape_missing_characters
from run_recorder.cli.reconcile import reconcile
from run_recorder.cli.replay import replay
from run_recorder.cli.show import show
from run_recorder.cli.status import status
from run_recorder.cli.upload import upload
from run_recorder.cli.validate import validate
from run_recorder.cli.wait import wait

main = click.Group(
    "run-recorder",
    callback=escape_missing_characters,
    help="Upload, check, show, compare and repair runs and their records. Guide: docs/command-line.md.",
    commands=[
        validate,
        upload,
        wait,
        status,
        show,
        list_runs,
        reconcile,
        replay,
        dead_letters,
        backfill,
        notifications,
    ],
)
click.version_option(__version__, prog_name="run-recorder")(main)
