"""`notifications`: who gets the events of a bucket; EventBridge added, and destinations that are gone removed."""

import click

from run_recorder.cli.bucket_notifications import BucketNotifications, Configuration, Destination, Existence, change
from run_recorder.cli.command import Command, ExitCode, confirm, json_option, stack_options, yes_option
from run_recorder.cli.health import Level
from run_recorder.cli.health_of_resources import delivery
from run_recorder.cli.output import echo_json, printable
from run_recorder.cli.stack import Stack


@click.command(
    cls=Command,
    short_help="Show and change who gets the events of a bucket.",
    attention="a destination is gone, or no event of the stack's bucket reaches its queue",
)
@click.argument("bucket_name", metavar="[BUCKET]", required=False)
@click.option("--enable-eventbridge", is_flag=True, help="Send the events of the bucket to EventBridge, too.")
@click.option("--remove-missing", is_flag=True, help="Remove the destinations that no longer exist.")
@yes_option
@stack_options
@json_option
@click.pass_context
def notifications(
    context: click.Context,
    stack: Stack,
    *,
    bucket_name: str | None,
    enable_eventbridge: bool,
    remove_missing: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show who gets the events of BUCKET, by default of the bucket of runs.

    A change keeps everything else: S3 replaces the whole configuration, so that the command reads it,
    shows the difference, and writes it after a confirmation if it is still the same. S3 has no write on
    a condition: do not change the configuration in another way at the same moment.
    """
    bucket = bucket_name or stack.bucket
    listeners = BucketNotifications(stack, bucket)
    configuration = listeners.read()
    destinations = list(listeners.find_destinations(configuration))
    missing = {found.arn for found in destinations if found.existence is Existence.GONE}
    changed = change(configuration, enable_eventbridge=enable_eventbridge, without=missing if remove_missing else set())
    if changed != configuration:
        for line in _describe_change(configuration, changed, missing if remove_missing else set()):
            click.echo(line, err=True)
        if not confirm(f"Write this to {printable(bucket)}?", yes=yes):
            context.exit(ExitCode.ATTENTION)
        _write(listeners, configuration, changed, has_missing=bool(missing) and not remove_missing)
        configuration = listeners.read()
        destinations = list(listeners.find_destinations(configuration))
    is_delivered = _print(stack, bucket, configuration, destinations, as_json=as_json)
    if not is_delivered or any(found.existence is Existence.GONE for found in destinations):
        context.exit(ExitCode.ATTENTION)


def _describe_change(before: Configuration, after: Configuration, removed: set[str]) -> list[str]:
    added = ["EventBridgeConfiguration"] if after.keys() - before.keys() else []
    return [*("+ EventBridge" for _ in added), *(f"- {printable(arn)}" for arn in sorted(removed))]


def _write(listeners: BucketNotifications, seen: Configuration, changed: Configuration, *, has_missing: bool) -> None:
    if listeners.read() != seen:
        raise click.ClickException("the configuration was changed meanwhile; nothing was written: start again")
    listeners.write(changed, has_missing=has_missing)


def _print(
    stack: Stack, bucket: str, configuration: Configuration, destinations: list[Destination], *, as_json: bool
) -> bool:
    """Print the configuration; return whether the events of the stack's bucket reach its queue."""
    has_eventbridge = "EventBridgeConfiguration" in configuration
    line = delivery(stack) if bucket == stack.bucket else None
    if as_json:
        echo_json({
            "bucket": bucket,
            "eventbridge": has_eventbridge,
            "destinations": [found.as_json() for found in destinations],
            "delivery": line and line.as_json(),
        })  # fmt: skip
    else:
        click.echo(f"{printable(bucket)}: EventBridge {'on' if has_eventbridge else 'off'}")
        for found in destinations:
            details = " ".join([*found.events, *found.rules])
            click.echo(f"{found.existence:<7}  {found.kind:<8}  {printable(found.arn)}  {printable(details)}")
        if line:
            click.echo(f"{line.level}: {printable(line.text)}")
    return line is None or line.level is Level.WELL
