"""The record ends as if each upload had been handled once, in S3's order."""

import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from handler.app import lambda_handler
from local.stack import LocalStack
from tests.support.documents import BAD, document, good
from tests.support.events import notification, s3_record, sqs_event

pytestmark = pytest.mark.usefixtures("distinct_times")


def state(record: dict[str, Any] | None) -> dict[str, Any]:
    """The record less the times at which it happened to be written."""
    assert record is not None
    return {name: value for name, value in record.items() if name not in ("recorded_at", "first_recorded_at")}


Notify = Callable[..., dict[str, Any]]
PutMetadata = Callable[..., dict[str, str]]
ReadRecord = Callable[[], dict[str, Any] | None]


@pytest.mark.parametrize(
    "documents",
    [
        [good("a"), good("b"), good("c")],
        [good("a"), BAD, good("c"), BAD],
        [good("a"), good("b"), BAD, BAD],
        [BAD, good("b"), BAD],
        [BAD, BAD, BAD],
        [good("a"), BAD],
    ],
    ids=lambda documents: "".join("b" if document == BAD else "g" for document in documents),
)
def test_every_order_of_delivery_ends_in_the_same_record(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, documents: list[bytes]
) -> None:
    events = [
        {**put_metadata(document), "sequencer": f"{number:x}"} for number, document in enumerate(documents, start=9)
    ]
    for event in events:
        notify(**event)
    expected = state(record())
    for order in permutations(events):
        stack.delete_records()
        first = None
        for event in [*order, *order]:
            notify(**event)
            current = record()
            assert current is not None
            first = first or current["first_recorded_at"]
            assert current["first_recorded_at"] == first
        assert state(record()) == expected


def test_older_event_does_not_replace_newer_run(put_metadata: PutMetadata, notify: Notify, record: ReadRecord) -> None:
    older, newer = put_metadata(good("older")), put_metadata(good("newer"))
    assert notify(sequencer="2", **newer)["outcome"] == "recorded"
    before = record()
    assert notify(sequencer="1", **older)["outcome"] == "stale"
    assert record() == before


def test_same_event_again_is_a_duplicate_and_changes_nothing(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    event = put_metadata()
    assert notify(sequencer="1", **event)["outcome"] == "recorded"
    before = record()
    assert notify(sequencer="01", **event)["outcome"] == "duplicate"
    assert record() == before


def test_bad_upload_leaves_the_good_config(put_metadata: PutMetadata, notify: Notify, record: ReadRecord) -> None:
    notify(sequencer="1", **put_metadata(document(name="n", tags={"a": "b"})))
    before = state(record())
    bad = put_metadata(BAD)
    assert notify(sequencer="2", **bad)["outcome"] == "rejected"
    after = state(record())
    assert after["errors"] == [{"path": "/model", "message": "expected an object, found an integer"}]
    assert (after["status"], after["version_id"], after["etag"]) == ("rejected", bad["versionId"], bad["eTag"])
    for name in ("config", "config_sha256", "source", "name", "tags"):
        assert after[name] == before[name]


def test_good_upload_after_a_bad_one_removes_the_errors_and_what_it_does_not_state(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    notify(sequencer="1", **put_metadata(document(name="n", tags={"a": "b"})))
    notify(sequencer="2", **put_metadata(BAD))
    notify(sequencer="3", **put_metadata(good("m2")))
    after = state(record())
    assert after["status"] == "recorded"
    assert after.keys().isdisjoint({"errors", "name", "tags"})


def test_good_upload_that_comes_after_a_bad_newer_one_is_stale_but_fills_in(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    first, second, bad = put_metadata(good("first")), put_metadata(good("second")), put_metadata(BAD)
    notify(sequencer="3", **bad)
    assert notify(sequencer="1", **first)["outcome"] == "stale"
    assert state(record())["config"]["model"]["name"] == "first"
    assert notify(sequencer="2", **second)["outcome"] == "stale"
    assert notify(sequencer="1", **first)["outcome"] == "stale"
    after = state(record())
    assert (after["status"], after["config"]["model"]["name"]) == ("rejected", "second")
    assert after["source"]["version_id"] == second["versionId"]
    assert after["version_id"] == bad["versionId"]


def test_deleted_upload_is_ignored_and_the_record_stays(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, metadata_key: str
) -> None:
    notify(sequencer="1", **put_metadata())
    before = record()
    event = put_metadata(good("b"))
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key, VersionId=event["versionId"])
    assert notify(sequencer="2", **event)["outcome"] == "ignored"
    assert record() == before


@pytest.mark.parametrize("sequencer", [{"sequencer": "1"}, {}], ids=["sequenced", "unsequenced"])
def test_named_version_is_read_behind_a_delete_marker(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, metadata_key: str, sequencer: dict[str, str]
) -> None:
    event = put_metadata()
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key)
    assert notify(**sequencer, **event)["outcome"] == "recorded"


def test_newest_version_behind_a_delete_marker_is_the_current_one(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, metadata_key: str
) -> None:
    put_metadata(good("first"))
    second = put_metadata(good("second"))
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key)
    assert notify()["outcome"] == "recorded"
    assert state(record())["version_id"] == second["versionId"]
    assert notify()["outcome"] == "duplicate"


