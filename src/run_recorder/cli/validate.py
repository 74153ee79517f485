"""`validate`: the check of documents before an upload."""

from itertools import islice
from pathlib import Path

import click

from run_recorder.cli.command import Command, ExitCode, json_lines_option, parse_run
from run_recorder.cli.output import echo_errors, echo_json, echo_warning, printable, to_json
from run_recorder.domain import DOCUMENT, JSON, Run
from run_recorder.errors import FieldError
from run_recorder.json_document import MAX_ERRORS
from run_recorder.metadata import MAX_BYTES
from run_recorder.producer.check import Findings, check, decode_object
from run_recorder.producer.digests import compute_digests
from run_recorder.producer.document import find_unlisted, list_files
from run_recorder.producer.folder import read_folder
from run_recorder.producer.rules import DeploymentRules


@click.command(cls=Command, short_help="Check documents before an upload.", attention="a document is invalid")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(exists=True, allow_dash=True))
@click.option(
    "--run",
    metavar="ORG/RUN",
    callback=parse_run,
    help="The run of the upload; ids in the document must equal its ids.",
)
@click.option("--production", is_flag=True, help="Require a pinned version of each named model, as in production.")
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@json_lines_option
@click.pass_context
def validate(
    context: click.Context, paths: tuple[str, ...], *, run: Run | None, production: bool, strict: bool, as_json: bool
) -> None:
    """Check metadata.json documents before they are uploaded. Each PATH is a document, - for standard input, or the
    folder of a run, whose metadata.json is compared with its files.

    Works offline, with the same code that validates uploads. Reports the first 20 errors of a document,
    and whether there are more. Warns of what is allowed, but may be a mistake.

    Only the deployed function can check whether a document must name a model, and whether its files are
    in the bucket.
    """
    rules = DeploymentRules.of_stage(development=False) if production else DeploymentRules.of_any_stage()
    is_valid = True
    for path in paths:
        folder = Path(path)
        findings = _check_folder(folder, run, rules) if folder.is_dir() else _check_file(path, run, rules)
        if strict:
            findings = _with_warnings_as_errors(findings)
        is_valid &= not findings.errors
        _print(path, findings, as_json=as_json)
    if not is_valid:
        context.exit(ExitCode.ATTENTION)


def _check_file(path: str, run: Run | None, rules: DeploymentRules) -> Findings:
    with click.open_file(path, "rb") as stream:
        # The byte after the limit is enough to find that the document is too large.
        return check(stream.read(MAX_BYTES + 1), run, rules)


def _check_folder(top: Path, run: Run | None, rules: DeploymentRules) -> Findings:
    if not (top / DOCUMENT).is_file():
        return Findings((FieldError(DOCUMENT, "the folder has no such file"),))
    with (top / DOCUMENT).open("rb") as stream:
        body = stream.read(MAX_BYTES + 1)
    document = decode_object(body)
    entries = list_files(document)
    folder = read_folder(top, {entry["path"] for entry in entries})
    hashed = {entry["path"] for entry in entries if "sha256" in entry}
    sha256 = {
        file.path: compute_digests(file, sha256=True, etag=False).sha256 or ""
        for file in folder.files
        if file.path in hashed
    }
    findings = check(body, run, rules, folder.files, sha256)
    errors = [*folder.errors, *findings.errors]
    unlisted = islice(find_unlisted(document, folder.files), MAX_ERRORS)
    return Findings(
        tuple(errors[:MAX_ERRORS]),
        findings.errors_truncated or len(errors) > MAX_ERRORS,
        (*folder.warnings, *findings.warnings, *unlisted),
    )


def _with_warnings_as_errors(findings: Findings) -> Findings:
    errors = (*findings.errors, *findings.warnings)
    return Findings(errors[:MAX_ERRORS], findings.errors_truncated or len(errors) > MAX_ERRORS)


def _print(path: str, findings: Findings, *, as_json: bool) -> None:
    if as_json:
        more: dict[str, JSON] = {"errors_truncated": True} if findings.errors_truncated else {}
        if findings.warnings:
            more["warnings"] = to_json(findings.warnings)
        echo_json({"file": path, "valid": not findings.errors, "errors": to_json(findings.errors), **more})
        return
    if not findings.errors:
        click.echo(f"{printable(path)}: valid")
    echo_errors(path, findings.errors, is_truncated=findings.errors_truncated)
    for warning in findings.warnings:
        echo_warning(path, warning)
