"""Explores every schedule of invocations that work on one run at the same time.

An invocation is stopped before each call to AWS. Since its code depends on nothing but the
answers to its calls, it need not be kept waiting in a thread: it is run again from its start,
over the answers that it had, to learn its next call. So the state of everything is a value,
states that are reached in several ways are looked at once, and the number of schedules that
lead through them is counted rather than spent.
"""

import functools
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from botocore.response import StreamingBody
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

from run_recorder.config import load_settings
from run_recorder.domain import ObjectEvent
from run_recorder.keys import parse_sequencer
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from tests.support.fake_s3 import client_error
from tests.support.names import BUCKET, KEY, RUN, TABLE, UPLOADED_AT

SEQUENCERS = ("9", "a", "B", "c")
"""Of the uploads, in S3's order."""

Item = str | None
"""An item as JSON, so that it can be a part of a state."""
Answers = tuple[Any, ...]
"""What the calls of an invocation were answered so far."""


@dataclass(frozen=True)
class Delivery:
    """One event that is delivered.

    Attributes:
        upload: the upload that the event names; None for a back-fill's task without a version.
        sequenced: whether the event has the upload's sequencer.
        after: how many uploads there must be before the event is delivered.
        after_files: whether late files of the upload must be there, too.
    """

    upload: int | None
    sequenced: bool
    after: int
    after_files: bool = False

    @classmethod
    def of(cls, upload: int, *, sequenced: bool) -> Self:
        """Return an event of an upload, which may come at any time after it."""
        return cls(upload, sequenced, upload + 1)

    @classmethod
    def task(cls, after: int) -> Self:
        """Return a task of a back-fill, or a repair, which may come at any time after so many uploads."""
        return cls(None, sequenced=False, after=after)


@dataclass(frozen=True)
class Scenario:
    """What happens, in whatever order.

    Attributes:
        documents: what is uploaded one after the other: a letter for each document, upper case
            for a good one; the same letter is the same document.
        deliveries: the events, each handled by an invocation of its own.
        versioned: whether the bucket keeps versions.
        null_first: whether the first upload has the version ``null``, since it was uploaded
            before the bucket got versions.
        late: the uploads that list a file which arrives at any time after them.
        deletable: the uploads whose version may be deleted for ever, at any time.
        crashes: how often an invocation is gone, at any point, and its event delivered again.
        clock_step: by how many seconds each invocation's clock is behind the one before.
    """

    documents: str
    deliveries: tuple[Delivery, ...]
    versioned: bool = True
    null_first: bool = False
    late: tuple[int, ...] = ()
    deletable: tuple[int, ...] = ()
    crashes: int = 0
    clock_step: int = 0

    def version_id(self, upload: int) -> str:
        """Return the version of an upload as S3 names it."""
        return f"v{upload}" if self.versioned and (upload or not self.null_first) else "null"


class State(NamedTuple):
    """Everything at one moment. An invocation that is done has None for its answers."""

    stored: tuple[int, ...]
    arrived: tuple[int, ...]
    uploaded: int
    item: Item
    invocations: tuple[Answers | None, ...]
    crashes_left: int

    def with_invocation(self, index: int, answers: Answers | None) -> Self:
        """This state with one invocation at another point."""
        return self._replace(invocations=(*self.invocations[:index], answers, *self.invocations[index + 1 :]))


class Paused(BaseException):
    """An invocation is about to make a call that has no answer yet. No ``except Exception`` may take it."""


