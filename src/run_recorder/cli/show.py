"""`show`: where is my run?"""

import click
from boto3.dynamodb.types import TypeDeserializer

from run_recorder.cli.command import FOUND, Command, json_option, of_stack
from run_recorder.cli.comparison import Finding, State, compare
from run_recorder.cli.output import echo_json, echo_table, flatten
from run_recorder.cli.stack import Stack
from run_recorder.keys import parse_key
from run_recorder.record_state import RecordState

_FIRST = ("organisation_id", "run_id", "status", "errors", "errors_truncated")
_SENTENCES = {
    State.CURRENT: "The record shows the current metadata.json.",
    State.MISSING: "metadata.json was uploaded at {0} and is not recorded: its event is on its way, in the "
    "dead-letter queue, or lost. `reconcile --repair` records it.",
    State.OUTDATED: "metadata.json was uploaded again at {0} and that is not recorded: its event is on its way, in "
    "the dead-letter queue, or lost. `reconcile --repair` records it.",
    State.UNSETTLED: "The record shows the current metadata.json. Listed files were missing: `reconcile --repair` "
    "looks for them again.",
    State.ORPHANED: "metadata.json is not in the bucket, any more.",
    State.INCOMPLETE: "There is neither a record nor a metadata.json: the upload is not complete, or has other ids.",
}


@click.command(cls=Command, short_help="Show a run's record.", found="there is no record")
@click.argument("organisation")
@click.argument("run")
@of_stack
@json_option
@click.pass_context
def show(context: click.Context, stack: Stack, *, organisation: str, run: str, as_json: bool) -> None:
    """Show the record of a RUN of an ORGANISATION, and whether it is that of the current upload."""
    key = f"runs/{organisation}/{run}/metadata.json"
    found = parse_key(key)
    if found is None:
        raise click.UsageError("no run can have these ids")
    item = stack.table.read(found)
    stored = stack.s3.head_object(stack.bucket, key)
    seen = RecordState.of(item) if item else None
    finding = Finding(key, compare(seen, stored), seen, stored)
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
        context.exit(FOUND)
