"""A translated template, created in moto, in this process or in a moto server."""

import functools
import io
import json
import zipfile
from typing import Any

import boto3

from local import moto_repairs
from local.poller import EventSource
from local.template import CODE, REGION

# moto's CloudFormation does not support these resources, or resources that the dashboard refers to. No other
# resource of a stack needs them.
_UNSUPPORTED = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Pipes::Pipe"}
_UNSUPPORTED |= {"AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}

moto_repairs.install()


@functools.cache
def connect(service: str, endpoint_url: str | None = None) -> Any:  # noqa: ANN401 - the clients' types differ
    """Return a client of an AWS service, of a moto server, or, without a URL, of ``mock_aws()``."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def create_stack(
    name: str, template: dict[str, Any], parameters: dict[str, str], endpoint_url: str | None = None
) -> dict[str, str]:
    """Create a stack of a translated template; return its outputs."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("placeholder", "the function runs in the process that delivers to it")
    s3 = connect("s3", endpoint_url)
    s3.create_bucket(Bucket=CODE["Bucket"])
    s3.put_object(**CODE, Body=code.getvalue())
    resources = {name: body for name, body in template["Resources"].items() if body["Type"] not in _UNSUPPORTED}
    cloudformation = connect("cloudformation", endpoint_url)
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=json.dumps({**template, "Resources": resources}),
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def take_event_source(queue_url: str, endpoint_url: str | None = None) -> EventSource:
    """Disable the event source mapping of a queue, which moto would serve with Docker, and return its properties."""
    attributes = connect("sqs", endpoint_url).get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    functions = connect("lambda", endpoint_url)
    (mapping,) = functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    return EventSource(queue_url, arn, REGION, mapping["BatchSize"])


def read_environment(function: str, endpoint_url: str | None = None) -> dict[str, str]:
    """Return the environment variables of a function, AWS's own included."""
    configuration = connect("lambda", endpoint_url).get_function_configuration(FunctionName=function)
    variables: dict[str, str] = configuration["Environment"]["Variables"]
    return CREDENTIALS | variables