class ReplayedClient:
    """Both boto3 clients of an invocation: repeats the answers it had, then pauses."""

    def __init__(self, scenario: Scenario, answers: Answers) -> None:
        self._scenario = scenario
        self._answers = iter(answers)

    def get_object(self, **call: Any) -> dict[str, Any]:  # noqa: D102
        upload = self._answer("get_object", call)
        if upload is None:
            raise client_error("NoSuchKey")
        letter = self._scenario.documents[upload]
        model = {"name": letter, "version": "1"} if letter.isupper() else letter
        files = [{"path": f"file-{upload}"}] if upload in self._scenario.late else []
        body = json.dumps({"model": model, "name": letter, "files": files}).encode()
        return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body), **self._head(upload)}

    def head_object(self, **call: Any) -> dict[str, Any]:  # noqa: D102
        upload = self._answer("head_object", call)
        if upload is None:
            raise client_error("404")
        return {"ContentLength": 1, **self._head(upload)}

    def get_paginator(self, operation: str) -> Self:  # noqa: D102
        assert operation == "list_object_versions"
        return self

    def paginate(self, **call: Any) -> Iterator[dict[str, Any]]:  # noqa: D102
        versions = [{"Key": KEY, **self._head(upload)} for upload in self._answer("list_object_versions", call)]
        yield {"IsTruncated": False, "Versions": versions}

    def list_objects_v2(self, **call: Any) -> dict[str, Any]:  # noqa: D102
        arrived = self._answer("list_objects_v2", call)
        return {
            "IsTruncated": False,
            "Contents": [{"Key": f"{RUN.prefix}file-{upload}", "Size": 1} for upload in sorted(arrived)],
        }

    def get_item(self, **call: Any) -> dict[str, Any]:  # noqa: D102
        item = self._answer("get_item", call)
        return {"Item": json.loads(item)} if item else {}

    def update_item(self, **call: Any) -> dict[str, Any]:  # noqa: D102
        written, found = self._answer("update_item", call)
        if not written:
            raise client_error("ConditionalCheckFailedException", **({"Item": json.loads(found)} if found else {}))
        return {}

    def _head(self, upload: int) -> dict[str, Any]:
        return {
            "ETag": f'"{self._scenario.documents[upload]}"',
            "LastModified": UPLOADED_AT + timedelta(minutes=upload),
            "VersionId": self._scenario.version_id(upload),
        }

    def _answer(self, operation: str, call: dict[str, Any]) -> Any:
        for answer in self._answers:
            return answer
        raise Paused(operation, json.dumps(call, sort_keys=True))


