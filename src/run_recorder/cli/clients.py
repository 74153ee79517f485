"""The boto3 clients of a command, whose calls are counted."""

import functools
import threading
from collections import Counter
from typing import Any

import boto3
from botocore.config import Config

from run_recorder.cli.answers import require_answer_of_aws
from run_recorder.concurrency import WORKERS
from run_recorder.errors import RunRecorderError

# A person can wait longer than an invocation.
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, max_pool_connections=WORKERS)


class StackError(RunRecorderError):
    """A stack that does not exist, or that is not a stack of Run Recorder; or a malformed name of its place."""


class Clients:
    """Makes clients with the same profile, region and endpoint. The constructor calls no AWS operation.

    Attributes:
        calls: how often each AWS operation was called.
    """

    def __init__(self, profile: str | None, region: str | None, endpoint_url: str | None) -> None:
        """Use these; None for the default of boto3."""
        self.calls: Counter[str] = Counter()
        self._profile = profile
        self._region = region
        self._endpoint_url = endpoint_url
        self._counting = threading.Lock()

    @functools.cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(profile_name=self._profile, region_name=self._region)

    def make(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - the clients' types differ
        """Return a new client of an AWS service, in this region or in that of all clients.

        Raises:
            StackError: the endpoint or the region is malformed.
        """
        try:
            client: Any = self._session.client(  # type: ignore[call-overload]
                service, region_name=region, endpoint_url=self._endpoint_url, config=_CONFIG
            )
        except ValueError as error:  # raised by botocore for a malformed URL or region
            raise StackError(f"{error}: check --endpoint-url and --region") from error
        client.meta.events.register("before-call", self._count)
        client.meta.events.register("before-parse", require_answer_of_aws)
        return client

    def _count(self, model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's hook
        with self._counting:
            self.calls[model.name] += 1
