"""`python -m run_recorder.cli`."""

from run_recorder.cli import main

main(prog_name="python -m run_recorder.cli")
