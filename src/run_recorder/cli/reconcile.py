"""`reconcile`: compare the bucket with the table, and repair."""

import contextlib

import click

from run_recorder.cli.command import Command, ExitCode, json_lines_option, organisations_argument, stack_options
from run_recorder.cli.comparison import Finding
from run_recorder.cli.inspection import Inspection
from run_recorder.cli.reconcile_report import Report
from run_recorder.cli.records import Records
from run_recorder.cli.run_locations import RunLocation, find_run_locations
from run_recorder.cli.stack import Stack
from run_recorder.concurrency import map_in_order
from run_recorder.domain import Run

_NO_CONFIGS = (
    "configs of runs that are not accepted are not compared: leave out --bucket and --table, so that the settings of "
    "the function can be read"
)


def _parse_start(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Run | None:
    """Return the ids, valid or not: a comparison may also stop at a document that no run can have."""
    if value is None:
        return None
    organisation_id, slash, run_id = value.partition("/")
    if not slash:
        raise click.BadParameter("expected ORG/RUN, as printed when the comparison stopped")
    return Run(organisation_id, run_id)


@click.command(
    cls=Command,
    short_help="Compare the bucket with the table, and repair.",
    attention="a difference was found and not repaired",
)
@organisations_argument
@click.option(
    "--repair",
    is_flag=True,
    help="Record what is missing or outdated, evaluate runs again that lacked files.",
)
@click.option(
    "--quick", is_flag=True, help="Count a run with a record and a metadata.json as current, without a HEAD request."
)
@click.option(
    "--start-after", metavar="ORG/RUN", callback=_parse_start, help="Continue an interrupted comparison after this run."
)
@stack_options
@json_lines_option
@click.pass_context
def reconcile(
    context: click.Context,
    stack: Stack,
    *,
    organisations: tuple[str, ...],
    repair: bool,
    quick: bool,
    start_after: Run | None,
    as_json: bool,
) -> None:
    """Compare the bucket of runs with the table of records, and print the differences.

    \b
    missing       metadata.json is there, the record is not
    outdated      the record shows another version than the current one
    unsettled     pending or rejected for missing files alone, and they are there now
    lacks-files   pending or rejected for missing files alone; this is no error
    lacks-config  not accepted, and the config is not that of the last accepted version
    orphaned      the record is there, metadata.json is not
    unreadable    S3 refuses to return the object, for the reason that is printed
    unrecordable  a metadata.json whose key is not the key of a run
    incomplete    files without metadata.json; this is no error

    Each ORG names an organisation; without one, all are compared. --repair records missing and outdated runs as the
    function does, with its settings, and evaluates those again that lacked files. It is safe beside live
    events: a run that an event recorded first is a duplicate. A run that was uploaded in the last
    minutes may be reported because its event is still on its way. Orphaned and unrecordable runs
    need a decision: upload metadata.json again, or move it to the right key.

    Takes a LIST request for each thousand runs, a Query request for each megabyte of records, and a
    HEAD request for each run, which --quick saves. The versions of metadata.json are listed only of
    runs that are not accepted, and data files only of runs that lacked some. The last line of the output
    counts the calls that were made.
    """
    if repair:
        stack.recorder()  # before anything is compared: its settings may be wrong
    find_recorder = stack.recorder if repair or stack.has_own_resources else None
    if find_recorder is None and not quick:
        click.echo(_NO_CONFIGS, err=True)
    inspection = Inspection(stack.bucket, stack.s3, stack.table, find_recorder, repair=repair, quick=quick)
    locations = find_run_locations(stack.bucket, stack.s3, Records(stack.table), organisations, start_after)
    report = Report(stack, start_after, as_json=as_json)

    def inspect(location: RunLocation) -> Finding:
        finding = inspection.inspect(location)
        report.note(finding)
        return finding

    with report, contextlib.closing(map_in_order(inspect, locations)) as findings:
        for location, finding in findings:
            report.add(finding, location.resume_point)
    if report.needs_attention:
        context.exit(ExitCode.ATTENTION)
