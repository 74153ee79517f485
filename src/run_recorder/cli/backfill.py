"""`backfill`: a job of S3 Batch Operations over the runs that a bucket already holds.

S3 lists the objects by prefix and suffix, invokes the back-fill function for each object, and writes a
completion report. Nothing runs on the operator's machine.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import click

from run_recorder.cli.command import (
    Command,
    confirm,
    json_option,
    optional_organisation_argument,
    stack_options,
    yes_option,
)
from run_recorder.cli.output import echo_json
from run_recorder.cli.stack import Stack

REPORT_PREFIX = "backfill"
_OUTPUTS = ("RunsBucket", "BackfillFunction", "BatchOperationsRole")


@click.command(cls=Command, short_help="Record the runs that the bucket already holds.")
@optional_organisation_argument
@yes_option
@stack_options
@json_option
def backfill(stack: Stack, *, organisation: str | None, yes: bool, as_json: bool) -> None:
    """Record the runs that the bucket already holds, with a job of S3 Batch Operations.

    Prints the request of the job, and creates the job after a confirmation. ORG limits the job to one
    organisation. A back-fill is safe at any time: beside live events, and more than once.
    """
    stack.require_own_resources()
    job = build_job({name: stack.output(name) for name in _OUTPUTS}, organisation)
    if not as_json:
        click.echo(json.dumps(job, indent=2))
    if not confirm("Create this job?", yes=yes):
        if as_json:
            echo_json({"request": job, "job_id": None, "report": None})
        return
    job_id = stack.client("s3control").create_job(**job)["JobId"]
    report = f"s3://{stack.bucket}/{job['Report']['Prefix']}/job-{job_id}/"
    if as_json:
        echo_json({"request": job, "job_id": job_id, "report": report})
    else:
        click.echo(f"job {job_id} created; its report will be at {report}")


def build_job(outputs: Mapping[str, str], organisation_id: str | None = None) -> dict[str, Any]:
    """Return the request of ``s3control.create_job``.

    Args:
        outputs: the outputs `RunsBucket`, `BackfillFunction` and `BatchOperationsRole` of the stack.
        organisation_id: organisation whose runs the job records; None for all organisations.
    """
    _, partition, _, _, account_id, _ = outputs["BackfillFunction"].split(":", 5)
    bucket_arn = f"arn:{partition}:s3:::{outputs['RunsBucket']}"
    prefix = f"runs/{organisation_id}/" if organisation_id else "runs/"
    return {
        "AccountId": account_id,
        "ClientRequestToken": str(uuid.uuid4()),
        "ConfirmationRequired": False,
        "Description": f"Run Recorder: back-fill of {prefix}",
        "ManifestGenerator": {"S3JobManifestGenerator": _build_manifest_generator(bucket_arn, account_id, prefix)},
        "Operation": {"LambdaInvoke": {"FunctionArn": outputs["BackfillFunction"]}},
        "Priority": 10,
        "Report": {
            "Enabled": True,
            "Bucket": bucket_arn,
            "ExpectedBucketOwner": account_id,
            "Prefix": REPORT_PREFIX,
            "Format": "Report_CSV_20180820",
            "ReportScope": "AllTasks",
        },
        "RoleArn": outputs["BatchOperationsRole"],
    }


def _build_manifest_generator(bucket_arn: str, account_id: str, prefix: str) -> dict[str, Any]:
    """Return the generator of a list of all objects with this prefix that are named metadata.json."""
    return {
        "SourceBucket": bucket_arn,
        "ExpectedBucketOwner": account_id,
        "EnableManifestOutput": False,
        "Filter": {"KeyNameConstraint": {"MatchAnyPrefix": [prefix], "MatchAnySuffix": ["/metadata.json"]}},
    }
