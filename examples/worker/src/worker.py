"""A worker: for each recorded run, it writes a result below the output of the run's config."""

from __future__ import annotations

import functools
import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from run_recorder import ModelConfig, RunEvent, RunReader

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)


def run_model(config: ModelConfig) -> dict[str, Any]:
    """Return the result of a run. Replace this function by your model; the result must be JSON."""
    return {"model": config["model"], "input": config["input"], "parameters": sorted(config["parameters"])}


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Handle a batch of SQS messages; report the failed ones, so that SQS redelivers these alone."""
    worker = connect()
    failures = []
    for message in event["Records"]:
        fields = {"message_id": message["messageId"]}
        try:
            outcome = worker.handle(RunEvent.parse(message))
            logger.info("Message handled", extra=fields | outcome)
        except Exception:  # whatever is wrong with a message, the others of its batch are handled
            logger.exception("Message failed", extra=fields)
            failures.append({"itemIdentifier": message["messageId"]})
    return {"batchItemFailures": failures}


@functools.cache
def connect() -> Worker:
    """Create the worker once for each execution environment of Lambda."""
    table = os.environ["RUNS_TABLE"]
    return Worker(table, RunReader(table), boto3.client("s3"))


@dataclass(frozen=True, slots=True)
class Worker:
    """Turns events of runs into results."""

    table: str
    reader: RunReader
    s3: S3Client

    # An event can be handled again, concurrently, in any order and after a crash, because
    # - the result and the number of its event are one object, which a crash cannot separate;
    # - S3 replaces this object only if it is still the one that was read, so that its number only increases. The number
    #   is in the body, so that the entity tags of two results differ. If S3 refuses, SQS redelivers the message;
    # - the record is read after its event, so that a result is never older than its number.
    # Thus the result of the event with the largest number remains.
    def handle(self, event: RunEvent) -> dict[str, str]:
        """Write the result of the run, unless there is one of this event or a newer one; return fields for the log."""
        run, number = event.run, event.sequence_number
        fields = {"organisation_id": run.organisation_id, "run_id": run.run_id, "sequence_number": str(number)}
        record = self.reader.read(run.organisation_id, run.run_id)
        if record is None or record.config is None:
            return {**fields, "outcome": "skipped: the record was deleted"}
        bucket, _, prefix = record.config["output"].removeprefix("s3://").partition("/")
        key = f"{prefix}result.json"
        condition: dict[str, Any] = {"IfNoneMatch": "*"}
        try:
            present = self.s3.get_object(Bucket=bucket, Key=key)
        except self.s3.exceptions.NoSuchKey:
            pass
        else:
            handled = json.load(present["Body"])
            # The numbers of another table, for example of a restored one, cannot be compared.
            if handled["table"] == self.table and int(handled["sequence_number"]) >= number:
                return {**fields, "outcome": "skipped: this event or a newer one is handled"}
            condition = {"IfMatch": present["ETag"]}
        # The number is a text, because it is too large for the numbers of many JSON parsers.
        body = json.dumps({"table": self.table, "sequence_number": str(number), "result": run_model(record.config)})
        self.s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)
        return {**fields, "outcome": "done"}
