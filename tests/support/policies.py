"""The part of IAM that the policies of this stack use: which permissions a call needs, and if policies allow them.

moto evaluates actions and resources, but ignores conditions. This module raises an error for any policy element that it
does not support, so that no policy passes by mistake.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.template import REGION

ACCOUNT = "123456789012"

Statement = Mapping[str, Any]

_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
_S3_ACTIONS = {
    "HeadObject": "GetObject",
    **dict.fromkeys(("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "PutObject"),
    "ListBuckets": "ListAllMyBuckets",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
}

# Granted, although no code calls it.
_BY_LAMBDA = {
    "logs:CreateLogStream": "Lambda writes what the function prints",
    "logs:PutLogEvents": "Lambda writes what the function prints",
    "xray:PutTraceSegments": "Lambda traces invocations",
    "xray:PutTelemetryRecords": "Lambda traces invocations",
}


@dataclass(frozen=True)
class Request:
    """A request to IAM: an action on a resource, the AWS service that makes it, if any, and the condition keys."""

    action: str
    resource: str = "*"
    principal: str | None = None
    context: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A call of an AWS SDK, and the code of the error that it got."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    error: str | None = None

    def asks(self) -> list[Request]:
        """Return the requests that must be allowed for the call to get its response."""
        match self.service, self.parameters:
            case "s3", {"Bucket": bucket, "Key": key, **rest}:
                action = _S3_ACTIONS.get(self.operation, self.operation)
                version = "Version" if "VersionId" in rest else ""
                read = Request(f"s3:{action}{version}", f"arn:aws:s3:::{bucket}/{key}")
                # Without this permission S3 denies access to a key that does not exist.
                find = Request("s3:ListBucket", f"arn:aws:s3:::{bucket}")
                return [read, find] if self.error in {"NoSuchKey", "NoSuchVersion", "404"} else [read]
            case "s3", {"Bucket": bucket, **rest}:
                action = _S3_ACTIONS.get(self.operation, self.operation)
                context = {"s3:prefix": rest["Prefix"]} if "Prefix" in rest else {}
                return [Request(f"s3:{action}", f"arn:aws:s3:::{bucket}", context=context)]
            case "s3", _:
                return [Request(f"s3:{_S3_ACTIONS[self.operation]}")]
            case "dynamodb", {"TableName": table, **rest}:
                keys = [rest["Key"]["organisation_id"]["S"]] if "Key" in rest else []
                context = {"dynamodb:LeadingKeys": keys} if keys else {}
                name = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
                return [Request(f"dynamodb:{self.operation}", name, context=context)]
            case "sqs", {"QueueUrl": url}:
                name = url.rpartition("/")[2]
                return [Request(f"sqs:{self.operation}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")]
        return [Request(f"{self.service}:{self.operation}")]


def allows(statements: Iterable[Statement], request: Request) -> bool:
    """Return whether a statement allows the request, and none denies it."""
    return {statement["Effect"] for statement in statements if _applies(statement, request)} == {"Allow"}


def actions(statements: Iterable[Statement]) -> set[str]:
    """Return the actions that the statements allow, as they are written."""
    return {
        action for statement in statements if statement["Effect"] == "Allow" for action in _all(statement["Action"])
    }


def check_grants(statements: list[Statement], asked: list[Request]) -> None:
    """Check that a function may make these requests, and is granted no action that neither it nor Lambda uses."""
    assert [request for request in asked if not allows(statements, request)] == []
    assert actions(statements) - {request.action for request in asked} == _BY_LAMBDA.keys()


def _applies(statement: Statement, request: Request) -> bool:
    unknown = statement.keys() - _ELEMENTS
    if unknown:
        raise NotImplementedError(f"policy elements {unknown}")
    return (
        any(_like(pattern, request.action) for pattern in _all(statement["Action"]))
        and any(_like(pattern, request.resource) for pattern in _all(statement.get("Resource", "*")))
        and statement.get("Principal", "*") in ("*", {"Service": f"{request.principal}.amazonaws.com"})
        and all(
            _holds(operator, _all(expected), request.context.get(key))
            for operator, tests in statement.get("Condition", {}).items()
            for key, expected in tests.items()
        )
    )


def _holds(operator: str, expected: list[str], value: str | list[str] | None) -> bool:
    name = operator.removesuffix("IfExists")
    if name.startswith("ForAllValues:"):
        # Also true for a request without the key, as in IAM.
        return all(_holds(name.removeprefix("ForAllValues:"), expected, each) for each in value or [])
    if isinstance(value, list):
        raise NotImplementedError(f"condition operator {operator} for a key with several values")
    if value is None:
        return operator != name
    match name:
        case "StringEquals" | "Bool":
            return value in expected
        case "StringLike" | "ArnEquals" | "ArnLike":
            return any(_like(pattern, value) for pattern in expected)
    raise NotImplementedError(f"condition operator {operator}")


def _like(pattern: str, text: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _all(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
