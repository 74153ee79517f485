"""The record against the bucket's list of versions, over mocked clients."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError

from handler.config import load_settings
from handler.domain import ObjectEvent, Outcome, Run
from handler.errors import ContentionError
from handler.last_accepted import MAX_OLDER_VERSIONS
from handler.recorder import Recorder
from handler.runs import RunTable
from handler.s3 import S3
from handler.verdict import Result

BUCKET, KEY = "run-recorder-runs", "runs/acme/run-0001/metadata.json"
SEQUENCER = "5".zfill(32)
GOOD: dict[str, Any] = {"model": {"name": "m", "version": "1"}}
BAD: dict[str, Any] = {"name": 1}
INCOMPLETE: dict[str, Any] = {**GOOD, "files": [{"path": "a.csv"}]}
NAME_ERROR = {"path": "/name", "message": "expected a string, found an integer"}
FILE_ERROR = {"path": "/files/0/path", "message": "no object a.csv below the run's prefix"}
MODEL_ERROR = {"path": "/model", "message": "required, since this deployment has no default model"}


@dataclass
class Bench:
    """A bucket and a table as mocked clients answer for them.

    Attributes:
        versions: the documents by version, the oldest first; the version "null" is one without an id.
        items: the states of the record that reads find, the last one again and again.
    """

    s3: MagicMock
    dynamodb: MagicMock
    error: Callable[..., ClientError]
    respond: Callable[..., dict[str, Any]]
    versions: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    is_deleted: bool = False

    def __post_init__(self) -> None:
        self.s3.get_object.side_effect = self._get_object
        self.s3.head_object.side_effect = lambda **call: self._get_object(**call) | {"Body": None}
        self.s3.get_paginator.return_value.paginate.side_effect = self._list_versions
        self.s3.list_objects_v2.return_value = {"IsTruncated": False}
        self.dynamodb.get_item.side_effect = lambda **_: self.items.pop(0) if len(self.items) > 1 else self.items[0]
        self.items.append({})

    def _get_object(self, **call: str) -> dict[str, Any]:
        version = call.get("VersionId") or ("" if self.is_deleted else next(reversed(self.versions), ""))
        if version not in self.versions:
            raise self.error("404" if call.get("VersionId") == "gone" else "NoSuchVersion")
        body = json.dumps(self.versions[version]).encode()
        return self.respond(body, VersionId=version, ETag=f'"e-{version}"')

    def _list_versions(self, **call: str) -> Any:
        assert call == {"Bucket": BUCKET, "Prefix": KEY}
        listed = [{"Key": KEY, "VersionId": name, "ETag": f'"e-{name}"'} for name in reversed(self.versions)]
        yield {"IsTruncated": False, "Versions": listed}

    def show(self, version: str, *errors: dict[str, str], source: str | None = None, **texts: str) -> dict[str, Any]:
        """Let the record show a version, with the errors for which it is rejected."""
        status = "rejected" if errors else "recorded"
        recorded_at = "2026-11-20T08:30:01.000000Z"
        texts = {"status": status, "version_id": version, "etag": f"e-{version}", "recorded_at": recorded_at, **texts}
        item: dict[str, Any] = {name: {"S": text} for name, text in texts.items()}
        if errors:
            spelled = [{"M": {name: {"S": text} for name, text in error.items()}} for error in errors]
            item["errors"] = {"L": spelled}
        if source:
            item["source"] = {"M": {"version_id": {"S": source}, "etag": {"S": f"e-{source}"}}}
        self.items[-1] = {"Item": item}
        return self.items[-1]

    def handle(self, **event: Any) -> Result:
        """Handle an event; without a sequencer unless it says otherwise."""
        recorder = Recorder(load_settings(), S3(self.s3), RunTable("table", self.dynamodb))
        return recorder.handle(ObjectEvent(BUCKET, KEY, Run("acme", "run-0001"), created=True, **event))

    @property
    def read_versions(self) -> list[str | None]:
        """The versions that were read, None for the current one."""
        return [call.kwargs.get("VersionId") for call in self.s3.get_object.call_args_list]

    @property
    def written(self) -> dict[str, Any]:
        """The values of the only write that succeeded."""
        values: dict[str, Any] = self.dynamodb.update_item.call_args.kwargs["ExpressionAttributeValues"]
        return values

    @property
    def source(self) -> str | None:
        """The version of the source that was written."""
        source = self.written.get(":source", {"M": {}})["M"]
        return source["version_id"]["S"] if "version_id" in source else None


@pytest.fixture
def bench(
    s3_client: MagicMock,
    dynamodb_client: MagicMock,
    client_error: Callable[..., ClientError],
    get_object_response: Callable[..., dict[str, Any]],
) -> Bench:
    dynamodb_client.update_item.return_value = {}
    return Bench(s3_client, dynamodb_client, client_error, get_object_response)


def test_accepted_current_upload_is_written_whole(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": GOOD}
    assert bench.handle() == Result(Outcome.RECORDED)
    assert bench.read_versions == [None]
    assert (bench.written[":version_id"], bench.source) == ({"S": "v2"}, "v2")
    assert ":sequencer" not in bench.written
    bench.s3.get_paginator.assert_not_called()


def test_upload_that_is_recorded_already_is_a_duplicate_without_a_write(bench: Bench) -> None:
    bench.versions = {"v1": GOOD}
    bench.show("v1")
    assert bench.handle() == Result(Outcome.DUPLICATE)
    bench.dynamodb.update_item.assert_not_called()


def test_rejected_current_upload_is_written_with_the_last_accepted_one(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": GOOD, "v3": BAD, "v4": BAD}
    result = bench.handle()
    assert (result.outcome, [error.path for error in result.errors]) == (Outcome.REJECTED, ["/name", "/model"])
    assert bench.read_versions == [None, "v3", "v2"]
    assert (bench.written[":status"], bench.written[":version_id"]) == ({"S": "rejected"}, {"S": "v4"})
    assert (bench.source, ":config" in bench.written) == ("v2", True)


def test_search_ends_at_the_source_of_the_record(bench: Bench) -> None:
    bench.versions = {"v0": GOOD, "v1": GOOD, "v2": BAD, "v3": BAD}
    bench.show("v1", source="v1")
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.read_versions == [None, "v2"]
    assert bench.source is None


def test_nothing_is_filled_in_beside_a_source_that_is_not_listed_any_more(bench: Bench) -> None:
    bench.versions = {"v0": GOOD, "v2": GOOD, "v3": BAD}
    bench.show("v1", source="v1")
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.read_versions == [None]
    assert bench.source is None


def test_source_that_is_the_current_upload_ends_the_search(bench: Bench) -> None:
    """What was accepted before may be rejected by today's settings."""
    bench.versions = {"v0": GOOD, "v1": BAD}
    bench.show("v2", NAME_ERROR, source="v1")
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.read_versions == [None]