def test_rejected_upload_behind_a_delete_marker_is_recorded_with_the_last_accepted_one(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, metadata_key: str
) -> None:
    """Delete markers between uploads are no uploads either."""
    put_metadata(good("first"))
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key)
    bad = put_metadata(BAD)
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key)
    assert notify()["outcome"] == "rejected"
    after = state(record())
    assert (after["version_id"], after["config"]["model"]["name"]) == (bad["versionId"], "first")


def test_run_of_which_no_version_is_left_is_ignored_and_its_record_stays(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, metadata_key: str
) -> None:
    event = put_metadata()
    notify(sequencer="1", **event)
    before = record()
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key)
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key, VersionId=event["versionId"])
    assert [notify()["outcome"], notify(**event)["outcome"]] == ["ignored", "ignored"]
    assert record() == before


def test_unsequenced_event_of_a_version_that_is_gone_is_ignored_though_a_newer_one_is_recorded(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, metadata_key: str
) -> None:
    gone, current = put_metadata(good("gone")), put_metadata(good("current"))
    stack.s3.delete_object(Bucket=stack.outputs["RunsBucket"], Key=metadata_key, VersionId=gone["versionId"])
    assert notify(**gone)["outcome"] == "ignored"
    assert state(record())["version_id"] == current["versionId"]


