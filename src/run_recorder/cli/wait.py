"""`wait`: the wait for the verdict on an upload."""

import click

from run_recorder.cli.command import Command, ExitCode, json_option, run_argument, stack_options, timeout_option
from run_recorder.cli.output import echo_json, name_of
from run_recorder.cli.stack import Stack
from run_recorder.cli.verdicts import echo_verdict, exit_code_of, verdict_as_json
from run_recorder.domain import Run
from run_recorder.errors import RunNotFoundError
from run_recorder.producer.upload import wait_for_verdict


@click.command(
    cls=Command,
    short_help="Wait for the verdict on an upload.",
    attention="the run was rejected, is not in the bucket, or was uploaded again meanwhile",
)
@run_argument
@timeout_option
@stack_options
@json_option
@click.pass_context
def wait(context: click.Context, stack: Stack, *, run: Run, timeout: float, as_json: bool) -> None:
    """Wait until the record shows the verdict on the current upload of the run ORG/RUN.

    Without the permission to read metadata.json, the current upload is not known: the command then waits until there
    is a record that is not pending, and prints its verdict.
    """
    name = name_of(run)
    try:
        verdict = wait_for_verdict(
            run.organisation_id,
            run.run_id,
            bucket=stack.bucket,
            table=stack.table.name,
            s3_client=stack.s3.client,
            dynamodb_client=stack.table.client,
            timeout=timeout,
        )
    except RunNotFoundError as error:
        if as_json:
            echo_json({"run": name, "status": "absent"})
        else:
            click.echo(f"{name}: {error}: upload the run, or correct its name")
        context.exit(ExitCode.ATTENTION)
    if as_json:
        echo_json({"run": name, **verdict_as_json(verdict), "of": "current" if verdict.is_of_current else "record"})
    else:
        if not verdict.is_of_current:
            click.echo("no permission to read metadata.json: this is the verdict that the record shows", err=True)
        echo_verdict(run, verdict)
    context.exit(exit_code_of(verdict))
