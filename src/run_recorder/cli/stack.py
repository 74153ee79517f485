"""A deployed stack: its outputs, its parts, and clients to reach them."""

import functools
import threading
from collections import Counter
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from run_recorder.cli.concurrency import WORKERS
from run_recorder.config import build_model_config, load_settings
from run_recorder.errors import RunRecorderError
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3

# An operator can wait longer than an invocation.
_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, max_pool_connections=WORKERS
)


class StackError(RunRecorderError):
    """There is no such stack, or it is another one's."""


class Stack:
    """What `template.yaml` created under a name. Making one calls nothing.

    Attributes:
        name: of the stack.
        calls: how often which AWS operation was called.
    """

    def __init__(
        self, name: str, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        """Uses these; for what is None, boto3 asks the environment."""
        self.name = name
        self.calls: Counter[str] = Counter()
        self._profile = profile
        self._region = region
        self._endpoint_url = endpoint_url
        self._counting = threading.Lock()

    @functools.cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(profile_name=self._profile, region_name=self._region)

    def client(self, service: str) -> Any:  # noqa: ANN401 - the clients' types differ
        """A new client of an AWS service."""
        try:
            client: Any = self._session.client(service, endpoint_url=self._endpoint_url, config=_CLIENT_CONFIG)  # type: ignore[call-overload]
        except ValueError as error:  # botocore's answer to what is no URL, and to what is no region
            raise StackError(f"{error}: check --endpoint-url and --region") from error
        client.meta.events.register("before-call", self._count)
        return client

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack, by name."""
        cloudformation = self.client("cloudformation")
        try:
            (stack,) = cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            region = cloudformation.meta.region_name
            raise StackError(
                f"no stack {self.name!r} in {region}: name it with --stack, and check --profile and --region"
            ) from error
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def output(self, name: str) -> str:
        """An output of the stack.

        Raises:
            StackError: there is no such stack, or it has no such output.
        """
        try:
            return self.outputs[name]
        except KeyError as error:
            raise StackError(
                f"stack {self.name!r} has no output {name}: is it Run Recorder's? Then deploy it again"
            ) from error

    @functools.cached_property
    def bucket(self) -> str:
        """The bucket of runs."""
        return self.output("RunsBucket")

    @functools.cached_property
    def s3(self) -> S3:
        """Its account's S3."""
        return S3(self.client("s3"))

    @functools.cached_property
    def table(self) -> RunTable:
        """The records."""
        return RunTable(self.output("RunsTable"), self.client("dynamodb"))

    def recorder(self) -> Recorder:
        """What the deployed function records with, under the function's own settings."""
        function = self.client("lambda").get_function_configuration(FunctionName=self.output("RecorderFunction"))
        environment = function["Environment"]["Variables"]
        configure = functools.partial(build_model_config, env=environment)
        return Recorder(load_settings(environment), self.s3, self.table, configure)

    def _count(self, model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's hook
        with self._counting:
            self.calls[model.name] += 1