def test_unsequenced_event_of_an_older_upload_is_stale_and_records_the_current_one(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    old, new = put_metadata(good("old")), put_metadata(good("new"))
    assert notify(**old)["outcome"] == "stale"
    after = state(record())
    assert (after["config"]["model"]["name"], after["version_id"]) == ("new", new["versionId"])
    assert "sequencer" not in after
    assert notify(**new)["outcome"] == "duplicate"
    assert notify()["outcome"] == "duplicate"
    assert state(record()) == after


def test_newer_upload_that_is_recorded_instead_is_logged_and_counted_once(
    put_metadata: PutMetadata, notify: Notify, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = put_metadata(good("old")), put_metadata(good("new"))

    def take_output() -> tuple[list[tuple[str, str]], dict[str, Any]]:
        *lines, metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        counts = {name: count[0] for name, count in metrics.items() if name.endswith(("Recorded", "Events"))}
        return [(line["version_id"], line["outcome"]) for line in lines], counts

    notify(**old)
    stale, recorded = (old["versionId"], "stale"), (new["versionId"], "recorded")
    assert take_output() == ([stale, recorded], {"StaleEvents": 1, "RunsRecorded": 1})
    notify(**old)
    assert take_output() == ([stale], {"StaleEvents": 1})


@pytest.mark.parametrize("sequencer", ["not-hex", "1" * 33, ""])
def test_unusable_sequencer_counts_as_missing(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord, sequencer: str
) -> None:
    assert notify(**put_metadata(), sequencer=sequencer)["outcome"] == "recorded"
    assert "sequencer" not in state(record())


def test_unsequenced_event_meets_a_sequenced_record(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    first = put_metadata(good("first"))
    notify(sequencer="1", **first)
    before = record()
    assert notify()["outcome"] == "duplicate"
    assert record() == before
    second = put_metadata(good("second"))
    assert notify()["outcome"] == "recorded"
    after = state(record())
    assert after["version_id"] == second["versionId"]
    assert "sequencer" not in after
    assert "sequencer" not in after["source"]


def test_sequenced_event_meets_a_record_without_a_sequencer(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    """Whichever upload the event names, the current one is recorded; its sequencer only if named."""
    first, second = put_metadata(good("first")), put_metadata(good("second"))
    notify()
    assert notify(sequencer="1", **first)["outcome"] == "stale"
    assert notify(sequencer="2", **second)["outcome"] == "duplicate"
    third, fourth = put_metadata(good("third")), put_metadata(good("fourth"))
    assert notify(sequencer="3", **third)["outcome"] == "stale"
    after = state(record())
    assert after["config"]["model"]["name"] == "fourth"
    assert "sequencer" not in after
    assert notify(sequencer="4", **fourth)["outcome"] == "duplicate"
    fifth = put_metadata(good("fifth"))
    assert notify(sequencer="5", **fifth)["outcome"] == "recorded"
    assert state(record())["sequencer"] == "5".zfill(32)
    assert notify(sequencer="4", **fourth)["outcome"] == "stale"


def test_unsequenced_event_fills_in_the_last_accepted_upload_beside_a_rejected_one(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    put_metadata(good("first"))
    second = put_metadata(good("second"))
    put_metadata(BAD)
    bad = put_metadata(BAD)
    assert notify(sequencer="4", **bad)["outcome"] == "rejected"
    assert "config" not in state(record())
    assert notify()["outcome"] == "duplicate"
    after = state(record())
    assert (after["status"], after["version_id"]) == ("rejected", bad["versionId"])
    assert after["config"]["model"]["name"] == "second"
    assert after["source"]["version_id"] == second["versionId"]
    assert after.keys().isdisjoint({"sequencer"})
    before = record()
    assert notify()["outcome"] == "duplicate"
    assert record() == before


def test_unsequenced_event_of_a_rejected_upload_records_it_with_the_last_accepted_one(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    first, bad = put_metadata(good("first")), put_metadata(BAD)
    assert notify(**bad)["outcome"] == "rejected"
    after = state(record())
    assert (after["version_id"], after["source"]["version_id"]) == (bad["versionId"], first["versionId"])
    assert "sequencer" not in after
    assert "sequencer" not in after["source"]


def test_nothing_is_filled_in_once_the_last_accepted_version_is_no_longer_listed(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, metadata_key: str
) -> None:
    """Uploads before it could not be told from uploads after it."""
    put_metadata(good("first"))
    second = put_metadata(good("second"))
    notify()
    bucket = stack.outputs["RunsBucket"]
    stack.s3.delete_object(Bucket=bucket, Key=metadata_key, VersionId=second["versionId"])
    put_metadata(BAD)
    assert notify()["outcome"] == "rejected"
    after = state(record())
    assert (after["source"]["version_id"], after["config"]["model"]["name"]) == (second["versionId"], "second")


def test_sequenced_event_follows_a_rejected_upload_that_was_recorded_without_a_sequencer(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    """The bucket orders uploads until one is accepted, which brings its sequencer with it."""
    first, bad = put_metadata(good("first")), put_metadata(BAD)
    notify()
    assert notify(sequencer="1", **first)["outcome"] == "stale"
    assert notify(sequencer="2", **bad)["outcome"] == "duplicate"
    another_bad = put_metadata(BAD + b" ")
    assert notify(sequencer="3", **another_bad)["outcome"] == "rejected"
    assert "sequencer" not in state(record())
    assert notify(sequencer="4", **put_metadata(good("last")))["outcome"] == "recorded"
    after = state(record())
    assert (after["sequencer"], after["source"]["sequencer"]) == ("4".zfill(32), "4".zfill(32))
    assert notify(sequencer="3", **another_bad)["outcome"] == "stale"


def test_equal_sequencers_of_different_versions_are_ordered_by_the_bucket(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    """Emulators send a constant."""
    first, second = put_metadata(good("first")), put_metadata(good("second"))
    assert notify(sequencer="0", **first)["outcome"] == "recorded"
    assert notify(sequencer="0", **second)["outcome"] == "recorded"
    assert state(record())["version_id"] == second["versionId"]
    assert notify(sequencer="0", **first)["outcome"] == "stale"
    bad = put_metadata(BAD)
    assert notify(sequencer="0", **bad)["outcome"] == "rejected"
    assert notify(sequencer="0", **second)["outcome"] == "stale"
    after = state(record())
    assert (after["version_id"], after["source"]["version_id"]) == (bad["versionId"], second["versionId"])


def test_version_null_is_the_last_accepted_upload_of_a_bucket_that_got_versions_later(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, environment: pytest.MonkeyPatch
) -> None:
    stack.s3.create_bucket(Bucket="versioned-later")
    environment.setenv("RUNS_BUCKET", "versioned-later")
    stack.outputs["RunsBucket"] = "versioned-later"
    without_version = put_metadata(good("null"))
    stack.s3.put_bucket_versioning(Bucket="versioned-later", VersioningConfiguration={"Status": "Enabled"})
    put_metadata(BAD)
    bad = put_metadata(BAD)
    assert notify()["outcome"] == "rejected"
    after = state(record())
    assert (after["version_id"], after["config"]["model"]["name"]) == (bad["versionId"], "null")
    assert after["source"]["etag"] == without_version["eTag"]
    assert "version_id" not in after["source"]
    before = record()
    assert notify()["outcome"] == "duplicate"
    assert record() == before
    another_bad = put_metadata(BAD)
    assert notify()["outcome"] == "rejected"
    after = state(record())
    assert (after["version_id"], after["source"]["etag"]) == (another_bad["versionId"], without_version["eTag"])


def test_good_upload_does_not_fill_in_what_it_cannot_be_compared_with(
    put_metadata: PutMetadata, notify: Notify, record: ReadRecord
) -> None:
    first, _ = put_metadata(good("first")), put_metadata(good("second"))
    notify()
    assert notify(sequencer="3", **put_metadata(BAD))["outcome"] == "rejected"
    assert notify(sequencer="1", **first)["outcome"] == "stale"
    assert state(record())["config"]["model"]["name"] == "second"


def test_unversioned_bucket_is_recorded_without_versions(
    stack: LocalStack, put_metadata: PutMetadata, notify: Notify, record: ReadRecord, environment: pytest.MonkeyPatch
) -> None:
    stack.s3.create_bucket(Bucket="unversioned")
    environment.setenv("RUNS_BUCKET", "unversioned")
    stack.outputs["RunsBucket"] = "unversioned"
    first = put_metadata(good("first"))
    assert notify(sequencer="1", **first)["outcome"] == "recorded"
    after = state(record())
    assert "version_id" not in after
    assert "version_id" not in after["source"]
    assert notify()["outcome"] == "duplicate"
    second = put_metadata(good("second"))
    assert notify(sequencer="1", **first)["outcome"] == "stale"  # and the second is recorded
    assert state(record())["config"]["model"]["name"] == "second"
    assert notify(sequencer="2", **second)["outcome"] == "duplicate"
    put_metadata(good("first"))
    assert notify()["outcome"] == "recorded"
    assert state(record())["config"]["model"]["name"] == "first"


def test_messages_of_one_run_in_one_batch_end_in_order(
    put_metadata: PutMetadata,
    record: ReadRecord,
) -> None:
    """They are handled concurrently."""
    uploads = [put_metadata(good(f"m{number}")) for number in range(10)]
    bodies = [notification(s3_record(sequencer=f"{number:x}", **upload)) for number, upload in enumerate(uploads)]
    assert lambda_handler(sqs_event(*bodies[::-1], *bodies), None) == {"batchItemFailures": []}
    assert state(record())["config"]["model"]["name"] == "m9"
