"""`python -m ops`: what operators do with a deployed stack."""

import json

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from ops.backfill import build_job


@click.group(help=__doc__)
def main() -> None:
    """The commands."""


@main.command()
@click.option("--stack", default="run-recorder", show_default=True, help="Name of the CloudFormation stack.")
@click.option("--organisation", help="Only the runs of this organisation id.")
@click.option("--dry-run", is_flag=True, help="Print the request instead of sending it.")
@click.option("--profile", help="AWS profile.")
@click.option("--region", help="AWS region.")
@click.option("--endpoint-url", help="AWS endpoint, for a local stack.")
def backfill(
    stack: str,
    organisation: str | None,
    dry_run: bool,
    profile: str | None,
    region: str | None,
    endpoint_url: str | None,
) -> None:
    """Record the runs that are in the bucket already, by a job of S3 Batch Operations.

    Safe at any time, beside live events, and twice.
    """
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        stacks = session.client("cloudformation", endpoint_url=endpoint_url).describe_stacks(StackName=stack)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}
        job = build_job(outputs, organisation)
        if dry_run:
            click.echo(json.dumps(job, indent=2))
            return
        created = session.client("s3control", endpoint_url=endpoint_url).create_job(**job)
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from error
    report = f"s3://{outputs['RunsBucket']}/{job['Report']['Prefix']}/job-{created['JobId']}/"
    click.echo(f"job {created['JobId']} created; its report will be at {report}")


if __name__ == "__main__":
    main()
