"""The health of a stack: a line for each check, with its level and the next step."""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError

from run_recorder.cli.stack import Stack
from run_recorder.domain import JSON
from run_recorder.errors import RunRecorderError

DENIED_CODES = {"403", "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
GONE_CODES = {
    "404", "NoSuchBucket", "ResourceNotFoundException", "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist",
    "NotFoundException", "NotFound",
}  # fmt: skip
"""The codes by which AWS refuses a call, or answers that a resource does not exist."""


class Level(enum.StrEnum):
    """What a line asks for."""

    WELL = "well"
    LOOK = "look"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one check.

    Attributes:
        name: of the check.
        level: its level.
        text: what was found.
        advice: what to do; empty if there is nothing to do.
    """

    name: str
    level: Level
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, JSON]:
        """Return the line as JSON."""
        return {"name": self.name, "level": self.level.value, "text": self.text, "advice": self.advice}


Check = Callable[[Stack], Line]
"""Looks at a part of a stack. The name of the function names the line."""


def examine(stack: Stack, checks: list[Check]) -> Iterator[Line]:
    """Make the checks one after the other; a call that AWS refuses affects its own line only.

    Raises:
        StackError: the stack does not exist.
        BotoCoreError: AWS did not answer, or there are no credentials.
    """
    stack.outputs  # noqa: B018 - so that a stack that does not exist is no matter of a line
    denied: set[str] = set()
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            yield check(stack)
        except (ClientError, RunRecorderError) as error:
            cause = error if isinstance(error, ClientError) else error.__cause__
            if not isinstance(cause, ClientError):
                raise
            if cause.response["Error"].get("Code", "") in DENIED_CODES:
                denied.add(cause.operation_name)
            yield _describe_failure(name, cause)
    yield _describe_permissions(denied)


def _describe_failure(name: str, error: ClientError) -> Line:
    code = error.response["Error"].get("Code", "")
    if code in DENIED_CODES:
        return Line(name, Level.LOOK, f"you may not call {error.operation_name}")
    if code in GONE_CODES:
        return Line(name, Level.WRONG, f"{error.operation_name}: it does not exist", "see docs/deploy.md#move-a-stack")
    return Line(name, Level.LOOK, " ".join(str(error).split()), "try again")


def _describe_permissions(denied: set[str]) -> Line:
    if not denied:
        return Line("permissions", Level.WELL, "you may make all calls of this command")
    return Line(
        "permissions", Level.LOOK, f"denied: {', '.join(sorted(denied))}", "see docs/command-line.md#permissions"
    )
