"""`show`: the record of a run."""

import click
from boto3.dynamodb.types import TypeDeserializer

from run_recorder.cli.command import Command, ExitCode, json_option, run_argument, stack_options
from run_recorder.cli.comparison import Finding, State, compare
from run_recorder.cli.output import echo_json, echo_table, flatten
from run_recorder.cli.stack import Stack
from run_recorder.domain import Run
from run_recorder.record_state import RecordState

_FIRST = ("organisation_id", "run_id", "status", "errors", "errors_truncated")
_SENTENCES = {
    State.CURRENT: "The record shows the current metadata.json.",
    State.MISSING: "metadata.json was uploaded at {0} and is not recorded: its event is on its way, in the "
    "dead-letter queue, or lost. `reconcile --repair` records it.",
    State.OUTDATED: "metadata.json was uploaded again at {0}, and the new upload is not recorded: its event is on its "
    "way, in the dead-letter queue, or lost. `reconcile --repair` records it.",
    State.UNSETTLED: "The record shows the current metadata.json. Listed files were missing: `reconcile --repair` "
    "looks for them again.",
    State.LACKS_FILES: "The record shows the current metadata.json. Listed files are not there yet, and are waited "
    "for.",
    State.ORPHANED: "The bucket no longer has the metadata.json of this record.",
    State.INCOMPLETE: "There is neither a record nor a metadata.json: the upload is not complete, or has other ids.",
}


@click.command(cls=Command, short_help="Show the record of a run.", attention="there is no record")
@run_argument
@stack_options
@json_option
@click.pass_context
def show(context: click.Context, stack: Stack, *, run: Run, as_json: bool) -> None:
    """Show the record of the run ORG/RUN, and whether it is the record of the current upload."""
    key = f"{run.prefix}metadata.json"
    item = stack.table.read(run)
    stored = stack.s3.head_object(stack.bucket, key)
    state = RecordState.of(item) if item else None
    comparison = compare(state, stored)
    if comparison is State.UNSETTLED and state and state.is_pending:
        comparison = State.LACKS_FILES
    finding = Finding(key, comparison, state, stored)
    record = {name: TypeDeserializer().deserialize(value) for name, value in (item or {}).items()}
    if as_json:
        echo_json({**finding.as_json(), "record": record or None})
    else:
        if record:
            names = sorted(record, key=lambda name: (name not in _FIRST, name))
            echo_table(["attribute", "value"], flatten({name: record[name] for name in names}))
        if record.get("errors_truncated"):
            click.echo("The document has more errors than these.")
        click.echo(_SENTENCES[finding.state].format(stored and stored.uploaded_at))
    if not record:
        context.exit(ExitCode.ATTENTION)
