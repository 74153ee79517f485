"""The stack in moto, in this process or in a moto server."""

import functools
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import boto3

from local import moto_repairs
from local.poller import EventSource, Handler, deliver
from local.template import CODE, REGION, translate

STACK_NAME = "run-recorder"
TABLE = f"{STACK_NAME}-RunsTable"
# moto's CloudFormation does not support these resources, or resources that the dashboard refers to. No other
# resource of the stack needs them.
_UNSUPPORTED = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Pipes::Pipe"}
_UNSUPPORTED |= {"AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}


@functools.cache
def _client(service: str, endpoint_url: str | None) -> Any:  # noqa: ANN401 - the clients' types differ
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


moto_repairs.install()


def in_upload_order(folder: Path) -> list[Path]:
    """Return the files below a folder in the order of an upload: metadata.json last."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sorted(files, key=lambda path: path.name == "metadata.json")


class LocalStack:
    """The stack of ``template.yaml``; the attributes come from the created resources.

    Attributes:
        outputs: of the stack, by name.
        event_source: the queue that triggers the function.
        environment: environment variables, as the function gets them, AWS's own included.
        s3, sqs, dynamodb: clients.
    """

    def __init__(
        self,
        parameters: dict[str, str] | None = None,
        endpoint_url: str | None = None,
        objects: Path | None = None,
        name: str = STACK_NAME,
    ) -> None:
        """Create the stack.

        Args:
            parameters: of the template; the others take their defaults.
            endpoint_url: of a moto server; None inside ``mock_aws()``.
            objects: a folder to upload before the bucket sends notifications, so that nothing of it is recorded.
            name: of the stack.
        """
        self._name = name
        self._endpoint_url = endpoint_url
        self.s3 = self._client("s3")
        self.sqs = self._client("sqs")
        self.dynamodb = self._client("dynamodb")
        template = translate(parameters or {})
        self.outputs = self._create(template, parameters or {})
        self.event_source = self._take_event_source()
        # moto's CloudFormation leaves out the bucket's versioning and notifications.
        bucket = template["Resources"]["RunsBucket"]["Properties"]
        self.s3.put_bucket_versioning(
            Bucket=self.outputs["RunsBucket"], VersioningConfiguration=bucket["VersioningConfiguration"]
        )
        if objects:
            self.upload_tree(objects)
        self._configure_notifications(bucket["NotificationConfiguration"]["QueueConfigurations"])
        self.environment = CREDENTIALS | self._function_environment()
        if endpoint_url:
            self.environment["AWS_ENDPOINT_URL"] = endpoint_url

    def upload(self, key: str, body: bytes) -> str | None:
        """Put an object into the bucket of runs and return its version id."""
        uploaded = self.s3.put_object(Bucket=self.outputs["RunsBucket"], Key=key, Body=body)
        version_id: str | None = uploaded.get("VersionId")
        return version_id

    def upload_tree(self, folder: Path) -> list[str]:
        """Upload the files below a folder, metadata.json last, and return the keys."""
        files = in_upload_order(folder)
        keys = [path.relative_to(folder).as_posix() for path in files]
        for key, path in zip(keys, files, strict=True):
            self.upload(key, path.read_bytes())
        return keys

    def deliver(self, handler: Handler) -> list[dict[str, Any]]:
        """Hand one batch of the queue to the handler; see `poller.deliver`."""
        return deliver(self.sqs, self.event_source, handler)

    def records(self) -> list[dict[str, Any]]:
        """Return the items of the table, in DynamoDB's low-level spelling, sorted by organisation and run."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.outputs["RunsTable"])
        items = [item for page in pages for item in page["Items"]]
        return sorted(items, key=lambda item: (item["organisation_id"]["S"], item["run_id"]["S"]))

    def delete_records(self) -> None:
        """Empty the table."""
        for item in self.records():
            key = {name: item[name] for name in ("organisation_id", "run_id")}
            self.dynamodb.delete_item(TableName=self.outputs["RunsTable"], Key=key)

    def _client(self, service: str) -> Any:  # noqa: ANN401 - the clients' types differ
        return _client(service, self._endpoint_url)

    def _create(self, template: dict[str, Any], parameters: dict[str, str]) -> dict[str, str]:
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("placeholder", "the function runs in the process that delivers to it")
        self.s3.create_bucket(Bucket=CODE["Bucket"])
        self.s3.put_object(**CODE, Body=code.getvalue())
        resources = {name: body for name, body in template["Resources"].items() if body["Type"] not in _UNSUPPORTED}
        # Not generated, so that sam-env-vars.json can state the names.
        resources["RunsTable"]["Properties"]["TableName"] = f"{self._name}-RunsTable"
        resources["UploadsQueue"]["Properties"]["QueueName"] = f"{self._name}-UploadsQueue"
        cloudformation = self._client("cloudformation")
        cloudformation.create_stack(
            StackName=self._name,
            TemplateBody=json.dumps({**template, "Resources": resources}),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        stack = cloudformation.describe_stacks(StackName=self._name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _configure_notifications(self, configurations: list[dict[str, Any]]) -> None:
        self.s3.put_bucket_notification_configuration(
            Bucket=self.outputs["RunsBucket"],
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": self.event_source.queue_arn,
                        "Events": [configuration["Event"]],
                        "Filter": {"Key": {"FilterRules": configuration["Filter"]["S3Key"]["Rules"]}},
                    }
                    for configuration in configurations
                ]
            },
        )

    def _take_event_source(self) -> EventSource:
        """Disable the event source mapping, which moto would serve with Docker, and return its properties."""
        url = self.outputs["UploadsQueue"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        functions = self._client("lambda")
        (mapping,) = functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        return EventSource(url, arn, REGION, mapping["BatchSize"])

    def _function_environment(self) -> dict[str, str]:
        function = self._client("lambda").get_function_configuration(FunctionName=self.outputs["RecorderFunction"])
        variables: dict[str, str] = function["Environment"]["Variables"]
        return variables
