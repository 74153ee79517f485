"""The output of `reconcile`: the findings, the progress, and the summary."""

from collections import Counter

import click

from run_recorder.cli.comparison import Finding, State
from run_recorder.cli.output import echo_json, name_of, printable
from run_recorder.cli.run_lines import RunLines
from run_recorder.cli.stack import Stack
from run_recorder.domain import JSON, Run


class Report:
    """The output of a comparison: each finding at once, and a summary at the end, also after an interruption."""

    def __init__(self, stack: Stack, resume_point: Run | None, *, as_json: bool) -> None:
        self._stack = stack
        self._resume_point = resume_point
        self._as_json = as_json
        self._states: Counter[State] = Counter()
        self._repaired = 0
        self._ahead: dict[str, Finding] = {}
        self.needs_attention = False
        self._lines = RunLines("compared", as_json=as_json)

    def __enter__(self) -> None:
        self._lines.start()

    def note(self, finding: Finding) -> None:
        """Remember a repair that was made ahead of the runs before it; called by several threads."""
        if finding.outcome:
            self._ahead[finding.key] = finding

    def add(self, finding: Finding, resume_point: Run | None) -> None:
        """Count and print the finding of the next run in order."""
        self._ahead.pop(finding.key, None)
        self.needs_attention |= finding.needs_attention
        if resume_point:
            self._resume_point = resume_point
            self._lines.advance(resume_point)
        self._count(finding)

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        for key in sorted(self._ahead):
            self._count(self._ahead[key])
        self._lines.stop()
        last = name_of(self._resume_point) if self._resume_point else None
        calls = dict(sorted(self._stack.calls.items()))
        if self._as_json:
            counts: dict[str, JSON] = {state.value: self._states[state] for state in State}
            summary = {"counts": counts, "repaired": self._repaired, "aws_calls": calls}
            echo_json({"summary": {**summary, "finished": error_type is None, "last": last}})
        else:
            counted = ", ".join(f"{self._states[state]:,} {state}" for state in State)
            click.echo(f"{self._states.total():,} compared: {counted}; {self._repaired:,} repaired")
            click.echo("AWS calls: " + ", ".join(f"{count:,} {name}" for name, count in calls.items()))
        if error_type:
            advice = f"continue with --start-after {printable(last)}" if last else "nothing was compared yet"
            click.echo(f"stopped early; {advice}", err=True)

    def _count(self, finding: Finding) -> None:
        self._states[finding.state] += 1
        self._repaired += finding.outcome is not None
        if finding.state is not State.CURRENT:
            self._print(finding)

    def _print(self, finding: Finding) -> None:
        if self._as_json:
            echo_json(finding.as_json())
            return
        uploaded = f"  uploaded {finding.stored.uploaded_at}" if finding.stored else ""
        outcome = f"  → {_describe_repair(finding)}" if finding.outcome else ""
        error = f"  {printable(finding.error)}" if finding.error else ""
        line = f"{finding.state:<12}  {printable(finding.key)}{uploaded}{outcome}{error}"
        self._lines.echo(line)


def _describe_repair(finding: Finding) -> str:
    """Return the outcome; of a config alone it would be ``duplicate``, because the verdict is recorded already."""
    return "config recorded" if finding.state is State.LACKS_CONFIG else str(finding.outcome)
