"""Any history of a run: whatever becomes of its metadata.json, and however its events come.

The model is the contract over a list of versions; it knows nothing of the code.
"""

import contextlib
import hashlib
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from handler.app import backfill_handler, lambda_handler
from local.stack import LocalStack
from tests.conftest import SOAK
from tests.integration.conftest import plain

# Hexadecimal digits of several lengths: compared as strings, the later would be the lower.
FIRST_SEQUENCER = 0xFD

# What each document sets; None is one to reject. Few, so that the same entity tag comes again.
DOCUMENTS: dict[bytes, dict[str, Any] | None] = {
    b'{"model": {"name": "a", "version": "1"}, "name": "A", "tags": {"t": "a"}}': {
        "config": "a",
        "name": "A",
        "tags": {"t": "a"},
    },
    b'{"model": {"name": "b", "version": "1"}, "created_by": "B"}': {"config": "b", "created_by": "B"},
    b'{"model": {"name": "c", "version": "1"}}': {"config": "c"},
    b'{"model": 1}': None,
    b"{": None,
}


@dataclass(frozen=True, eq=False)
class Version:
    """An uploaded version of the object; a delete marker, if it has no body."""

    version_id: str | None
    body: bytes = b""
    etag: str = ""
    sequencer: int = 0


@dataclass(frozen=True)
class Event:
    """What an event says of the object."""

    version_id: str | None
    etag: str | None
    sequencer: int | None

    def about(self, version: Version) -> bool:
        """Whether it names this very version."""
        if self.version_id or version.version_id:
            return self.version_id == version.version_id
        return self.etag == version.etag


