"""The function's clients, replaced by S3 and DynamoDB in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from handler import app
from tests.support.fake_s3 import FakeS3
from tests.support.fake_table import FakeTable


@contextmanager
def fake_aws(s3: FakeS3) -> Iterator[FakeTable]:
    """Replace the clients of the function by this bucket and an empty table; yield the table."""
    table = FakeTable()
    clients = {"s3": s3, "dynamodb": table}
    app._connect.cache_clear()  # noqa: SLF001 - clients of another example must not serve this one
    with patch("boto3.client", lambda name, **_: clients[name]):
        yield table
    app._connect.cache_clear()  # noqa: SLF001
