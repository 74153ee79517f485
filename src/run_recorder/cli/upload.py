"""`upload`: a folder, uploaded as a run."""

from collections.abc import Mapping
from pathlib import Path

import click
from rich.filesize import decimal

from run_recorder.cli.command import Command, ExitCode, json_option, run_argument, stack_options, timeout_option
from run_recorder.cli.field_values import parse_model, parse_pairs, parse_parameters
from run_recorder.cli.output import count, echo_errors, echo_json, echo_warning, name_of, to_json
from run_recorder.cli.progress_screen import ProgressScreen
from run_recorder.cli.stack import Stack
from run_recorder.cli.verdicts import echo_verdict, exit_code_of, verdict_as_json
from run_recorder.domain import JSON, Run
from run_recorder.errors import FieldError, FileChangedError, RunExistsError, UploadRefusedError
from run_recorder.producer.options import Amount, UploadResult
from run_recorder.producer.rules import DeploymentRules
from run_recorder.producer.upload import upload_run

_REFUSALS = {
    "refused": "not uploaded",
    "exists": "not uploaded; --replace uploads it in place of the other one",
    "changed": "metadata.json was not uploaded; when no program writes to the folder, run the same command again",
}


@click.command(
    cls=Command,
    short_help="Upload a folder as a run.",
    attention="the run was rejected or not uploaded: each error is listed",
)
@click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@run_argument
@click.option(
    "--metadata",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The document; by default the metadata.json of the folder, if there is one.",
)
@click.option("--name", help="Set the name of the run.")
@click.option("--tag", "tags", metavar="NAME=TEXT", multiple=True, callback=parse_pairs, help="Set a tag.")
@click.option("--model", metavar="NAME@VERSION", callback=parse_model, help="Set the model.")
@click.option(
    "--parameter",
    "parameters",
    metavar="NAME=JSON",
    multiple=True,
    callback=parse_parameters,
    help="Set a parameter of the model.",
)
@click.option("--hidden", is_flag=True, help="Include files and folders whose names begin with a dot.")
@click.option("--development", is_flag=True, help="Check the document as in development.")
@click.option("--replace", is_flag=True, help="Replace another upload of the run.")
@click.option("--dry-run", is_flag=True, help="Do all but the upload.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the verdict.")
@timeout_option
@stack_options
@json_option
@click.pass_context
def upload(
    context: click.Context,
    stack: Stack,
    *,
    folder: Path,
    run: Run,
    metadata: Path | None,
    name: str | None,
    tags: dict[str, str],
    model: dict[str, str] | None,
    parameters: dict[str, JSON],
    hidden: bool,
    development: bool,
    replace: bool,
    dry_run: bool,
    no_wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Upload the files of FOLDER as the run ORG/RUN, metadata.json last, and wait for the verdict.

    The document is completed by the files of the folder with their sizes and SHA-256, and checked as the function
    checks it, before the first byte is uploaded. Files that are in the bucket already are skipped: after an
    interruption, the same command continues.
    """
    warnings: list[FieldError] = []

    def warn(warning: FieldError) -> None:
        warnings.append(warning)
        if not as_json:
            echo_warning(name_of(run), warning)

    rules = DeploymentRules.of_stage(development=True) if development else stack.rules()
    fields = {"name": name, "tags": tags, "model": model, "parameters": parameters}
    try:
        with ProgressScreen() as screen:
            result = upload_run(
                folder,
                run.organisation_id,
                run.run_id,
                bucket=stack.bucket,
                table=stack.table.name,
                s3_client=stack.s3.client,
                dynamodb_client=stack.table.client,
                metadata=metadata,
                fields={key: value for key, value in fields.items() if value},
                hidden=hidden,
                rules=rules,
                replace=replace,
                wait=not no_wait,
                timeout=timeout,
                dry_run=dry_run,
                report=screen.show,
                warn=warn,
            )
    except (UploadRefusedError, FileChangedError) as error:
        _print_refusal(run, error, warnings, as_json=as_json)
        context.exit(ExitCode.ATTENTION)
    except KeyboardInterrupt:
        click.echo("the same command continues the upload", err=True)
        raise
    if as_json:
        echo_json(_result_as_json(result, warnings, is_dry_run=dry_run))
    else:
        _print_result(result, is_dry_run=dry_run)
    if result.verdict:
        context.exit(exit_code_of(result.verdict))


def _print_refusal(
    run: Run, error: UploadRefusedError | FileChangedError, warnings: list[FieldError], *, as_json: bool
) -> None:
    if isinstance(error, FileChangedError):
        status, is_truncated = "changed", False
        errors: tuple[FieldError, ...] = (FieldError(error.path, "changed while it was uploaded"),)
    else:
        status = "exists" if isinstance(error, RunExistsError) else "refused"
        errors, is_truncated = error.errors, error.errors_truncated
    if as_json:
        more = {"errors_truncated": True} if is_truncated else {}
        found = {"errors": to_json(errors), "warnings": to_json(warnings)}
        echo_json({"run": name_of(run), "status": status, **found, **more})
        return
    echo_errors(name_of(run), errors, is_truncated=is_truncated)
    click.echo(f"{name_of(run)}: {_REFUSALS[status]}")


def _result_as_json(result: UploadResult, warnings: list[FieldError], *, is_dry_run: bool) -> Mapping[str, JSON]:
    without_verdict = {"status": "dry-run" if is_dry_run else "uploaded"}
    status = verdict_as_json(result.verdict) if result.verdict else without_verdict
    return {
        "run": name_of(result.run),
        **status,
        "uploaded": {"files": result.uploaded.files, "bytes": result.uploaded.bytes},
        "skipped": {"files": result.skipped.files, "bytes": result.skipped.bytes},
        "document_uploaded": result.is_document_uploaded,
        "version_id": result.version_id,
        "etag": result.etag,
        "warnings": to_json(warnings),
    }


def _print_result(result: UploadResult, *, is_dry_run: bool) -> None:
    name = name_of(result.run)
    done = "would upload" if is_dry_run else "uploaded"
    document = " and metadata.json" if result.is_document_uploaded else ""
    skipped = f"; {_amount(result.skipped)} there already" if result.skipped.files else ""
    if result.uploaded.files or result.is_document_uploaded:
        click.echo(f"{name}: {done} {_amount(result.uploaded)}{document}{skipped}")
    else:
        click.echo(f"{name}: nothing to upload: this run is there already")
    if result.verdict:
        echo_verdict(result.run, result.verdict)


def _amount(amount: Amount) -> str:
    return f"{count(amount.files, 'file', 'files')} ({decimal(amount.bytes)})"
