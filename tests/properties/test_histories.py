"""Any history of a run: whatever becomes of its metadata.json, and however its events come.

A history is a list of steps, for example: upload a good document, "a"; upload another one, "b"; upload a
bad one; a back-fill's task is handled; the event of "b" is handled. At its end each upload is covered:
either its own event was handled, or an event without a sequencer was handled after it. So the record has
to be rejected, for the third upload, with the config of "b".

The model is that sentence over the list of uploads, not the way in which the code finds out.

Document "d" lists a file that arrives at any time. Until its wait ends, also at any time, a message of the queue that
finds the file missing is put back, and comes again at any time.
"""

import contextlib
import functools
import hashlib
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from handler.app import backfill_handler, lambda_handler
from local.show import plain
from local.stack import LocalStack
from run_recorder.config import load_settings
from run_recorder.domain import Run
from run_recorder.replay import ReplayingRecorder
from run_recorder.runs import RunTable
from run_recorder.s3 import S3
from run_recorder.waiting import Wait
from tests.support.documents import BAD, good
from tests.support.events import batch_event, batch_task, eventbridge_event, notification, s3_record, sqs_event
from tests.support.names import key_of

# Hexadecimal digits of several lengths: compared as strings, the later would be the lower.
FIRST_SEQUENCER = 0xFD

LATE_FILE = "late.csv"
LATEST = ("status", "version_id", "etag", "uploaded_at")

# The attributes that each document sets; None for one to reject. Few documents, so that entity tags repeat.
DOCUMENTS: dict[bytes, dict[str, Any] | None] = {
    good("a", name="A", tags={"t": "a"}): {"config": "a", "name": "A", "tags": {"t": "a"}},
    good("b", created_by="B"): {"config": "b", "created_by": "B"},
    good("c"): {"config": "c"},
    good("d", files=[{"path": LATE_FILE}]): {"config": "d"},
    BAD: None,
    b"{": None,
}


@dataclass(frozen=True, eq=False)
class Version:
    """An uploaded version of the object; a delete marker, if it has no body.

    Attributes:
        number: its place among all uploads; also that of its LastModified.
    """

    version_id: str | None
    body: bytes = b""
    etag: str = ""
    number: int = -1
    uploaded_at: str = ""

    @property
    def sequencer(self) -> int:
        """Its place in S3's order, as an event states it."""
        return FIRST_SEQUENCER + self.number

    @property
    def lists_a_late_file(self) -> bool:
        """Whether it is good only once that file is there."""
        return LATE_FILE.encode() in self.body


@dataclass(frozen=True)
class Event:
    """What an event says of the object."""

    version_id: str | None
    etag: str | None
    sequencer: int | None


def by_s3(key: str, event: Event) -> str:
    """Return the outcome of an S3 notification, which spells sequencers in one way."""
    sequencer = {} if event.sequencer is None else {"sequencer": f"00{event.sequencer:X}"}
    record = s3_record(key, eTag=event.etag, versionId=event.version_id, **sequencer)
    outcome: str = lambda_handler(notification(record), None)["outcomes"][0]["outcome"]
    return outcome


def by_eventbridge(key: str, event: Event) -> str:
    """Return the outcome of an event of EventBridge, which spells them in another."""
    sequencer = {} if event.sequencer is None else {"sequencer": f"{event.sequencer:x}"}
    answer = lambda_handler(eventbridge_event(key, etag=event.etag, version_id=event.version_id, **sequencer), None)
    outcome: str = answer["outcomes"][0]["outcome"]
    return outcome


def by_task(key: str, event: Event) -> str:
    """Return the outcome of a task of S3 Batch Operations."""
    answer = backfill_handler(batch_event(batch_task(key, version_id=event.version_id)), None)
    outcome: str = answer["results"][0]["resultString"]
    return outcome


def message_of(key: str, event: Event) -> str:
    """Return the body of the message that SQS delivers for an event."""
    sequencer = {} if event.sequencer is None else {"sequencer": f"00{event.sequencer:X}"}
    return json.dumps(notification(s3_record(key, eTag=event.etag, versionId=event.version_id, **sequencer)))


