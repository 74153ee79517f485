"""The Lambda function."""

import gc

from run_recorder.config import is_lambda

if is_lambda():
    # A tenth of the CPU time of a start would be spent on looking for garbage among objects that stay. `handler.app`
    # starts the collector again when it is ready.
    gc.disable()
