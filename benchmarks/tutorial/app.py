"""Record runs as the tutorials of AWS and of Powertools do: Batch and Idempotency utilities, a
pydantic model, ``boto3.resource``, one message after the other.
"""

import json
import os
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Field

logger = Logger()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS)
idempotency = IdempotencyConfig(event_key_jmespath="messageId")
s3 = boto3.resource("s3")
table = boto3.resource("dynamodb").Table(os.environ["RUNS_TABLE"])


class Model(BaseModel):
    """The model that is to run."""

    name: str
    version: str | None = None


class Metadata(BaseModel):
    """The document that a producer uploads."""

    name: str | None = Field(default=None, max_length=256)
    created_by: str | None = Field(default=None, max_length=256)
    created_at: str | None = None
    model: Model
    parameters: dict[str, Any] = {}
    tags: dict[str, str] = Field(default={}, max_length=50)


@idempotent_function(  # type: ignore[untyped-decorator]
    data_keyword_argument="record",
    config=idempotency,
    persistence_store=DynamoDBPersistenceLayer(table_name="idempotency"),
)
def record_handler(record: SQSRecord) -> dict[str, Any]:
    """Record the run that a message names."""
    message = json.loads(record.body)["Records"][0]["s3"]
    bucket, key = message["bucket"]["name"], unquote_plus(message["object"]["key"])
    _, organisation_id, run_id, _ = key.split("/")
    body = s3.Object(bucket, key).get()["Body"].read()
    metadata = Metadata.model_validate(json.loads(body, parse_float=Decimal))
    table.put_item(
        Item={
            "organisation_id": organisation_id,
            "run_id": run_id,
            "status": "recorded",
            "config": {
                "model": metadata.model.model_dump(),
                "input": f"s3://{bucket}/runs/{organisation_id}/{run_id}/",
                "output": f"s3://{os.environ['OUTPUT_BUCKET']}/results/{organisation_id}/{run_id}/",
                "parameters": metadata.parameters,
            },
            **metadata.model_dump(include={"name", "created_by", "created_at", "tags"}),
        }
    )
    logger.info("Run recorded", extra={"organisation_id": organisation_id, "run_id": run_id})
    metrics.add_metric(name="RunsRecorded", unit=MetricUnit.Count, value=1)
    return {"organisation_id": organisation_id, "run_id": run_id}


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:  # noqa: ANN401 - as Powertools has it
    """Take a batch of SQS messages, each an S3 notification."""
    idempotency.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
