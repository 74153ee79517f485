"""What holds of any input, history and order."""

from tests.support.stack_fixtures import distinct_times, notify, put_metadata, record, stack

__all__ = ["distinct_times", "notify", "put_metadata", "record", "stack"]