def by_queue(key: str, event: Event) -> str:
    """Handle an event from the queue, whose answer names no outcome."""
    assert lambda_handler(sqs_event(message_of(key, event)), None) == {"batchItemFailures": []}
    return ""


Send = Callable[[str, Event], str]
live = st.sampled_from([by_s3, by_eventbridge, by_queue])


def without_none(**attributes: Any) -> dict[str, Any]:
    """The attributes that there are."""
    return {name: value for name, value in attributes.items() if value is not None}


class Histories(RuleBasedStateMachine):
    """Uploads, overwrites, deletions; events early, late, twice, never, with and without order."""

    uploads: Bundle[Version] = Bundle("uploads")

    def __init__(self, stack: LocalStack, environment: pytest.MonkeyPatch, figures: Counter[str]) -> None:
        super().__init__()
        figures["histories"] += 1
        self.figures = figures
        self.stack = stack
        self.run_id = f"run-{figures['histories']}"
        self.key = key_of(self.run_id)
        self.bucket = f"bucket-{figures['histories']}"
        stack.s3.create_bucket(Bucket=self.bucket)
        environment.setenv("RUNS_BUCKET", self.bucket)

        self.versioned = False
        self.always_versioned = False
        self.others = False
        self.file_is_there = False
        self.has_lost_versions = False
        self.versions: list[Version] = []
        self.uploaded: list[Version] = []
        # The uploads that the record must have heard of.
        self.covered: set[Version] = set()
        self.told: set[Version] = set()
        self.sequenced_events = 0
        self.record: dict[str, Any] = {}
        self.over: set[Version] = set()
        # The events of messages that wait in the queue, by their bodies.
        self.messages: dict[str, Event] = {}
        self.put_back: list[str] = []
        environment.setattr("run_recorder.queue.UploadsQueue.put_back", lambda _, body, __: self.put_back.append(body))
        environment.setattr("run_recorder.evaluator.Wait.of", self._find_wait)

    def _find_wait(self, last_modified: datetime, _seconds: int) -> Wait:
        uploaded_at = last_modified.strftime("%Y-%m-%dT%H:%M:%SZ")
        (upload,) = [upload for upload in self.uploaded if upload.uploaded_at == uploaded_at]
        return Wait(100, 0 if upload in self.over else 100)

    @property
    def stored(self) -> list[Version]:
        """The versions that are there, less delete markers, the oldest first."""
        return [version for version in self.versions if version.body]

    @property
    def current(self) -> Version | None:
        """The newest version that is there; a deletion is no upload."""
        return self.stored[-1] if self.stored else None

    @initialize(versioned=st.booleans(), others=st.booleans())
    def begin(self, versioned: bool, others: bool) -> None:
        """With a bucket of one kind or the other, and S3's own events alone or others, too."""
        self.others = others
        self.always_versioned = versioned
        if versioned:
            self.enable_versioning()

    @precondition(lambda self: not self.versioned)
    @rule()
    def enable_versioning(self) -> None:
        """What is there keeps its null version."""
        self.versioned = True
        self.stack.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    @rule(
        target=uploads, bodies=st.lists(st.sampled_from(list(DOCUMENTS)), min_size=1, max_size=3), prompt=st.booleans()
    )
    def upload(self, bodies: list[bytes], prompt: bool) -> MultipleResults[Version]:
        """One after the other; the events come at once, or later, or never."""
        return multiple(*[self._put(body, prompt=prompt) for body in bodies])

    def _put(self, body: bytes, *, prompt: bool) -> Version:
        response = self.stack.s3.put_object(Bucket=self.bucket, Key=self.key, Body=body)
        head = self.stack.s3.head_object(Bucket=self.bucket, Key=self.key)
        uploaded_at = head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ")
        etag = response["ETag"].strip('"')
        version = Version(response.get("VersionId"), body, etag, len(self.uploaded), uploaded_at)
        self.versions = [*self.versions, version] if self.versioned else [version]
        self.uploaded.append(version)
        self.figures["uploads"] += 1
        if prompt:
            self.deliver(version, by_s3)
        return version

    @precondition(lambda self: not self.file_is_there)
    @rule()
    def upload_late_file(self) -> None:
        """Which makes documents good that were not; the record hears of that by another event only."""
        self.stack.s3.put_object(Bucket=self.bucket, Key=f"runs/acme/{self.run_id}/{LATE_FILE}", Body=b"")
        self.file_is_there = True
        self.covered = {upload for upload in self.covered if not upload.lists_a_late_file}

    @rule(upload=uploads)
    def end_wait(self, upload: Version) -> None:
        """The files of an upload are not waited for any more."""
        self.over.add(upload)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """A message that was put back."""
        body = data.draw(st.sampled_from(sorted(self.messages)))
        event = self.messages.pop(body)
        named = [upload for upload in self.uploaded if upload.version_id == event.version_id]
        counts = {*named}.intersection(self.versions) if event.version_id else set()
        self._handle(by_queue, event, counts if event.sequencer is not None else set(self.stored))

    @precondition(lambda self: self.versions and self.versions[-1].body)
    @rule()
    def delete(self) -> None:
        """Leave a delete marker if the bucket has versions."""
        response = self.stack.s3.delete_object(Bucket=self.bucket, Key=self.key)
        self.versions = [*self.versions, Version(response["VersionId"])] if self.versioned else []

    @precondition(lambda self: any(version.version_id for version in self.versions))
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        """For ever; that of a delete marker brings back what it hid."""
        version = data.draw(st.sampled_from([version for version in self.versions if version.version_id]))
        self.stack.s3.delete_object(Bucket=self.bucket, Key=self.key, VersionId=version.version_id)
        self.versions.remove(version)
        self.has_lost_versions |= bool(version.body)

    @rule(upload=uploads, send=live)
    def deliver(self, upload: Version, send: Send) -> None:
        """The event that S3 made: for the first time, late, or once more."""
        # Without a version, an event stands for the object that is there by then.
        counts = upload in self.versions if upload.version_id else upload is self.current
        if counts:
            self.told.add(upload)
        self._handle(send, Event(upload.version_id, upload.etag, upload.sequencer), {upload} if counts else set())

    @precondition(lambda self: self.uploaded)
    @rule(order=st.randoms(use_true_random=False), send=live)
    def replay_all(self, order: Any, send: Send) -> None:
        """The lost ones, too."""
        for upload in order.sample(self.uploaded, len(self.uploaded)):
            self.deliver(upload, send)

    @precondition(lambda self: self.others)
    @rule(upload=uploads, send=live)
    def deliver_without_sequencer(self, upload: Version, send: Send) -> None:
        """As emulators, and people, do."""
        self._handle(send, Event(upload.version_id, upload.etag, None), set(self.stored))

    @precondition(lambda self: self.others)
    @rule(upload=uploads, by_version=st.booleans())
    def back_fill(self, upload: Version, by_version: bool) -> None:
        """By a job that may have listed the bucket long ago, or by a repair."""
        self._handle(by_task, Event(upload.version_id if by_version else None, None, None), set(self.stored))

    @precondition(lambda self: self.others)
    @rule()
    def replay(self) -> None:
        """The current upload again, though it is settled. An incomplete one waits, and nothing is recorded."""
        self.figures["replays"] += 1
        before, current = self._read(), self.current
        recorder = ReplayingRecorder(load_settings(), S3(), RunTable(self.stack.outputs["RunsTable"]))
        result = recorder.replay(Run("acme", self.run_id))
        self.record = self._read()
        assert (result.state == "gone") is (current is None)
        assert (result.state == "changed") is (before != self.record)
        assert result.after == self.record.get("status")
        if result.state == "waiting":
            assert self.current
            assert self._waits(self.current)
        elif self.record:
            self.covered |= set(self.stored)
            self._check_record(before)

    def _handle(self, send: Send, event: Event, covered: set[Version]) -> None:
        """Handle an event, and check the record and the report of it."""
        self.figures["events"] += 1
        self.sequenced_events += event.sequencer is not None
        self.covered |= covered
        before = self.record
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            outcome = send(self.key, event)
        self.record = self._read()
        lines = [line["outcome"] for line in map(json.loads, output.getvalue().splitlines()) if "message" in line]
        outcome = outcome or lines[0]
        self._check_outcome(event, outcome)
        self._check_message(send, event, outcome, before)
        if self.always_versioned:
            # Each upload that the record comes to show is reported once, by whatever event.
            is_changed = [before.get(name) for name in LATEST] != [self.record.get(name) for name in LATEST]
            reported = [line for line in lines if line in ("recorded", "rejected")]
            is_pending = self.record.get("status") == "pending"  # which each look reports
            assert reported == [self.record.get("status")] * (is_changed and not is_pending)
            assert "pending" in lines or not (is_changed and is_pending)
        assert outcome in lines
        if self.record:
            self._check_record(before)

    def _read(self) -> dict[str, Any]:
        key = {"organisation_id": {"S": "acme"}, "run_id": {"S": self.run_id}}
        item = self.stack.dynamodb.get_item(TableName=self.stack.outputs["RunsTable"], Key=key).get("Item")
        return plain(item) if item else {}

    def _check_outcome(self, event: Event, outcome: str) -> None:
        if outcome == "ignored":
            assert not self.stored or event.version_id not in [version.version_id for version in self.stored]
        elif event.version_id:
            (named,) = [upload for upload in self.uploaded if upload.version_id == event.version_id]
            shown = self._find(self.record)
            assert (shown is named) is (outcome != "stale")
            assert self.has_lost_versions or shown.number >= named.number
        elif outcome != "stale":
            assert event.etag in (None, self.record["etag"]) or event.sequencer is not None

    def _check_message(self, send: Send, event: Event, outcome: str, before: dict[str, Any]) -> None:
        """A message is put back as it was, if and only if an upload that it led to still waits for its file."""
        put_back, self.put_back = self.put_back, []
        assert put_back in ([], [message_of(self.key, event)] * (send is by_queue))
        self.messages |= dict.fromkeys(put_back, event)
        if not self.always_versioned or self.has_lost_versions:
            return
        waiting = {upload for upload in self.uploaded if self._waits(upload)}
        assert waiting or not put_back
        if self.record.get("status") == "pending":
            assert self.messages, "nobody looks again"
        if (before.get("status"), self.record.get("status")) == ("pending", "rejected"):
            assert self._find(before) not in waiting or self._find(before) is not self._find(self.record)
        named = [upload for upload in self.uploaded if upload.version_id == event.version_id]
        for upload in waiting.intersection(named):
            accepted = {newer for newer in self.covered if newer.number > upload.number and self._is_good(newer)}
            if send is by_queue and not accepted and outcome != "duplicate":
                assert put_back
        assert (outcome == "pending") is (self.record.get("status") == "pending" and self._is_shown(event))

    def _waits(self, upload: Version) -> bool:
        return upload.lists_a_late_file and not self.file_is_there and upload not in self.over

    def _is_shown(self, event: Event) -> bool:
        return event.version_id in (None, self.record["version_id"]) and event.etag in (None, self.record["etag"])

    def _find(self, attributes: dict[str, Any]) -> Version:
        """The upload that attributes of a record name."""
        names = ("version_id", "etag", "uploaded_at") if "uploaded_at" in attributes else ("version_id", "etag")
        return max(
            (
                upload
                for upload in self.uploaded
                if all(getattr(upload, name) == attributes.get(name) for name in names)
            ),
            key=lambda upload: upload.number,
        )

    def _is_good(self, upload: Version) -> bool:
        return DOCUMENTS[upload.body] is not None and (self.file_is_there or not upload.lists_a_late_file)

    def _check_record(self, before: dict[str, Any]) -> None:
        latest = self._find(self.record)
        source = self._find(self.record["source"]) if "source" in self.record else None
        self._check_attributes(before, latest, source)
        if self.always_versioned:
            self._check_view(latest, source, before)
        else:
            self._check_view_without_versions(latest, source)

    def _check_view(self, latest: Version, source: Version | None, before: dict[str, Any]) -> None:
        """The record is what one gets by taking the uploads one after the other."""
        accepted = [upload for upload in self.covered if self._is_good(upload)]
        views = [(newest(self.covered), newest(accepted))]
        if self.has_lost_versions:
            # A version that is deleted for ever may count as an upload or not. Nothing is filled in beside a
            # source that is not there any more.
            stays = self._find(before["source"]).number if "source" in before else -1
            latest_numbers = {views[0][0], newest(self.stored), self._find(before).number if before else -1}
            sources = {views[0][1], newest(filter(self._is_good, self.stored)), stays}
            views = list(itertools.product(latest_numbers, sources))
        view = (latest.number, source.number if source else -1)
        if self.covered >= {*(self.stored if self.has_lost_versions else self.uploaded)}:
            assert view in views
        else:  # it may have heard of others, too, but of nothing older
            assert view[0] >= min(number for number, _ in views)
            assert view[1] >= min(number for _, number in views)

    def _check_view_without_versions(self, latest: Version, source: Version | None) -> None:
        """What has been overwritten cannot be read. The last upload is known to be the last by its own
        sequencer, or if no event has one.
        """
        if self.has_lost_versions:
            return
        last = self.uploaded[-1]
        if last in self.covered and last is self.current and (last in self.told or not self.sequenced_events):
            assert latest is last
            assert source is last or not self._is_good(last)

    def _check_attributes(self, before: dict[str, Any], latest: Version, source: Version | None) -> None:
        """Each attribute is that of the upload that the record names for it."""
        expected = {
            "errors": self.record["status"] != "recorded" or None,
            "version_id": latest.version_id,
            "etag": latest.etag,
            **((DOCUMENTS[source.body] or {}) if source else {}),
        }
        if source:
            expected["source"] = without_none(
                version_id=source.version_id,
                etag=source.etag,
                size=len(source.body),
                sha256=hashlib.sha256(source.body).hexdigest(),
            )
            assert DOCUMENTS[source.body]
        record = simplify(self.record)
        for attributes, upload in ((record, latest), (record.get("source", {}), source)):
            sequencer = attributes.pop("sequencer", None)
            if upload and upload.version_id and self.always_versioned:
                assert sequencer in (None, upload.sequencer)
        assert record.pop("status") == "recorded" or not self._is_good(latest) or latest.lists_a_late_file
        assert record == without_none(**expected)
        if self.record["status"] == "recorded":
            assert source
            assert (source.version_id, source.etag) == (latest.version_id, latest.etag)
        assert (self.record["bucket"], self.record["key"]) == (self.bucket, self.key)
        assert before.get("first_recorded_at", self.record["first_recorded_at"]) == self.record["first_recorded_at"]