class Explorer:
    """Takes a scenario through all of its schedules.

    Attributes:
        schedules: how many they were.
    """

    def __init__(
        self, scenario: Scenario, check_write: Callable[[Item, Item], None], check_end: Callable[[Item], None]
    ) -> None:
        """Make an explorer.

        Args:
            scenario: what happens.
            check_write: is shown every item that was written over, and what came after it.
            check_end: is shown the item that is there when all is done.
        """
        self._scenario = scenario
        self._check_write = functools.cache(check_write)
        self._check_end = functools.cache(check_end)
        self._settings = load_settings()
        self.schedules = 0
        self._schedules: dict[State, int] = {}
        self._next_call = functools.cache(self._find_next_call)

    @property
    def states(self) -> int:
        """How many states were looked at."""
        return len(self._schedules)

    def explore(self) -> None:
        """Explore all that can happen."""
        self.schedules = self._count(
            State((), (), 0, None, ((),) * len(self._scenario.deliveries), self._scenario.crashes), []
        )

    def _count(self, state: State, trail: list[str]) -> int:
        if state not in self._schedules:
            count = 0
            for step, following in self._find_steps(state):
                trail.append(step)
                try:
                    if following.item != state.item:
                        self._check_write(state.item, following.item)
                    count += self._count(following, trail)
                except AssertionError as error:
                    if trail:
                        error.add_note(f"{self._scenario}\nafter {', '.join(trail)}")
                        trail.clear()
                    raise
                trail.pop()
            if state.uploaded == len(self._scenario.documents) and not any(
                answers is not None for answers in state.invocations
            ):
                self._check_end(state.item)
                count += 1
            self._schedules[state] = count
        return self._schedules[state]

    def _find_steps(self, state: State) -> Iterator[tuple[str, State]]:
        """What can happen next."""
        if state.uploaded < len(self._scenario.documents):
            kept = state.stored if self._scenario.versioned else ()
            yield (
                f"upload {state.uploaded}",
                state._replace(stored=(*kept, state.uploaded), uploaded=state.uploaded + 1),
            )
        for upload in self._scenario.late:
            if upload < state.uploaded and upload not in state.arrived:
                yield f"file of {upload}", state._replace(arrived=(*state.arrived, upload))
        for upload in state.stored:
            if upload in self._scenario.deletable:
                stored = tuple(kept for kept in state.stored if kept != upload)
                yield f"deletion of {upload}", state._replace(stored=stored)
        for index, answers in enumerate(state.invocations):
            if answers is not None and self._may_come(self._scenario.deliveries[index], state):
                operation, call = self._next_call(index, answers)
                item, answer = self._perform(state, operation, call)
                answers_then = (*answers, answer)
                done = self._next_call(index, answers_then) is None
                following = state.with_invocation(index, None if done else answers_then)
                yield f"{operation} of {index}", following._replace(item=item)
            if answers != () and state.crashes_left:
                again = state.with_invocation(index, ())
                yield f"crash of {index}", again._replace(crashes_left=state.crashes_left - 1)

    def _may_come(self, delivery: Delivery, state: State) -> bool:
        if delivery.after_files and delivery.upload not in state.arrived:
            return False
        return delivery.after <= state.uploaded

    def _find_next_call(self, index: int, answers: Answers) -> Any:
        """The call at which the invocation is after these answers; None if it is done."""
        delivery = self._scenario.deliveries[index]
        client: Any = ReplayedClient(self._scenario, answers)
        recorder = Recorder(self._settings, S3(client), RunTable(TABLE, client))
        event = ObjectEvent(BUCKET, KEY, RUN, created=True)
        if delivery.upload is not None:
            version_id = self._scenario.version_id(delivery.upload)
            event = replace(
                event,
                version_id=None if version_id == "null" else version_id,
                etag=self._scenario.documents[delivery.upload],
                sequencer=parse_sequencer(SEQUENCERS[delivery.upload]) if delivery.sequenced else None,
            )

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Self:
                return cls(2026, 11, 20, 12, tzinfo=tz) - timedelta(seconds=index * self._scenario.clock_step)

        with patch("run_recorder.runs.datetime", Clock):
            try:
                recorder.handle(event)
            except Paused as paused:
                return paused.args
        return None

    def _perform(self, state: State, operation: str, call: str) -> tuple[Item, Any]:
        """The item after a call, and its answer."""
        if operation == "update_item":
            return update(state.item, call)
        if operation == "get_item":
            return state.item, state.item
        if operation == "list_objects_v2":
            return state.item, state.arrived
        if operation == "list_object_versions":
            return state.item, state.stored[::-1]
        version_id = json.loads(call).get("VersionId")
        found = [upload for upload in state.stored if version_id in (None, self._scenario.version_id(upload))]
        return state.item, max(found, default=None)


_ABSENT: dict[str, Any] = dict.fromkeys(
    ("throughput", "global_indexes", "indexes", "streams", "sse_specification", "tags", "warm_throughput")
)


@functools.cache
def update(item: Item, call: str) -> tuple[Item, tuple[bool, Item]]:
    """An update of the item by moto: the item after it; whether it was written, and else what was found."""
    backend = DynamoDBBackend("us-east-1", "123456789012")
    names = ("organisation_id", "run_id")
    backend.create_table(
        TABLE,
        schema=[{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=True)],
        attr=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        **_ABSENT,
        billing_mode="PAY_PER_REQUEST",
        deletion_protection_enabled=False,
    )
    if item:
        backend.put_item(TABLE, json.loads(item))
    arguments = json.loads(call)
    try:
        after = backend.update_item(
            TABLE,
            arguments["Key"],
            arguments["UpdateExpression"],
            arguments["ExpressionAttributeNames"],
            arguments["ExpressionAttributeValues"],
            condition_expression=arguments["ConditionExpression"],
            return_values_on_condition_check_failure=arguments["ReturnValuesOnConditionCheckFailure"],
        )
    except ConditionalCheckFailed:
        return item, (False, item)
    return json.dumps(after.to_json()["Attributes"], sort_keys=True), (True, None)
