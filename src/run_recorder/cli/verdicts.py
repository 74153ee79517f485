"""The verdict on an upload, as a command prints it."""

import click

from run_recorder.cli.command import ExitCode
from run_recorder.cli.output import echo_errors, name_of, to_json
from run_recorder.domain import JSON, Run
from run_recorder.producer.waiting_for_verdict import Verdict, VerdictState

_EXIT_CODES = {
    VerdictState.RECORDED: ExitCode.SUCCESS,
    VerdictState.REJECTED: ExitCode.ATTENTION,
    VerdictState.SUPERSEDED: ExitCode.ATTENTION,
    VerdictState.PENDING: ExitCode.NO_VERDICT,
    VerdictState.UNKNOWN: ExitCode.NO_VERDICT,
}
_SENTENCES = {
    VerdictState.RECORDED: "recorded",
    VerdictState.REJECTED: "rejected",
    VerdictState.SUPERSEDED: "superseded: a newer upload of the run replaced it; `show` has the record",
    VerdictState.PENDING: "no verdict yet: listed files are not there; `wait` waits again",
    VerdictState.UNKNOWN: "no verdict yet: the event of the upload is on its way; `wait` waits again, `status` shows "
    "whether the stack is well",
}


def exit_code_of(verdict: Verdict) -> ExitCode:
    """Return the exit code of a command that waited for a verdict."""
    return _EXIT_CODES[verdict.state]


def verdict_as_json(verdict: Verdict) -> dict[str, JSON]:
    """Return the status, and the errors if there are any."""
    status: dict[str, JSON] = {"status": verdict.state.value}
    if verdict.record and verdict.state in (VerdictState.REJECTED, VerdictState.PENDING):
        status["errors"] = to_json(verdict.record.errors)
        if verdict.record.errors_truncated:
            status["errors_truncated"] = True
    return status


def echo_verdict(run: Run, verdict: Verdict) -> None:
    """Print the verdict on an upload of a run, and its errors."""
    name = name_of(run)
    click.echo(f"{name}: {_SENTENCES[verdict.state]}")
    if verdict.record and verdict.state in (VerdictState.REJECTED, VerdictState.PENDING):
        echo_errors(name, verdict.record.errors, is_truncated=verdict.record.errors_truncated)
