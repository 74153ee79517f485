"""``python -m run_recorder``: the command where no folder of scripts is on the ``PATH``."""

from run_recorder.cli import main

main()
