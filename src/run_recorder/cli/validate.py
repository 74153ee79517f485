"""`validate`: the check of documents before an upload."""

import click

from run_recorder.cli.command import Command, ExitCode, json_lines_option, parse_run
from run_recorder.cli.output import echo_json, printable
from run_recorder.config import build_model_config
from run_recorder.domain import JSON, Metadata, Run
from run_recorder.dynamodb_value import check_size
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.json_document import MAX_ERRORS
from run_recorder.metadata import MAX_BYTES, parse_metadata

# A production deployment that names a model for runs that name none.
_PRODUCTION = dict.fromkeys(("RUNS_BUCKET", "RUNS_TABLE", "OUTPUT_BUCKET", "MODEL_NAME", "MODEL_VERSION"), "any")


@click.command(cls=Command, short_help="Check documents before an upload.", attention="a document is invalid")
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option(
    "--run",
    metavar="ORG/RUN",
    callback=parse_run,
    help="The run of the upload; ids in the document must equal its ids.",
)
@click.option("--production", is_flag=True, help="Require a pinned version of each named model, as in production.")
@json_lines_option
@click.pass_context
def validate(
    context: click.Context, files: tuple[str, ...], *, run: Run | None, production: bool, as_json: bool
) -> None:
    """Check metadata.json documents before they are uploaded; - is standard input.

    Works offline, with the same code that validates uploads. Reports the first 20 errors of a document,
    and whether there are more.

    Only the deployed function can check whether a document must name a model, and whether its files are
    in the bucket.
    """
    is_valid = True
    for file in files:
        with click.open_file(file, "rb") as stream:
            # The byte after the limit is enough to find that the document is too large.
            errors = check(stream.read(MAX_BYTES + 1), run, production=production)
        is_truncated = len(errors) > MAX_ERRORS
        errors = errors[:MAX_ERRORS]
        is_valid &= not errors
        if as_json:
            more = {"errors_truncated": True} if is_truncated else {}
            echo_json({"file": file, "valid": not errors, "errors": _as_json(errors), **more})
        else:
            _print(printable(file), errors, is_truncated=is_truncated)
    if not is_valid:
        context.exit(ExitCode.ATTENTION)


def check(body: bytes, run: Run | None, *, production: bool) -> list[FieldError]:
    """Return the errors of a document that need no deployment to be found; more than `MAX_ERRORS` if it has more."""
    if len(body) > MAX_BYTES:
        return [FieldError("", f"more than the {MAX_BYTES} bytes that are read")]
    try:
        metadata, errors = parse_metadata(body, run)
    except InvalidMetadataError as error:
        return list(error.errors)
    errors += check_size(_recorded_part(metadata))
    if production:
        errors += _check_model(metadata)
    return errors


def _check_model(metadata: Metadata) -> list[FieldError]:
    try:
        build_model_config(Run("any", "any"), metadata, _PRODUCTION)
    except InvalidMetadataError as error:
        return list(error.errors)
    return []


def _recorded_part(metadata: Metadata) -> dict[str, JSON]:
    """Return the part of a document that its record holds in any case."""
    return {**metadata.recorded, "parameters": metadata.parameters}


def _as_json(errors: list[FieldError]) -> list[JSON]:
    return [{"path": error.path, "message": error.message} for error in errors]


def _print(name: str, errors: list[FieldError], *, is_truncated: bool) -> None:
    if not errors:
        click.echo(f"{name}: valid")
    for error in errors:
        click.echo(f"{name}: {printable(error.path) or 'document'}: {printable(error.message)}")
    if is_truncated:
        click.echo(f"{name}: more errors may follow")
