"""The options that name a stack, its resources and how to reach AWS."""

import click

STACK_OPTIONS = [
    click.option(
        "--stack",
        "stack_name",
        default="run-recorder",
        envvar="RUN_RECORDER_STACK",
        show_default=True,
        show_envvar=True,
        help="Name of the CloudFormation stack.",
    ),
    click.option(
        "--bucket",
        envvar="RUN_RECORDER_BUCKET",
        show_envvar=True,
        help="Bucket of runs; by default the stack's.",
    ),
    click.option(
        "--table",
        envvar="RUN_RECORDER_TABLE",
        show_envvar=True,
        help="Table of records; by default the stack's.",
    ),
    click.option("--profile", help="AWS profile; by default AWS_PROFILE."),
    # The AWS CLI reads both variables, boto3 only the second.
    click.option(
        "--region",
        envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
        help="AWS region; by default AWS_REGION, or the profile's.",
    ),
    click.option("--endpoint-url", help="AWS endpoint, for a local stack; by default AWS_ENDPOINT_URL."),
]
