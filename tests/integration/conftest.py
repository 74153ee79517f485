"""The modules together, on the stack of the template in moto."""

from tests.support.stack_fixtures import (
    distinct_times,
    notify,
    put_metadata,
    record,
    recorder,
    shared_stack,
    stack,
    stub_client,
)

__all__ = ["distinct_times", "notify", "put_metadata", "record", "recorder", "shared_stack", "stack", "stub_client"]
