"""Explores every schedule of invocations that work on one run at the same time.

An invocation is stopped before each call to AWS. Since its code depends on nothing but the
answers to its calls, it need not be kept waiting in a thread: it is run again from its start,
over the answers that it had, to learn its next call. So the state of everything is a value,
states that are reached in several ways are looked at once, and the number of schedules that
lead through them is counted rather than spent.
"""

import contextlib
import functools
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from botocore.response import StreamingBody
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.dynamo_type import Item as MotoItem

from run_recorder.config import load_settings
from run_recorder.domain import Metadata, ObjectEvent, Run
from run_recorder.errors import FieldError
from run_recorder.keys import parse_sequencer
from run_recorder.metadata import parse_metadata
from run_recorder.recorder import Recorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.waiting import Wait, choose_delay
from tests.support.documents import document
from tests.support.fake_s3 import client_error
from tests.support.names import BUCKET, ENVIRONMENT, KEY, RUN, TABLE, UPLOADED_AT

SEQUENCERS = ("9", "a", "B", "c")
"""Of the uploads, in S3's order."""

SETTINGS = load_settings(ENVIRONMENT)
_parse = functools.cache(parse_metadata)

Item = str | None
"""An item as JSON, so that it can be a part of a state."""


class Upload(NamedTuple):
    """A version of metadata.json.

    Attributes:
        number: its place in S3's order.
        document: a letter, upper case for a good one.
        version_id: as S3 returns it.
        lists_file: whether it lists a file that arrives late.
        waits: whether the file is waited for.
    """

    number: int
    document: str
    version_id: str
    lists_file: bool
    waits: bool


def parse_once(body: bytes, run: Run | None) -> tuple[Metadata, list[FieldError]]:
    """Parse a document, unless it was parsed before: there are few, and each is read thousands of times."""
    metadata, errors = _parse(body, run)
    return metadata, [*errors]


