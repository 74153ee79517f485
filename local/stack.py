"""The stack in moto, in this process or in a moto server."""

from pathlib import Path
from typing import Any

from local.cloudformation import connect, create_stack, read_environment, take_event_source
from local.poller import Handler, deliver
from local.template import translate

STACK_NAME = "run-recorder"
TABLE = f"{STACK_NAME}-RunsTable"


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
        self.s3 = connect("s3", endpoint_url)
        self.sqs = connect("sqs", endpoint_url)
        self.dynamodb = connect("dynamodb", endpoint_url)
        template = translate(parameters or {})
        # Not generated, so that sam-env-vars.json can state the names.
        template["Resources"]["RunsTable"]["Properties"]["TableName"] = f"{name}-RunsTable"
        template["Resources"]["UploadsQueue"]["Properties"]["QueueName"] = f"{name}-UploadsQueue"
        self.outputs = create_stack(name, template, parameters or {}, endpoint_url)
        self.event_source = take_event_source(self.outputs["UploadsQueue"], endpoint_url)
        # moto's CloudFormation leaves out the bucket's versioning and notifications.
        bucket = template["Resources"]["RunsBucket"]["Properties"]
        self.s3.put_bucket_versioning(
            Bucket=self.outputs["RunsBucket"], VersioningConfiguration=bucket["VersioningConfiguration"]
        )
        if objects:
            self.upload_tree(objects)
        self._configure_notifications(bucket["NotificationConfiguration"]["QueueConfigurations"])
        self.environment = read_environment(self.outputs["RecorderFunction"], endpoint_url)
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
