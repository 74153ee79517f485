"""The commands, on the stack of the template in moto."""

from tests.support.stack_fixtures import (
    made_stacks,
    no_waiting,
    record,
    record_run,
    recorder,
    shared_stack,
    stack,
    stub_client,
)

__all__ = ["made_stacks", "no_waiting", "record", "record_run", "recorder", "shared_stack", "stack", "stub_client"]