@dataclass(frozen=True)
class Delivery:
    """One event that is delivered.

    Attributes:
        upload: the upload that the event names; None for a back-fill's task without a version.
        sequenced: whether the event has the upload's sequencer.
        after: how many uploads there must be before the event is delivered.
        after_files: whether late files of the upload must be there, too.
        queued: whether the event is a message of the function's queue, which can be put back.
    """

    upload: int | None
    sequenced: bool
    after: int
    after_files: bool = False
    queued: bool = False

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
        waits: whether late files are waited for. A wait ends at any time after the upload, and the file may
            arrive after that, or never.
        free_looks: how often a message that was put back may come at any time. After that it comes once each late
            file is there or not waited for any more.
        deletable: the uploads whose version may be deleted for ever, at any time.
        crashes: how often an invocation is gone, at any point, and its event delivered again.
        clock_step: by how many seconds each invocation's clock is behind the one before.
    """

    documents: str
    deliveries: tuple[Delivery, ...]
    versioned: bool = True
    null_first: bool = False
    late: tuple[int, ...] = ()
    waits: bool = False
    free_looks: int = 0
    deletable: tuple[int, ...] = ()
    crashes: int = 0
    clock_step: int = 0

    def upload(self, number: int) -> Upload:
        """Return one of the uploads, as S3 stores it."""
        version_id = f"v{number}" if self.versioned and (number or not self.null_first) else "null"
        is_late = number in self.late
        return Upload(number, self.documents[number], version_id, is_late, is_late and self.waits)

    def event(self, delivery: Delivery) -> ObjectEvent:
        """Return what the event says that is delivered."""
        event = ObjectEvent(BUCKET, KEY, RUN, created=True, can_wait=delivery.queued)
        if delivery.upload is None:
            return event
        upload = self.upload(delivery.upload)
        return replace(
            event,
            version_id=None if upload.version_id == "null" else upload.version_id,
            etag=upload.document,
            sequencer=parse_sequencer(SEQUENCERS[upload.number]) if delivery.sequenced else None,
        )


class Call(NamedTuple):
    """A call to AWS, or a question to the clock: whether the wait for an upload is over.

    Attributes:
        operation: as boto3 names it; ``is_over`` for the clock.
        argument: the version to read, a whole update as JSON, or the number of an upload: the one whose wait is
            asked for, or, with a listing of files, the one whose wait was over before.
    """

    operation: str
    argument: str | None

    @property
    def is_of_the_table(self) -> bool:
        """Whether the call goes to the table."""
        return self.operation in {"get_item", "update_item"}

    @property
    def only_reads(self) -> bool:
        """Whether the call changes nothing."""
        return self.operation not in {"update_item", "send_message"}


PAUSE: Any = object()
"""In place of an answer: the invocation is to stop before the call."""

FindAnswer = Callable[[Call], Any]
"""Returns what a call is answered at once, or `PAUSE`."""


class Invocation:
    """An invocation at one point, which is a node in the tree of all that can become of it.

    Attributes:
        answers: what its calls were answered so far.
        call: the next call; None if the invocation is done.
    """

    def __init__(self, event: ObjectEvent, clock_lag: int, answers: tuple[Any, ...] = ()) -> None:
        """Make an invocation.

        Args:
            event: what it handles.
            clock_lag: by how many seconds its clock is behind.
            answers: what its calls were answered so far.
        """
        self.answers = answers
        self.call: Call | None = None
        self._event = event
        self._clock_lag = clock_lag
        self._following: dict[Any, Invocation] = {}

    def after(self, answer: Any, find_answer: FindAnswer) -> "Invocation":
        """Return this invocation after the answer to its call, and after those that further calls get at once."""
        at = self
        while answer is not PAUSE:
            known = at._following.get(answer)
            if known is None:
                return at._add(answer).run(find_answer)
            at = known
            answer = find_answer(at.call) if at.call else PAUSE
        return at

    def run(self, find_answer: FindAnswer) -> "Invocation":
        """Run the code from its start, over the answers so far, to the first call that is not answered at once."""
        at = self

        def find_next_answer(call: Call) -> Any:
            nonlocal at
            at.call = call
            answer = find_answer(call)
            if answer is not PAUSE:
                at = at._add(answer)
            return answer

        client: Any = ReplayedClient(self.answers, find_next_answer)
        recorder = Recorder(SETTINGS, S3(client), RunTable(TABLE, client))
        Clock.lag = self._clock_lag
        WaitOfUpload.client = client
        with contextlib.suppress(Paused):
            looks = recorder.handle(self._event).looks
            delay = choose_delay(looks, is_from_queue=self._event.can_wait, has_failed_record=False)
            if delay is not None:
                client.send_message()
        return at

    def _add(self, answer: Any) -> "Invocation":
        self._following[answer] = Invocation(self._event, self._clock_lag, (*self.answers, answer))
        return self._following[answer]


@functools.cache
def begin(event: ObjectEvent, clock_lag: int) -> Invocation:
    """Return an invocation at its first call. All scenarios share the tree of an event."""
    return Invocation(event, clock_lag).run(lambda _: PAUSE)


class Clock(datetime):
    """The clock of the invocation that runs."""

    lag = 0

    @classmethod
    def now(cls, tz: Any = None) -> Self:
        """Return the same time always, less the lag."""
        return cls(2026, 11, 20, 12, tzinfo=tz) - timedelta(seconds=cls.lag)


class WaitOfUpload:
    """The waits of uploads, as the invocation that runs finds them; not by any clock."""

    client: "ReplayedClient"

    @classmethod
    def of(cls, last_modified: datetime, _seconds: int) -> Wait:
        """Return the wait for the upload that was stored then."""
        return Wait(60, 0 if cls.client.is_over(number_at(last_modified)) else 60)


class State(NamedTuple):
    """Everything at one moment.

    Attributes:
        stored: the versions in the bucket, the oldest first.
        arrived: the uploads whose late files are there.
        over: the uploads whose wait is over.
        given_up: the uploads whose own event found a file missing after that.
        uploaded: how many uploads there were.
        item: the record.
        invocations: of each delivery; None for one that is done.
        put_back: how often the message of each delivery was put back.
        crashes_left: how many invocations may still crash.
    """

    stored: tuple[Upload, ...]
    arrived: tuple[int, ...]
    over: tuple[int, ...]
    given_up: tuple[int, ...]
    uploaded: int
    item: Item
    invocations: tuple[Invocation | None, ...]
    put_back: tuple[int, ...]
    crashes_left: int

    def with_invocation(self, index: int, invocation: Invocation | None) -> Self:
        """Return this state with one invocation at another point."""
        return self._replace(invocations=(*self.invocations[:index], invocation, *self.invocations[index + 1 :]))


class Paused(BaseException):
    """An invocation stops before a call. No ``except Exception`` may take it."""


class ReplayedClient:
    """Both boto3 clients of an invocation: repeats the answers it had, then asks for further ones."""

    def __init__(self, answers: tuple[Any, ...], find_answer: FindAnswer) -> None:
        self._answers = iter(answers)
        self._find_answer = find_answer
        self._waits: set[int] = set()
        self._given_up: str | None = None

    def is_over(self, number: int) -> bool:
        """Return whether the wait for an upload that was read is over."""
        self._given_up = None
        if number not in self._waits:
            return False
        is_over: bool = self._answer("is_over", str(number))
        if is_over:
            self._given_up = str(number)
        return is_over

    def send_message(self) -> None:  # noqa: D102
        self._answer("send_message")

    def get_object(self, **request: Any) -> dict[str, Any]:  # noqa: D102
        upload = self._answer("get_object", request.get("VersionId"))
        if upload is None:
            raise client_error("NoSuchKey")
        if upload.waits:
            self._waits.add(upload.number)
        model = {"name": upload.document, "version": "1"} if upload.document.isupper() else upload.document
        files = [{"path": f"file-{upload.number}"}] if upload.lists_file else []
        body = document(model=model, name=upload.document, files=files)
        return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body), **_headers(upload)}

    def head_object(self, **request: Any) -> dict[str, Any]:  # noqa: D102
        upload = self._answer("head_object", request["VersionId"])
        if upload is None:
            raise client_error("404")
        return {"ContentLength": 1, **_headers(upload)}

    def get_paginator(self, operation: str) -> Self:  # noqa: D102
        assert operation == "list_object_versions"
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: D102
        uploads = self._answer("list_object_versions")
        yield {"IsTruncated": False, "Versions": [{"Key": KEY, **_headers(upload)} for upload in uploads]}

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:  # noqa: D102
        arrived = self._answer("list_objects_v2", self._given_up)
        return {
            "IsTruncated": False,
            "Contents": [{"Key": f"{RUN.prefix}file-{upload}", "Size": 1} for upload in sorted(arrived)],
        }

    def get_item(self, **_: Any) -> dict[str, Any]:  # noqa: D102
        item = self._answer("get_item")
        return {"Item": json.loads(item)} if item else {}

    def update_item(self, **request: Any) -> dict[str, Any]:  # noqa: D102
        written, found = self._answer("update_item", json.dumps(request, sort_keys=True))
        if not written:
            raise client_error("ConditionalCheckFailedException", **({"Item": json.loads(found)} if found else {}))
        return {}

    def _answer(self, operation: str, argument: str | None = None) -> Any:
        for answer in self._answers:
            return answer
        answer = self._find_answer(Call(operation, argument))
        if answer is PAUSE:
            raise Paused
        return answer


def number_at(last_modified: datetime) -> int:
    """Return the number of the upload that was stored then."""
    return (last_modified - UPLOADED_AT) // timedelta(minutes=1)


def _headers(upload: Upload) -> dict[str, Any]:
    return {
        "ETag": f'"{upload.document}"',
        "LastModified": UPLOADED_AT + timedelta(minutes=upload.number),
        "VersionId": upload.version_id,
    }


class Explorer:
    """Takes a scenario through all of its schedules.

    A call that is independent of all else that can still happen is made at once: wherever else in the schedule it
    were made, the same would follow. So one schedule stands for all that differ in that alone, as in partial-order
    reduction.

    Attributes:
        schedules: how many schedules were explored.
    """

    def __init__(
        self,
        scenario: Scenario,
        check_write: Callable[[Item, Item, tuple[int, ...]], None],
        check_end: Callable[[Item, tuple[int, ...], tuple[int, ...]], None],
    ) -> None:
        """Make an explorer.

        Args:
            scenario: what happens.
            check_write: is shown every item that was written over, what came after it, and the uploads whose wait
                is over.
            check_end: is shown the item that is there when all is done, the uploads whose late files are there, and
                those whose own event found them missing after the wait.
        """
        self.schedules = 0
        self._scenario = scenario
        self._check_write = functools.cache(check_write)
        self._check_end = functools.cache(check_end)
        self._uploads = tuple(map(scenario.upload, range(len(scenario.documents))))
        self._deletable = {self._uploads[number] for number in scenario.deletable}
        self._beginnings: tuple[Invocation, ...] = ()
        self._schedules: dict[State, int] = {}

    @property
    def states(self) -> int:
        """How many states were looked at."""
        return len(self._schedules)

    def explore(self) -> None:
        """Explore all that can happen."""
        with (
            patch("run_recorder.runs.datetime", Clock),
            patch("run_recorder.evaluator.Wait", WaitOfUpload),
            patch("run_recorder.judgement.parse_metadata", parse_once),
        ):
            self._beginnings = tuple(
                begin(self._scenario.event(delivery), index * self._scenario.clock_step)
                for index, delivery in enumerate(self._scenario.deliveries)
            )
            never = (0,) * len(self._beginnings)
            state = State((), (), (), (), 0, None, self._beginnings, never, self._scenario.crashes)
            self.schedules = self._count(state, [])

    def _count(self, state: State, trail: list[str]) -> int:
        if state not in self._schedules:
            count = 0
            for step, following in self._find_steps(state):
                trail.append(step)
                try:
                    if following.item != state.item:
                        self._check_write(state.item, following.item, state.over)
                    count += self._count(following, trail)
                except AssertionError as error:
                    if trail:
                        error.add_note(f"{self._scenario}\nafter {', '.join(trail)}")
                        trail.clear()
                    raise
                trail.pop()
            if state.uploaded == len(self._uploads) and not any(state.invocations):
                self._check_end(state.item, state.arrived, state.given_up)
                count += 1
            self._schedules[state] = count
        return self._schedules[state]

    def _find_steps(self, state: State) -> Iterator[tuple[str, State]]:
        """What can happen next."""
        calls = [
            (index, invocation, call)
            for index, invocation in enumerate(state.invocations)
            if invocation and (call := invocation.call) and self._may_come(index, state)
        ]
        for index, invocation, call in calls:
            if self._is_independent(state, index, call):
                yield self._make_call(state, index, invocation, call)
                return
        yield from self._find_changes(state)
        for index, invocation, call in calls:
            yield self._make_call(state, index, invocation, call)
        if state.crashes_left:
            for index, at in enumerate(state.invocations):
                if not at or at.answers:
                    again = state.with_invocation(index, self._beginnings[index])
                    yield f"crash of {index}", again._replace(crashes_left=state.crashes_left - 1)

    def _find_changes(self, state: State) -> Iterator[tuple[str, State]]:
        """What can happen in the bucket."""
        if state.uploaded < len(self._uploads):
            kept = state.stored if self._scenario.versioned else ()
            stored = (*kept, self._uploads[state.uploaded])
            yield f"upload {state.uploaded}", state._replace(stored=stored, uploaded=state.uploaded + 1)
        for number in self._scenario.late:
            if number < state.uploaded and number not in state.arrived:
                yield f"file of {number}", state._replace(arrived=tuple(sorted((*state.arrived, number))))
            if self._scenario.waits and number < state.uploaded and number not in state.over:
                yield f"end of the wait for {number}", state._replace(over=tuple(sorted((*state.over, number))))
        for upload in self._deletable.intersection(state.stored):
            stored = tuple(kept for kept in state.stored if kept != upload)
            yield f"deletion of {upload.number}", state._replace(stored=stored)

    def _may_come(self, index: int, state: State) -> bool:
        delivery = self._scenario.deliveries[index]
        if delivery.after_files and delivery.upload not in state.arrived:
            return False
        is_free = state.put_back[index] <= self._scenario.free_looks
        if not is_free and not {*self._scenario.late} <= {*state.arrived, *state.over}:
            return False
        return delivery.after <= state.uploaded

    def _is_independent(self, state: State, index: int, call: Call) -> bool:
        """Whether nothing else that can still happen changes the answer, or depends on what the call changes."""
        if call.is_of_the_table:
            others = (*state.invocations[:index], *state.invocations[index + 1 :])
            return not state.crashes_left and not any(others)
        if call.operation == "send_message":
            return True
        if call.operation == "is_over":
            return int(call.argument or 0) in state.over
        if call.operation == "list_objects_v2":
            return len(state.arrived) == len(self._scenario.late)
        if call.argument and self._scenario.versioned:
            return all(upload.version_id != call.argument for upload in self._deletable.intersection(state.stored))
        return state.uploaded == len(self._uploads) and self._deletable.isdisjoint(state.stored)

    def _make_call(self, state: State, index: int, invocation: Invocation, call: Call) -> tuple[str, State]:
        if call.operation == "send_message":
            put_back = (*state.put_back[:index], state.put_back[index] + 1, *state.put_back[index + 1 :])
            again = state._replace(put_back=put_back).with_invocation(index, self._beginnings[index])
            return f"message of {index} put back", again
        item, answer = self._perform(state, call)
        following = state._replace(item=item)
        if call.operation == "list_objects_v2" and call.argument:
            number = int(call.argument)
            if number == self._scenario.deliveries[index].upload and number not in (*state.arrived, *state.given_up):
                following = following._replace(given_up=tuple(sorted((*state.given_up, number))))

        def find_answer(further: Call) -> Any:
            if further.only_reads and not further.is_of_the_table and self._is_independent(following, index, further):
                return self._perform(following, further)[1]
            return PAUSE

        at = invocation.after(answer, find_answer)
        return f"{call.operation} of {index}", following.with_invocation(index, at if at.call else None)

    def _perform(self, state: State, call: Call) -> tuple[Item, Any]:
        """The item after a call, and its answer."""
        if call.operation == "update_item":
            assert call.argument
            return update(state.item, call.argument)
        if call.operation == "get_item":
            return state.item, state.item
        if call.operation == "is_over":
            return state.item, int(call.argument or 0) in state.over
        if call.operation == "list_objects_v2":
            return state.item, state.arrived
        if call.operation == "list_object_versions":
            return state.item, state.stored[::-1]
        found = [upload for upload in state.stored if call.argument in (None, upload.version_id)]
        return state.item, max(found, default=None)


_ABSENT: dict[str, Any] = dict.fromkeys(
    ("throughput", "global_indexes", "indexes", "streams", "sse_specification", "tags", "warm_throughput")
)
_KEY_NAMES = ("organisation_id", "run_id")


@functools.cache
def update(item: Item, request: str) -> tuple[Item, tuple[bool, Item]]:
    """An update of the item by moto: the item after it; whether it was written, and else what was found.

    The condition is evaluated by itself, since moto takes ten times as long to read the rest of the request.
    """
    arguments = json.loads(request)
    names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]
    if not get_filter_expression(arguments["ConditionExpression"], names, values).expr(_read(item)):
        return item, (False, item)
    backend = DynamoDBBackend("us-east-1", "123456789012")
    backend.create_table(
        TABLE,
        schema=[
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(_KEY_NAMES, ("HASH", "RANGE"), strict=True)
        ],
        attr=[{"AttributeName": name, "AttributeType": "S"} for name in _KEY_NAMES],
        **_ABSENT,
        billing_mode="PAY_PER_REQUEST",
        deletion_protection_enabled=False,
    )
    if item:
        backend.put_item(TABLE, json.loads(item))
    after = backend.update_item(TABLE, arguments["Key"], arguments["UpdateExpression"], names, values)
    return json.dumps(after.to_json()["Attributes"], sort_keys=True), (True, None)


@functools.cache
def _read(item: Item) -> MotoItem | None:
    """An item as moto keeps it; it is not changed."""
    if item is None:
        return None
    attributes = json.loads(item)
    hash_key, range_key = (DynamoType(attributes[name]) for name in _KEY_NAMES)
    return MotoItem(hash_key, range_key, attributes)
