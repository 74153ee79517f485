"""A deployed stack: its outputs, its resources, and clients of them."""

import functools
import threading
from typing import Any

from botocore.exceptions import ClientError

from run_recorder.cli.clients import Clients, StackError
from run_recorder.config import Settings, load_settings
from run_recorder.evaluator import Evaluator
from run_recorder.producer.rules import DeploymentRules
from run_recorder.replay import ReplayingRecorder, UnchangedTable
from run_recorder.runs import RunTable
from run_recorder.s3 import S3


class Stack:
    """The resources of a stack of ``template.yaml``. The constructor calls no AWS operation.

    Attributes:
        name: name of the CloudFormation stack.
        calls: how often each AWS operation was called.
    """

    def __init__(
        self,
        name: str,
        *,
        bucket: str | None = None,
        table: str | None = None,
        profile: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        """Refer to a stack.

        Args:
            name: name of the CloudFormation stack.
            bucket: bucket of runs; None for the bucket of the stack.
            table: table of records; None for the table of the stack.
            profile: AWS profile; None for the default of boto3.
            region: AWS region; None for the default of boto3.
            endpoint_url: AWS endpoint; None for the default of boto3.
        """
        self.name = name
        self._clients = Clients(profile, region, endpoint_url)
        self.calls = self._clients.calls
        self._bucket = bucket
        self._table = table
        self._making_recorder = threading.Lock()
        self._recorder: ReplayingRecorder | None = None

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401 - the clients' types differ
        """Return a new client of an AWS service, in the region of the stack or in another one."""
        return self._clients.make(service, region)

    @functools.cached_property
    def _description(self) -> dict[str, Any]:
        """The answer of DescribeStacks."""
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
        return dict(stack)

    @functools.cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack, by name."""
        return {output["OutputKey"]: output["OutputValue"] for output in self._description.get("Outputs", [])}

    @functools.cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters of the stack, by name."""
        return {given["ParameterKey"]: given["ParameterValue"] for given in self._description.get("Parameters", [])}

    @functools.cached_property
    def resources(self) -> dict[str, tuple[str, str]]:
        """The name and the type of each resource of the stack, by its name in the template."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            resource["LogicalResourceId"]: (resource.get("PhysicalResourceId", ""), resource["ResourceType"])
            for page in pages
            for resource in page["StackResourceSummaries"]
        }

    def output(self, name: str) -> str:
        """Return an output of the stack.

        Raises:
            StackError: the stack does not exist, or it has no such output.
        """
        try:
            return self.outputs[name]
        except KeyError as error:
            raise StackError(
                f"stack {self.name!r} has no output {name}: name one of Run Recorder with --stack, or deploy it again"
            ) from error

    @functools.cached_property
    def bucket(self) -> str:
        """The bucket of runs."""
        return self._bucket or self.output("RunsBucket")

    @functools.cached_property
    def s3(self) -> S3:
        """The calls to S3."""
        return S3(self.client("s3"))

    @functools.cached_property
    def table(self) -> RunTable:
        """The table of records."""
        return RunTable(self._table or self.output("RunsTable"), self.client("dynamodb"))

    @property
    def has_own_resources(self) -> bool:
        """Whether the caller names neither the bucket nor the table, so that both are those of the stack."""
        return not (self._bucket or self._table)

    def rules(self) -> DeploymentRules:
        """Return the rules of the stack, or those of production if the bucket and the table are named without it.

        Raises:
            StackError: the stack does not exist, or is not one of Run Recorder.
        """
        if self._bucket and self._table:
            return DeploymentRules.of_stage(development=False)
        return DeploymentRules.of_stack(self.parameters, self.bucket)

    def require_own_resources(self) -> None:
        """Check that the bucket and the table belong to the stack.

        Raises:
            StackError: one of them does not, or the stack does not exist.
        """
        own = (self.output("RunsBucket"), self.output("RunsTable"))
        if own != (self.bucket, self.table.name):
            raise StackError(
                f"stack {self.name!r} has bucket {own[0]!r} and table {own[1]!r}: leave out --bucket and --table, or "
                "name another stack with --stack"
            )

    def recorder(self) -> ReplayingRecorder:
        """Return the recorder with the settings of the deployed function, which are read once. Safe between threads.

        Raises:
            StackError: the stack does not exist, or has another bucket or table.
            SettingsError: the settings of the function are wrong.
        """
        with self._making_recorder:
            self._recorder = self._recorder or self._make_recorder(self.table)
            return self._recorder

    def previewing_recorder(self) -> ReplayingRecorder:
        """Return a recorder like `recorder` that writes nothing; raises as `recorder`."""
        return self._make_recorder(UnchangedTable(self.table.name, self.table.client))

    def _make_recorder(self, table: RunTable) -> ReplayingRecorder:
        return ReplayingRecorder(self._read_settings(), self.s3, table)

    def evaluator(self) -> Evaluator:
        """Return an evaluator with the settings of the deployed function; raises as `recorder`."""
        return Evaluator(self._read_settings(), self.s3)

    def _read_settings(self) -> Settings:
        self.require_own_resources()
        function = self.client("lambda").get_function_configuration(FunctionName=self.output("RecorderFunction"))
        return load_settings(function["Environment"]["Variables"])
