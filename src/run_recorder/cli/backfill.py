"""`backfill`: a job of S3 Batch Operations over the runs that a bucket already holds.

S3 lists the objects itself, by prefix and suffix, invokes the back-fill function for each
and writes a completion report; nothing runs on the operator's machine.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import click

from run_recorder.cli.command import Command, json_option, of_stack
from run_recorder.cli.output import echo_json
from run_recorder.cli.stack import Stack

REPORT_PREFIX = "backfill"


@click.command(cls=Command, short_help="Record the runs that are there already.")
@click.option("--organisation", metavar="ID", help="Only the runs of this organisation id.")
@click.option("--dry-run", is_flag=True, help="Print the request instead of sending it.")
@of_stack
@json_option
def backfill(stack: Stack, *, organisation: str | None, dry_run: bool, as_json: bool) -> None:
    """Record the runs that are in the bucket already, by a job of S3 Batch Operations.

    Safe at any time, beside live events, and twice.
    """
    for name in ("RunsBucket", "BackfillFunction", "BatchOperationsRole"):
        stack.output(name)
    job = build_job(stack.outputs, organisation)
    if dry_run:
        echo_json(job) if as_json else click.echo(json.dumps(job, indent=2))
        return
    job_id = stack.client("s3control").create_job(**job)["JobId"]
    report = f"s3://{stack.bucket}/{job['Report']['Prefix']}/job-{job_id}/"
    if as_json:
        echo_json({"job_id": job_id, "report": report})
    else:
        click.echo(f"job {job_id} created; its report will be at {report}")


def build_job(outputs: Mapping[str, str], organisation_id: str | None = None) -> dict[str, Any]:
    """The request of ``s3control.create_job``.

    Args:
        outputs: of the stack, by name.
        organisation_id: whose runs to record; None for those of all.
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
            "S3JobManifestGenerator": {
                "SourceBucket": bucket_arn,
                "ExpectedBucketOwner": account_id,
                "EnableManifestOutput": False,
                "Filter": {
                    "KeyNameConstraint": {"MatchAnyPrefix": [prefix], "MatchAnySuffix": ["/metadata.json"]},
                },
            }
        },
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