def notification(bucket: str, key: str, event: Event) -> str:
    """The outcome of an S3 notification, which spells sequencers in one way."""
    s3_object: dict[str, Any] = {"key": key, "eTag": event.etag, "versionId": event.version_id}
    if event.sequencer is not None:
        s3_object["sequencer"] = f"00{event.sequencer:X}"
    s3 = {"bucket": {"name": bucket}, "object": s3_object}
    record = {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
    outcome: str = lambda_handler({"Records": [record]}, None)["outcomes"][0]["outcome"]
    return outcome


def eventbridge(bucket: str, key: str, event: Event) -> str:
    """The outcome of an event of EventBridge, which spells them in another."""
    s3_object: dict[str, Any] = {"key": key, "etag": event.etag, "version-id": event.version_id}
    if event.sequencer is not None:
        s3_object["sequencer"] = f"{event.sequencer:x}"
    detail = {"bucket": {"name": bucket}, "object": s3_object}
    answer = lambda_handler({"source": "aws.s3", "detail-type": "Object Created", "detail": detail}, None)
    outcome: str = answer["outcomes"][0]["outcome"]
    return outcome


def task(bucket: str, key: str, event: Event) -> str:
    """The outcome of a task of S3 Batch Operations."""
    tasks = [{"taskId": "t", "s3Key": key, "s3VersionId": event.version_id, "s3Bucket": bucket}]
    invocation = {"invocationSchemaVersion": "2.0", "invocationId": "i", "tasks": tasks}
    outcome: str = backfill_handler(invocation, None)["results"][0]["resultString"]
    return outcome


Send = Callable[[str, str, Event], str]
live = st.sampled_from([notification, eventbridge])


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
        self.key = f"runs/acme/{self.run_id}/metadata.json"
        self.bucket = f"bucket-{figures['histories']}"
        stack.s3.create_bucket(Bucket=self.bucket)
        environment.setenv("RUNS_BUCKET", self.bucket)

        self.versioned = False
        self.others = False
        self.unchecked = False
        self.versions: list[Version] = []
        self.uploaded: list[Version] = []
        # The record as it must be, less its times.
        self.shown: Version | None = None
        self.latest: dict[str, Any] = {}
        self.accepted: dict[str, Any] = {}
        # What has been seen of it, and which uploads it must have heard of.
        self.first_recorded_at: str | None = None
        self.told: set[Version] = set()
        self.in_order: set[Version] | None = None

    @property
    def current(self) -> Version | None:
        """What a read without a version finds."""
        return self.versions[-1] if self.versions and self.versions[-1].body else None

    @initialize(versioned=st.booleans(), others=st.booleans())
    def begin(self, versioned: bool, others: bool) -> None:
        """With a bucket of one kind or the other, and S3's own events alone or others, too."""
        self.others = others
        if versioned:
            self.enable_versioning()
            self.in_order = set()

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
        sequencer = FIRST_SEQUENCER + len(self.uploaded)
        version = Version(response.get("VersionId"), body, response["ETag"].strip('"'), sequencer)
        self.versions = [*self.versions, version] if self.versioned else [version]
        self.uploaded.append(version)
        self.figures["uploads"] += 1
        if prompt:
            self.deliver(version, notification)
        return version

    @precondition(lambda self: self.current)
    @rule()
    def delete(self) -> None:
        """Leaves a delete marker if the bucket has versions."""
        response = self.stack.s3.delete_object(Bucket=self.bucket, Key=self.key)
        self.versions = [*self.versions, Version(response["VersionId"])] if self.versioned else []

    @precondition(lambda self: any(version.version_id for version in self.versions))
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        """For ever; that of a delete marker brings back what it hid."""
        version = data.draw(st.sampled_from([version for version in self.versions if version.version_id]))
        self.stack.s3.delete_object(Bucket=self.bucket, Key=self.key, VersionId=version.version_id)
        self.versions.remove(version)

    @rule(upload=uploads, send=live)
    def deliver(self, upload: Version, send: Send) -> None:
        """The event that S3 made: for the first time, late, or once more."""
        if self.in_order is not None and upload in self.versions:
            self.in_order.add(upload)
        if upload is self.current:
            self.told.add(upload)
        self._handle(send, Event(upload.version_id, upload.etag, upload.sequencer), own=True)

    @precondition(lambda self: self.uploaded)
    @rule(order=st.randoms(use_true_random=False), send=live)
    def replay_all(self, order: Any, send: Send) -> None:
        """The lost ones, too."""
        for upload in order.sample(self.uploaded, len(self.uploaded)):
            self.deliver(upload, send)

    @precondition(lambda self: self.others)
    @rule(upload=uploads, send=live)
    def deliver_without_version(self, upload: Version, send: Send) -> None:
        """As S3 tells of what was uploaded before versioning was enabled."""
        self._handle(send, Event(None, upload.etag, upload.sequencer))

    @precondition(lambda self: self.others)
    @rule(upload=uploads, send=live)
    def deliver_without_sequencer(self, upload: Version, send: Send) -> None:
        """As emulators, and people, do."""
        self._handle(send, Event(upload.version_id, upload.etag, None))

    @precondition(lambda self: self.others)
    @rule(upload=uploads, by_version=st.booleans())
    def back_fill(self, upload: Version, by_version: bool) -> None:
        """By a job that may have listed the bucket long ago."""
        self._handle(task, Event(upload.version_id if by_version else None, None, None))

    def _handle(self, send: Send, event: Event, *, own: bool = False) -> None:
        if not own:
            self.in_order = None
        self.figures["events"] += 1
        self.unchecked = True
        expected = self._expect(event)
        with contextlib.redirect_stdout(io.StringIO()):
            assert send(self.bucket, self.key, event) == expected

    def _expect(self, event: Event) -> str:
        """Contract section 8: the outcome of an event, and the record after it."""
        if event.sequencer is None:
            return self._expect_unsequenced(event)
        named = [version for version in self.versions if version.version_id == event.version_id]
        upload = next(iter(named), None) if event.version_id else self.current
        if upload is None:
            return "ignored"
        if self.latest and "sequencer" not in self.latest:
            return self._expect_unsequenced(event)
        return self._expect_sequenced(upload, event.sequencer)

    def _expect_sequenced(self, upload: Version, sequencer: int) -> str:
        if not self.latest or sequencer > self.latest["sequencer"]:
            return self._show(upload, sequencer)
        if sequencer == self.latest["sequencer"]:
            return "duplicate"
        fills_in = not self.accepted or self.accepted["source"].get("sequencer", sequencer) < sequencer
        if DOCUMENTS[upload.body] and self.latest["status"] == "rejected" and fills_in:
            self._accept(upload, sequencer)
        return "stale"

    def _expect_unsequenced(self, event: Event) -> str:
        if self.current is None:
            return "ignored"
        known = (self.latest.get("version_id"), self.latest.get("etag")) == (self.current.version_id, self.current.etag)
        if known and (self.current.version_id or self.shown == self.current):
            return "duplicate"
        # Without versions, the same document uploaded again is another upload, which the record then shows.
        outcome = self._show(self.current, event.sequencer if event.about(self.current) else None)
        return "duplicate" if known else outcome

    def _show(self, version: Version, sequencer: int | None) -> str:
        """Contract section 7: what the latest upload sets."""
        self.shown = version
        good = DOCUMENTS[version.body] is not None
        self.latest = without_none(
            status="recorded" if good else "rejected",
            errors=None if good else True,
            version_id=version.version_id,
            etag=version.etag,
            sequencer=sequencer,
        )
        if good:
            self._accept(version, sequencer)
        return str(self.latest["status"])

    def _accept(self, version: Version, sequencer: int | None) -> None:
        source = without_none(
            version_id=version.version_id,
            etag=version.etag,
            sequencer=sequencer,
            size=len(version.body),
            sha256=hashlib.sha256(version.body).hexdigest(),
        )
        self.accepted = {**(DOCUMENTS[version.body] or {}), "source": source}

    @precondition(lambda self: self.unchecked)
    @invariant()
    def record_is_right(self) -> None:
        """After each step that handled events."""
        self.unchecked = False
        key = {"organisation_id": {"S": "acme"}, "run_id": {"S": self.run_id}}
        item = self.stack.dynamodb.get_item(TableName=self.stack.outputs["RunsTable"], Key=key).get("Item")
        record = plain(item) if item else {}
        assert simplify(record) == {**self.latest, **self.accepted}
        if record:
            assert (record["bucket"], record["key"]) == (self.bucket, self.key)
            assert self.first_recorded_at in (None, record["first_recorded_at"])
            self.first_recorded_at = record["first_recorded_at"]
        self._check_against_the_bucket(record)

    def _check_against_the_bucket(self, record: dict[str, Any]) -> None:
        """What holds whatever the way that led here."""
        if self.current in self.told and self.current is self.uploaded[-1]:
            assert (record.get("version_id"), record["etag"]) == (self.current.version_id, self.current.etag)
        if self.in_order:  # S3's own events alone, in a versioned bucket: as if handled one by one, in order
            in_order = sorted(self.in_order, key=lambda version: version.sequencer)
            assert record["version_id"] == in_order[-1].version_id
            good = [version.version_id for version in in_order if DOCUMENTS[version.body]]
            assert record.get("source", {}).get("version_id") == (good[-1] if good else None)


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


def test_record_is_right_after_every_step_of_any_history(
    stack: LocalStack, environment: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    figures = Counter[str]()
    # Uploads of the same second would look like one.
    seconds = itertools.count()
    begin = datetime(2026, 11, 20, 8, 30)  # noqa: DTZ001 - as moto has it
    environment.setattr("moto.s3.models.utcnow", lambda: begin + timedelta(seconds=next(seconds)))
    run_state_machine_as_test(
        lambda: Histories(stack, environment, figures),
        settings=settings(max_examples=2_500 if SOAK else 36, stateful_step_count=30),
    )
    for name, count in figures.items():
        record_property(name, count)