def newest(uploads: Iterable[Version]) -> int:
    """The number of the last of some uploads; -1 if there is none."""
    return max((upload.number for upload in uploads), default=-1)


def simplify(record: dict[str, Any]) -> dict[str, Any]:
    """A record less what it says of times and places, with sequencers as the integers that they are."""
    kept = {
        name: value
        for name, value in record.items()
        if name not in ("organisation_id", "run_id", "bucket", "key", "config_sha256") and not name.endswith("_at")
    }
    for attributes in (kept, kept.get("source", {})):
        if "sequencer" in attributes:
            assert re.fullmatch("[0-9A-F]{32}", attributes["sequencer"])
            attributes["sequencer"] = int(attributes["sequencer"], 16)
    if "config" in kept:
        kept["config"] = kept["config"]["model"]["name"]
    if "errors" in kept:
        kept["errors"] = bool(kept["errors"])
    return kept


@pytest.mark.usefixtures("distinct_times")
@pytest.mark.parametrize("histories", [24, pytest.param(2_500, marks=pytest.mark.slow)])
def test_record_is_right_after_every_step_of_any_history(
    stack: LocalStack, environment: pytest.MonkeyPatch, record_property: Callable[[str, object], None], histories: int
) -> None:
    figures = Counter[str]()
    make_machine: Any = functools.partial(Histories, stack, environment, figures)
    run_state_machine_as_test(
        make_machine,
        settings=settings(max_examples=histories, stateful_step_count=30),
    )
    for name, count in figures.items():
        record_property(name, count)
