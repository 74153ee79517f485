"""The output of `replay`: a line for each run that is not as it should be, and a summary."""

from collections import Counter
from dataclasses import dataclass

import click

from run_recorder.cli.output import echo_json, name_of, printable, to_json
from run_recorder.cli.run_lines import RunLines
from run_recorder.domain import JSON, Run
from run_recorder.replay import Replay, ReplayState

FAILED = "failed"
_STATES = [*(state.value for state in ReplayState), FAILED]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run and its replay; ``failure`` is the reason why there is none."""

    run: Run
    replay: Replay | None
    failure: str | None = None

    @property
    def state(self) -> str:
        """The state of the replay."""
        return self.replay.state.value if self.replay else FAILED

    def as_json(self) -> dict[str, JSON]:
        """Return the result as JSON."""
        report: dict[str, JSON] = {"run": name_of(self.run), "state": self.state}
        if self.replay is None:
            return {**report, "failure": self.failure}
        return {
            **report,
            "before": self.replay.before,
            "after": self.replay.after,
            "changes": list(self.replay.changes),
            "errors": to_json(self.replay.errors),
        }

    def describe(self) -> str:
        """Return the result as a line."""
        return f"{self.state:<9}  {name_of(self.run)}  {printable(self._describe_result())}"

    def _describe_result(self) -> str:
        replay = self.replay
        if replay is None:
            return self.failure or ""
        error = f": {replay.errors[0].path or 'document'}: {replay.errors[0].message}" if replay.errors else ""
        match replay.state:
            case ReplayState.LEFT:
                return f"stays {replay.before}, would be rejected now{error}"
            case ReplayState.WAITING:
                return f"{replay.before or 'no record'}, files may still arrive{error}"
            case ReplayState.GONE:
                return f"{replay.before or 'no record'}, there is no metadata.json"
        changes = f" ({', '.join(replay.changes)})" if replay.changes else ""
        return f"{replay.before or 'no record'} → {replay.after}{changes}{error}"


class ReplayReport:
    """The output of a replay, also after an interruption.

    Attributes:
        changed: the runs that changed, or would.
        needs_attention: whether a run was left, gone or failed.
    """

    def __init__(self, *, is_preview: bool, as_json: bool, last: Run | None) -> None:
        self._is_preview = is_preview
        self._as_json = as_json
        self._last = last
        self._counts: Counter[str] = Counter()
        self._lines = RunLines("evaluated", as_json=as_json)
        self.changed: list[Run] = []
        self.needs_attention = False

    def __enter__(self) -> None:
        self._lines.start()

    def add(self, replayed: Replayed) -> None:
        """Count a run, and print it unless it is unchanged."""
        self._last = replayed.run
        self._counts[replayed.state] += 1
        self._lines.advance(replayed.run)
        if replayed.state == ReplayState.CHANGED:
            self.changed.append(replayed.run)
        self.needs_attention |= replayed.state in (ReplayState.LEFT, ReplayState.GONE, FAILED)
        if replayed.state == ReplayState.UNCHANGED:
            return
        if self._as_json:
            echo_json({**replayed.as_json(), "preview": self._is_preview})
        else:
            self._lines.echo(replayed.describe())

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        self._lines.stop()
        last = name_of(self._last) if self._last else None
        if self._as_json:
            counts: dict[str, JSON] = {state: self._counts[state] for state in _STATES}
            finished = error_type is None
            echo_json({"summary": {"counts": counts, "preview": self._is_preview, "finished": finished, "last": last}})
        else:
            counted = ", ".join(f"{self._counts[state]:,} {state}" for state in _STATES)
            kind = "would be " if self._is_preview else ""
            click.echo(f"{self._counts.total():,} evaluated: {kind}{counted}")
        if error_type:
            advice = f"continue with --start-after {last}" if last else "nothing was evaluated yet"
            click.echo(f"stopped early; {advice}", err=True)
