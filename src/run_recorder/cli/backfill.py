"""`backfill`: a job of S3 Batch Operations over the runs that a bucket already holds.

S3 lists the objects by prefix and suffix, invokes the back-fill function for each object, and writes a
completion report. Nothing runs on the operator's machine.
"""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from run_recorder.cli.command import (
    Command,
    confirm,
    json_option,
    optional_organisation_argument,
    parse_time,
    stack_options,
    yes_option,
)
from run_recorder.cli.output import echo_json
from run_recorder.cli.stack import Stack

REPORT_PREFIX = "backfill"
_OUTPUTS = ("RunsBucket", "BackfillFunction", "BatchOperationsRole")


@click.command(cls=Command, short_help="Record the runs that the bucket already holds.")
@optional_organisation_argument
@click.option(
    "--since",
    metavar="TIME",
    callback=parse_time,
    help="Only objects created after this time: ISO 8601, or an age such as 36h. The report has failed tasks only.",
)
@yes_option
@stack_options
@json_option
def backfill(stack: Stack, *, organisation: str | None, since: datetime | None, yes: bool, as_json: bool) -> None:
    """Record the runs that the bucket already holds, with a job of S3 Batch Operations.

    Prints the request of the job, and creates the job after a confirmation. ORG limits the job to one
    organisation, --since to the uploads of the time after it. A back-fill is safe at any time: beside
    live events, and more than once.
    """
    stack.require_own_resources()
    job = build_job({name: stack.output(name) for name in _OUTPUTS}, organisation, since)
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


def build_job(
    outputs: Mapping[str, str], organisation_id: str | None = None, since: datetime | None = None
) -> dict[str, Any]:
    """Return the request of ``s3control.create_job``.

    Args:
        outputs: the outputs `RunsBucket`, `BackfillFunction` and `BatchOperationsRole` of the stack.
        organisation_id: organisation whose runs the job records; None for all organisations.
        since: the job records the objects that were created after this time, and its report has failed tasks only;
            None for all objects, and all tasks.
    """
    _, partition, _, _, account_id, _ = outputs["BackfillFunction"].split(":", 5)
    bucket_arn = f"arn:{partition}:s3:::{outputs['RunsBucket']}"
    prefix = f"runs/{organisation_id}/" if organisation_id else "runs/"
    return {
        "AccountId": account_id,
        "ClientRequestToken": str(uuid.uuid4()),
        "ConfirmationRequired": False,
        "Description": f"Run Recorder: back-fill of {prefix}",
        "ManifestGenerator": {
            "S3JobManifestGenerator": _build_manifest_generator(bucket_arn, account_id, prefix, since)
        },
        "Operation": {"LambdaInvoke": {"FunctionArn": outputs["BackfillFunction"]}},
        "Priority": 10,
        "Report": {
            "Enabled": True,
            "Bucket": bucket_arn,
            "ExpectedBucketOwner": account_id,
            "Prefix": REPORT_PREFIX,
            "Format": "Report_CSV_20180820",
            "ReportScope": "FailedTasksOnly" if since else "AllTasks",
        },
        "RoleArn": outputs["BatchOperationsRole"],
    }


def _build_manifest_generator(bucket_arn: str, account_id: str, prefix: str, since: datetime | None) -> dict[str, Any]:
    """Return the generator of a list of all objects with this prefix that are named metadata.json."""
    created = {"CreatedAfter": since.strftime("%Y-%m-%dT%H:%M:%SZ")} if since else {}
    return {
        "SourceBucket": bucket_arn,
        "ExpectedBucketOwner": account_id,
        "EnableManifestOutput": False,
        "Filter": {
            "KeyNameConstraint": {"MatchAnyPrefix": [prefix], "MatchAnySuffix": ["/metadata.json"]},
            **created,
        },
    }