def test_version_null_takes_part(bench: Bench) -> None:
    bench.versions = {"null": GOOD, "v1": BAD}
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.read_versions == [None, "null"]
    assert bench.written[":source"]["M"]["etag"] == {"S": "e-null"}


def test_version_that_is_gone_since_it_was_listed_is_passed_over(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": GOOD, "v3": BAD}
    get_object = bench.s3.get_object.side_effect

    def read(**call: str) -> Any:
        if call.get("VersionId") == "v2":
            raise bench.error("NoSuchVersion")
        return get_object(**call)

    bench.s3.get_object.side_effect = read
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.source == "v1"


def test_settled_upload_is_not_evaluated_again_and_keeps_its_verdict(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": GOOD}
    bench.show("v2", NAME_ERROR, source="v1", sequencer=SEQUENCER)
    assert bench.handle() == Result(Outcome.DUPLICATE)
    bench.dynamodb.update_item.assert_not_called()


def test_settled_upload_gets_the_last_accepted_one_filled_in_and_loses_its_sequencer(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": BAD}
    bench.show("v2", NAME_ERROR, sequencer=SEQUENCER)
    assert bench.handle() == Result(Outcome.DUPLICATE)
    assert bench.source == "v1"
    assert ":status" not in bench.written
    assert "#sequencer" in bench.dynamodb.update_item.call_args.kwargs["UpdateExpression"].partition("REMOVE")[2]


@pytest.mark.parametrize(("files", "outcome"), [(["a.csv"], Outcome.RECORDED), ([], Outcome.DUPLICATE)])
def test_upload_that_lacked_files_is_evaluated_again(bench: Bench, files: list[str], outcome: Outcome) -> None:
    bench.versions = {"v1": INCOMPLETE}
    bench.show("v1", FILE_ERROR, sequencer=SEQUENCER)
    listed = [{"Key": f"runs/acme/run-0001/{name}", "Size": 1} for name in files]
    bench.s3.list_objects_v2.return_value = {"IsTruncated": False, "Contents": listed}
    assert bench.handle().outcome is outcome
    assert bench.dynamodb.update_item.called is (outcome is Outcome.RECORDED)


def test_newest_version_below_a_delete_marker_is_the_current_one(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": GOOD}
    bench.is_deleted = True
    assert bench.handle() == Result(Outcome.RECORDED)
    assert bench.read_versions == [None, "v2"]
    assert bench.written[":version_id"] == {"S": "v2"}


def test_key_without_a_version_left_is_ignored(bench: Bench) -> None:
    assert bench.handle() == Result(Outcome.IGNORED, reason="the object or this version of it is gone")
    bench.dynamodb.update_item.assert_not_called()


def test_event_of_an_older_upload_is_stale_and_the_newer_one_is_reported_beside_it(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": BAD}
    result = bench.handle(version_id="v1")
    assert (result.outcome, result.errors, result.version_id) == (Outcome.STALE, (), None)
    assert result.newer
    assert (result.newer.outcome, result.newer.version_id) == (Outcome.REJECTED, "v2")
    assert result.newer.errors


def test_event_of_an_older_upload_is_stale_alone_if_the_newer_one_is_recorded_already(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": GOOD}
    bench.show("v2")
    assert bench.handle(version_id="v1") == Result(Outcome.STALE)


def test_event_of_a_version_that_is_gone_is_ignored_though_the_current_one_is_recorded(bench: Bench) -> None:
    bench.versions = {"v1": GOOD}
    result = bench.handle(version_id="gone")
    assert (result.outcome, result.reason) == (Outcome.IGNORED, "the object or this version of it is gone")
    assert result.newer == Result(Outcome.RECORDED, version_id="v1")
    bench.s3.head_object.assert_called_once_with(Bucket=BUCKET, Key=KEY, VersionId="gone")


@pytest.mark.parametrize(
    ("document", "version_id", "sequencer"),
    [(GOOD, "v2", SEQUENCER), (GOOD, "v1", None), (BAD, "v2", None)],
    ids=["named and accepted", "another is named", "named and rejected"],
)
def test_sequencer_is_kept_of_an_accepted_upload_that_the_event_names(
    bench: Bench, document: Any, version_id: str, sequencer: str | None
) -> None:
    bench.versions = {"v1": GOOD, "v2": document}
    refusal = bench.error("ConditionalCheckFailedException", **bench.show("v0"))
    bench.dynamodb.update_item.side_effect = [refusal, {}]
    bench.handle(version_id=version_id, sequencer=SEQUENCER)
    assert bench.written.get(":sequencer") == ({"S": sequencer} if sequencer else None)


def test_each_version_is_read_once_though_the_swap_starts_over(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": BAD, "v3": BAD}
    refusal = bench.error("ConditionalCheckFailedException", **bench.show("v0"))
    bench.dynamodb.update_item.side_effect = [refusal, refusal, {}]
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.read_versions == [None, "v2", "v1", None, None]
    assert bench.source == "v1"


def test_source_that_cannot_be_filled_in_any_more_starts_over(bench: Bench) -> None:
    bench.versions = {"v1": GOOD, "v2": BAD}
    refusal = bench.error("ConditionalCheckFailedException", **bench.show("v2", NAME_ERROR))
    bench.dynamodb.update_item.side_effect = [refusal, {}]
    assert bench.handle() == Result(Outcome.DUPLICATE)
    assert bench.dynamodb.update_item.call_count == 2


def test_current_upload_that_is_not_listed_any_more_starts_over(bench: Bench) -> None:
    bench.versions = {"v1": BAD}
    pages = [
        {"IsTruncated": False, "Versions": [{"Key": KEY, "VersionId": "v2", "ETag": '"e-v2"'}]},
        {"IsTruncated": False, "Versions": [{"Key": KEY, "VersionId": "v1", "ETag": '"e-v1"'}]},
    ]
    bench.s3.get_paginator.return_value.paginate.side_effect = lambda **_: [pages.pop(0)]
    assert bench.handle().outcome is Outcome.REJECTED
    assert bench.read_versions == [None, None]


def test_record_that_is_always_changed_is_left_for_another_delivery(bench: Bench) -> None:
    bench.versions = {"v1": GOOD}
    bench.dynamodb.update_item.side_effect = bench.error("ConditionalCheckFailedException", **bench.show("v0"))
    with pytest.raises(ContentionError, match="changed under each of 10 attempts to replace it"):
        bench.handle()


def test_sequenced_upload_starts_over_when_the_record_changes_between_two_writes(bench: Bench) -> None:
    bench.versions = {"v1": GOOD}
    refusal = bench.error("ConditionalCheckFailedException", **bench.show("v1", FILE_ERROR, sequencer=SEQUENCER))
    bench.dynamodb.update_item.side_effect = [refusal, refusal, {}]
    assert bench.handle(version_id="v1", sequencer=SEQUENCER) == Result(Outcome.RECORDED)
    bench.dynamodb.update_item.side_effect = refusal
    with pytest.raises(ContentionError, match="changed under each of 10 attempts to write it"):
        bench.handle(version_id="v1", sequencer=SEQUENCER)


@pytest.mark.parametrize(("rejected", "is_found"), [(MAX_OLDER_VERSIONS, False), (MAX_OLDER_VERSIONS - 1, True)])
@pytest.mark.parametrize("is_shown", [False, True])
def test_100_older_versions_are_read_at_most_and_the_result_says_so(
    bench: Bench, rejected: int, *, is_found: bool, is_shown: bool
) -> None:
    bench.versions = {"v0": GOOD, **{f"v{number}": BAD for number in range(1, rejected + 1)}, "current": BAD}
    if is_shown:
        bench.show("current", NAME_ERROR)
    result = bench.handle()
    assert len(bench.read_versions) == 1 + MAX_OLDER_VERSIONS
    assert result.reason == (None if is_found else "more than 100 uploads before this one are rejected")
    if is_found:
        assert bench.source == "v0"
