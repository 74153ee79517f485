"""`status`: the state of a stack on one screen."""

import click

from run_recorder.cli.command import Command, ExitCode, json_option, stack_options
from run_recorder.cli.health import Level, Line, examine
from run_recorder.cli.health_of_resources import CHECKS as CHECKS_OF_RESOURCES
from run_recorder.cli.health_of_traffic import CHECKS as CHECKS_OF_TRAFFIC
from run_recorder.cli.output import echo_folded, echo_json, printable
from run_recorder.cli.stack import Stack

CHECKS = [*CHECKS_OF_TRAFFIC, *CHECKS_OF_RESOURCES]
_COLOURS = {Level.WELL: "green", Level.LOOK: "yellow", Level.WRONG: "red"}
_INDENT = " " * 27


@click.command(cls=Command, short_help="Show the state of a stack.", attention="a line is wrong")
@stack_options
@json_option
@click.pass_context
def status(context: click.Context, stack: Stack, *, as_json: bool) -> None:
    """Show whether a stack is well, and what happens in it.

    \b
    well   nothing to do
    look   worth a look, or a call that you may not make
    wrong  uploads or events are not handled as they should be

    The first lines show the traffic: queues, the last hour by outcome, alarms, the newest record. The others
    show the resources: bucket, the delivery of its events, table, function, pipes, and your own permissions.
    """
    lines = []
    for line in examine(stack, CHECKS):
        lines.append(line)
        if not as_json:
            _print(line)
    if as_json:
        echo_json({"stack": stack.name, "lines": [line.as_json() for line in lines]})
    if any(line.level is Level.WRONG for line in lines):
        context.exit(ExitCode.ATTENTION)


def _print(line: Line) -> None:
    level = click.style(f"{line.level:<5}", fg=_COLOURS[line.level])
    echo_folded(printable(line.text), f"{level}  {line.name:<18}  ", _INDENT)
    if line.advice:
        echo_folded(line.advice, _INDENT, _INDENT)
