"""`validate`: the check before an upload."""

import click

from run_recorder.cli.command import FOUND, Command, json_option
from run_recorder.cli.output import echo_json, printable
from run_recorder.config import build_model_config
from run_recorder.domain import JSON, Metadata, Run
from run_recorder.dynamodb_value import check_size
from run_recorder.errors import FieldError, InvalidMetadataError
from run_recorder.json_document import MAX_ERRORS
from run_recorder.keys import parse_key
from run_recorder.metadata import MAX_BYTES, parse_metadata

# A production deployment that names a model for runs that name none.
_PRODUCTION = dict.fromkeys(("RUNS_BUCKET", "RUNS_TABLE", "OUTPUT_BUCKET", "MODEL_NAME", "MODEL_VERSION"), "any")


@click.command(cls=Command, short_help="Check documents before an upload.", found="a document is invalid")
@click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@click.option("--organisation", metavar="ID", help="The organisation id of the key to upload to; needs --run.")
@click.option("--run", "run_id", metavar="ID", help="The run id of the key to upload to; needs --organisation.")
@click.option("--production", is_flag=True, help="A model that is named must be pinned, as in production.")
@json_option
@click.pass_context
def validate(
    context: click.Context,
    files: tuple[str, ...],
    organisation: str | None,
    run_id: str | None,
    *,
    production: bool,
    as_json: bool,
) -> None:
    """Check metadata.json documents before they are uploaded; - is standard input.

    Works offline, by the code that will judge the upload, and reports all errors (the first
    20, and whether there are more). With both ids, the document must agree with them.

    What only the deployment can tell is left to it: whether a model must be named, and whether
    the listed files are there.
    """
    run = _parse_ids(organisation, run_id)
    reports = []
    for file in files:
        with click.open_file(file, "rb") as stream:
            # One byte more tells that it is too large, whatever its size.
            errors = check(stream.read(MAX_BYTES + 1), run, production=production)
        is_truncated = len(errors) > MAX_ERRORS
        errors = errors[:MAX_ERRORS]
        more = {"errors_truncated": True} if is_truncated else {}
        reports.append({"file": file, "valid": not errors, "errors": _as_json(errors), **more})
        if not as_json:
            _print(printable(file), errors, is_truncated=is_truncated)
    if as_json:
        echo_json(reports)
    if not all(report["valid"] for report in reports):
        context.exit(FOUND)


def check(body: bytes, run: Run | None, *, production: bool) -> list[FieldError]:
    """Find the errors of a document that show without the deployment; more than `MAX_ERRORS` if there are more."""
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
    """What the record will hold of the document at least."""
    names = ("name", "created_at", "created_by", "tags", "parameters")
    return {name: getattr(metadata, name) for name in names}


def _parse_ids(organisation: str | None, run_id: str | None) -> Run | None:
    if organisation is None and run_id is None:
        return None
    if organisation is None or run_id is None:
        raise click.UsageError("--organisation and --run go together")
    run = parse_key(f"runs/{organisation}/{run_id}/metadata.json")
    if run is None:
        raise click.UsageError(
            "an id has 1 to 128 characters A-Z a-z 0-9 . _ : = @ + ~ - and begins with one of A-Z a-z 0-9"
        )
    return run


def _as_json(errors: list[FieldError]) -> list[JSON]:
    return [{"path": error.path, "message": error.message} for error in errors]


def _print(name: str, errors: list[FieldError], *, is_truncated: bool) -> None:
    if not errors:
        click.echo(f"{name}: valid")
    for error in errors:
        click.echo(f"{name}: {printable(error.path) or 'document'}: {printable(error.message)}")
    if is_truncated:
        click.echo(f"{name}: more errors may follow")
