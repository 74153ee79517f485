"""The template and its documentation."""

from tests.support.stack_fixtures import (
    alarms,
    no_waiting,
    notify,
    put_metadata,
    record,
    recorder,
    resources,
    shared_stack,
    stack,
)

__all__ = ["alarms", "no_waiting", "notify", "put_metadata", "record", "recorder", "resources", "shared_stack", "stack"]
