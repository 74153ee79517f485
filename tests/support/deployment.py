"""Stacks in moto, with the policies of their roles, which moto enforces."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.backends import get_backend
from moto.cloudformation.parsing import clean_json
from moto.dynamodb.responses import DynamoHandler

from local.stack import STACK_NAME, LocalStack
from local.template import REGION, translate
from tests.support.policies import ACCOUNT, Call, Statement


class CreatedResources:
    """The resources of a stack in moto, and the policies of its roles.

    Attributes:
        resources: the properties of each resource that it has, references resolved.
        statements: the statements of each role's policies, as IAM returns them.
    """

    def __init__(self, stack: str, template: dict[str, Any]) -> None:
        """Find the resources of a stack, and attach the policies of its roles, which moto's CloudFormation leaves out.

        Args:
            stack: the name of the stack.
            template: its template, translated with the parameters of the stack.
        """
        stacks = get_backend("cloudformation")[ACCOUNT][REGION].stacks.values()
        self._names: Any = next(created.resource_map for created in stacks if created.name == stack)
        present = {
            name: resource
            for name, resource in template["Resources"].items()
            if self._names.lazy_condition_map.get(resource.get("Condition"), True)
            # Names alarms, which moto's CloudFormation lacks.
            and resource["Type"] != "AWS::CloudWatch::Dashboard"
        }
        self.resources = {name: clean_json(resource["Properties"], self._names) for name, resource in present.items()}
        iam = boto3.client("iam", region_name=REGION)
        roles = [name for name, resource in present.items() if resource["Type"] == "AWS::IAM::Role"]
        for role in roles:
            self._attach_policies(iam, role)
        self.statements = {role: list(_held_statements(iam, self._name_of(role))) for role in roles}

    def arn(self, name: str) -> str:
        """Return the ARN of a resource of the template."""
        arn: str = clean_json({"Fn::GetAtt": [name, "Arn"]}, self._names)
        return arn

    def policy(self, name: str) -> list[Statement]:
        """Return the statements of the policy of a queue or bucket."""
        return [statement for statement in self.resources[name]["PolicyDocument"]["Statement"] if statement]

    def assume(self, role: str) -> boto3.Session:
        """Return a session with the credentials of the role, as the function has it in Lambda."""
        credentials = boto3.client("sts").assume_role(RoleArn=self.arn(role), RoleSessionName="function")["Credentials"]
        return boto3.Session(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])

    def _name_of(self, role: str) -> str:
        name: str = self._names[role].name
        return name

    def _attach_policies(self, iam: Any, role: str) -> None:
        name = self._name_of(role)
        for policy in self.resources[role].get("Policies", []):
            document = json.dumps(policy["PolicyDocument"])
            iam.put_role_policy(RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=document)
        for arn in self.resources[role].get("ManagedPolicyArns", []):
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)


class Deployment(CreatedResources):
    """A stack of ``template.yaml`` with these parameters.

    Attributes:
        parameters: the parameters.
        stack: the stack.
    """

    def __init__(self, parameters: dict[str, str]) -> None:
        self.parameters = parameters
        self.stack = LocalStack(parameters)
        super().__init__(STACK_NAME, translate(parameters))

    @property
    def bucket_arn(self) -> str:
        """The ARN of the bucket of runs."""
        return f"arn:aws:s3:::{self.stack.outputs['RunsBucket']}"


def record_calls(session: boto3.Session) -> list[Call]:
    """Return a list to which each further call of the session's clients is added."""
    calls: list[Call] = []

    def note(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["parameters"] = params

    def record(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        error = parsed.get("Error", {}).get("Code")
        calls.append(Call(model.service_model.service_name, model.name, context["parameters"], error))

    session.events.register("before-parameter-build", note)
    session.events.register("after-call", record)
    return calls


def enforce_tables(patch: pytest.MonkeyPatch) -> None:
    """Name the table of a request to moto, which otherwise compares policies with the resource ``*``."""

    def table_arn(handler: DynamoHandler) -> str:
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{handler.body['TableName']}"

    patch.setattr(DynamoHandler, "_determine_resource", table_arn, raising=False)


def _held_statements(iam: Any, role: str) -> Iterator[Statement]:
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        yield from iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]["Statement"]
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        version = iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId="v1")
        yield from version["PolicyVersion"]["Document"]["Statement"]
