"""Compare and swap, where sequencers cannot order the uploads: back-fills, repairs, and what follows them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from run_recorder.domain import Outcome
from run_recorder.errors import AWSCallError, ContentionError, FieldError
from run_recorder.record_state import RecordState, record_is
from run_recorder.verdict import MISSING_FILES, Result
from run_recorder.waiting import Look, Wait
from tests.support.documents import BAD, GOOD, INCOMPLETE, document
from tests.support.fake_table import item_of
from tests.support.names import UPLOADED_AT
from tests.support.recorder_bench import RecorderBench

GONE = Result(Outcome.IGNORED, reason="the object or this version of it is gone")
SEQUENCER = "0" * 31 + "5"
BAD_ERRORS = (FieldError("/model", "expected an object, found an integer"),)
FILE_IS_MISSING = FieldError("/files/0/path", "no object late.csv below the run's prefix")


def rejected(*errors: FieldError) -> dict[str, Any]:
    """Return the attributes of a record of a rejected upload."""
    return {"status": "rejected", "errors": [{"path": error.path, "message": error.message} for error in errors]}


def condition_of(record: dict[str, Any]) -> str:
    return record_is(RecordState.of(item_of(record))).expression


# --- The current upload


def test_accepted_current_upload_is_recorded_where_there_is_no_record(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.RECORDED)
    assert recorder_bench.condition == "attribute_not_exists(#organisation_id)"
    written = recorder_bench.written
    assert (written["status"], written["version_id"], written["sequencer"]) == ("recorded", "v1", None)
    assert written["source"]["version_id"] == "v1"
    assert "sequencer" not in written["source"]
    assert recorder_bench.bucket.reads == [None]


def test_accepted_current_upload_replaces_the_record_that_was_read(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v2")
    shown = recorder_bench.show("v1", sequencer=SEQUENCER, source={"etag": "etag of v1", "sequencer": SEQUENCER})
    assert recorder_bench.handle(version_id="v2") == Result(Outcome.RECORDED)
    assert recorder_bench.condition == condition_of(shown)
    assert recorder_bench.written["sequencer"] is None


def test_record_is_read_before_the_object(recorder_bench: RecorderBench) -> None:
    """So that the object is never older than the upload that the record shows."""
    recorder_bench.put(GOOD, "v1")
    calls = []
    for client in (recorder_bench.dynamodb_client.get_item, recorder_bench.s3_client.get_object):

        def call(answer: Callable[..., Any] = client.side_effect, **request: Any) -> Any:
            calls.append("record" if "TableName" in request else "object")
            return answer(**request)

        client.side_effect = call
    recorder_bench.handle()
    assert calls == ["record", "object"]


def test_accepted_upload_that_the_record_shows_is_a_duplicate_and_not_evaluated(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1")
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.DUPLICATE)
    assert recorder_bench.writes == []
    assert recorder_bench.bucket.lists == []


@pytest.mark.parametrize("shown", [{"version_id": "v0", "etag": "etag of v1"}, {"version_id": "v1", "etag": "e0"}])
def test_record_of_another_version_or_entity_tag_does_not_show_the_upload(
    recorder_bench: RecorderBench, shown: dict[str, str]
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.show(**shown)
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.RECORDED)


def test_record_without_a_status_does_not_show_an_accepted_upload(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.show("v1", status=None)
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.RECORDED)


@pytest.mark.parametrize(
    ("uploaded_later", "outcome"), [(timedelta(), Outcome.DUPLICATE), (timedelta(seconds=1), Outcome.RECORDED)]
)
def test_same_bytes_uploaded_again_without_versions_are_told_apart_by_their_time(
    recorder_bench: RecorderBench, uploaded_later: timedelta, outcome: Outcome
) -> None:
    recorder_bench.put(GOOD, etag="etag", last_modified=UPLOADED_AT + uploaded_later)
    recorder_bench.show(etag="etag")
    assert recorder_bench.handle(etag="etag") == Result(outcome)
    assert len(recorder_bench.writes) == (outcome is Outcome.RECORDED)


def test_version_is_the_same_upload_whatever_its_time(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1", last_modified=UPLOADED_AT + timedelta(seconds=1))
    recorder_bench.show("v1")
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.DUPLICATE)


# --- A current upload that is rejected


def test_rejected_current_upload_is_recorded_beside_the_last_accepted_one(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(document(name="first"), "v1")
    recorder_bench.put(document(name="second"), "v2", last_modified=UPLOADED_AT - timedelta(days=1))
    recorder_bench.put(BAD, "v3")
    assert recorder_bench.handle(version_id="v3") == Result(Outcome.REJECTED, BAD_ERRORS)
    written = recorder_bench.written
    assert (written["status"], written["version_id"], written["etag"]) == ("rejected", "v3", "etag of v3")
    assert written["uploaded_at"] == "2026-11-20T08:30:00Z"
    assert (written["name"], written["source"]["version_id"]) == ("second", "v2")
    assert len(recorder_bench.writes) == 1


def test_rejected_current_upload_without_an_accepted_one_leaves_config_and_source_alone(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(BAD, "v1")
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.REJECTED, BAD_ERRORS)
    assert not {"config", "source", "name"} & set(recorder_bench.written)


def test_rejected_current_upload_keeps_the_last_accepted_one_that_the_record_shows(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    recorder_bench.show("v1", source={"version_id": "v1", "etag": "etag of v1"})
    assert recorder_bench.handle(version_id="v2") == Result(Outcome.REJECTED, BAD_ERRORS)
    assert not {"config", "source", "name"} & set(recorder_bench.written)
    assert recorder_bench.bucket.reads == [None]


def test_rejected_current_upload_that_the_record_shows_is_not_evaluated_again(recorder_bench: RecorderBench) -> None:
    """Whatever the settings are now."""
    recorder_bench.put(GOOD, "v1")
    recorder_bench.show("v1", **rejected(FieldError("/name", "expected a string, found an integer")))
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.DUPLICATE)
    assert recorder_bench.writes == []


def test_last_accepted_upload_is_filled_in_beside_a_rejected_one_that_the_record_shows(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    shown = recorder_bench.show("v2", sequencer=SEQUENCER, **rejected(*BAD_ERRORS))
    assert recorder_bench.handle(version_id="v2") == Result(Outcome.DUPLICATE)
    assert recorder_bench.condition == condition_of(shown)
    written = recorder_bench.written
    assert written["source"]["version_id"] == "v1"
    assert written["sequencer"] is None
    assert not {"status", "errors", "version_id", "uploaded_at"} & set(written)


def test_incomplete_upload_is_evaluated_again_and_accepted_when_its_files_are_there(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.bucket.put_files("runs/acme/run-0001/late.csv")
    shown = recorder_bench.show("v1", **rejected(FILE_IS_MISSING))
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.RECORDED)
    assert recorder_bench.condition == condition_of(shown)
    assert recorder_bench.written["errors"] is None


def test_incomplete_upload_with_the_same_errors_is_a_duplicate(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1", **rejected(FILE_IS_MISSING))
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.DUPLICATE)
    assert recorder_bench.writes == []
    assert len(recorder_bench.bucket.lists) == 1


def test_incomplete_upload_with_other_errors_is_rejected_with_these(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1", **rejected(FILE_IS_MISSING, FieldError("/files/1/path", "…")))
    result = recorder_bench.handle(version_id="v1")
    assert (result.outcome, result.errors) == (Outcome.REJECTED, (FILE_IS_MISSING,))
    assert recorder_bench.written["errors"] == [{"path": FILE_IS_MISSING.path, "message": FILE_IS_MISSING.message}]


def test_operator_is_informed_where_more_than_100_older_uploads_are_rejected(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "good")
    for number in range(101):
        recorder_bench.put(BAD, f"v{number}")
    result = recorder_bench.handle(version_id="v100")
    reason = "more than 100 uploads before this one are not accepted"
    assert result == Result(Outcome.REJECTED, BAD_ERRORS, reason=reason)
    assert "config" not in recorder_bench.written
    recorder_bench.show("v100", **rejected(*BAD_ERRORS))
    assert recorder_bench.handle(version_id="v100") == Result(Outcome.DUPLICATE, reason=reason)


# --- Deletions


def test_newest_version_below_a_delete_marker_is_the_current_upload(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(GOOD, "v2")
    recorder_bench.bucket.put_delete_marker("d1")
    recorder_bench.bucket.put_delete_marker("d2")
    assert recorder_bench.handle(version_id="v2") == Result(Outcome.RECORDED)
    assert recorder_bench.written["version_id"] == "v2"
    assert recorder_bench.bucket.reads == [None, "v2"]


def test_rejected_version_below_a_delete_marker_is_recorded_beside_the_last_accepted_one(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    recorder_bench.bucket.put_delete_marker("d1")
    assert recorder_bench.handle() == Result(Outcome.REJECTED, BAD_ERRORS)
    assert (recorder_bench.written["version_id"], recorder_bench.written["source"]["version_id"]) == ("v2", "v1")


@pytest.mark.parametrize("event", [{}, {"version_id": "v1"}, {"etag": "e"}], ids=str)
def test_upload_of_which_no_version_is_left_is_ignored(recorder_bench: RecorderBench, event: dict[str, str]) -> None:
    recorder_bench.bucket.put_delete_marker("d1")
    recorder_bench.show("v1")
    assert recorder_bench.handle(**event) == GONE
    assert recorder_bench.writes == []


def test_object_that_is_gone_from_a_bucket_without_versions_is_ignored(recorder_bench: RecorderBench) -> None:
    recorder_bench.show(etag="e")
    assert recorder_bench.handle(etag="e") == GONE
    assert recorder_bench.writes == []


# --- Events that name another upload than the current one


def test_event_of_an_older_version_is_stale_and_names_the_newer_upload_that_was_recorded(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(GOOD, "v2")
    assert recorder_bench.handle(version_id="v1") == Result(
        Outcome.STALE, newer=Result(Outcome.RECORDED, version_id="v2")
    )
    assert recorder_bench.written["version_id"] == "v2"


def test_newer_upload_that_was_rejected_is_returned_with_its_errors(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    assert recorder_bench.handle(version_id="v1") == Result(
        Outcome.STALE, newer=Result(Outcome.REJECTED, BAD_ERRORS, version_id="v2")
    )
    assert recorder_bench.written["source"]["version_id"] == "v1"


def test_event_of_an_older_version_is_stale_where_the_record_shows_the_newer_one(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(GOOD, "v2")
    recorder_bench.show("v2")
    assert recorder_bench.handle(version_id="v1") == Result(Outcome.STALE)
    assert recorder_bench.writes == []


def test_event_of_an_overwritten_object_is_stale(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, etag="new")
    assert recorder_bench.handle(etag="old") == Result(Outcome.STALE, newer=Result(Outcome.RECORDED))


def test_event_of_a_version_that_is_gone_is_ignored_yet_the_current_upload_is_recorded(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v2")
    result = recorder_bench.handle(version_id="v1")
    assert (result.outcome, result.reason) == (GONE.outcome, GONE.reason)
    assert result.newer == Result(Outcome.RECORDED, version_id="v2")
    assert recorder_bench.written["version_id"] == "v2"
    recorder_bench.show("v2")
    assert recorder_bench.handle(version_id="v1") == GONE


def test_event_that_names_a_delete_marker_is_ignored_yet_the_current_upload_is_recorded(
    recorder_bench: RecorderBench,
) -> None:
    """S3 answers a request for a delete marker by its version with the status 405."""
    recorder_bench.put(GOOD, "v1")
    recorder_bench.bucket.put_delete_marker("d1")
    result = recorder_bench.handle(version_id="d1")
    assert (result.outcome, result.reason) == (GONE.outcome, GONE.reason)
    assert result.newer == Result(Outcome.RECORDED, version_id="v1")


def test_search_that_did_not_end_is_the_reason_of_a_stale_event_too(recorder_bench: RecorderBench) -> None:
    for number in range(103):
        recorder_bench.put(BAD, f"v{number}")
    recorder_bench.show("v102", **rejected(*BAD_ERRORS))
    assert recorder_bench.handle(version_id="v1") == Result(
        Outcome.STALE, reason="more than 100 uploads before this one are not accepted"
    )


# --- Sequenced events that meet a record without a sequencer


@pytest.mark.parametrize(
    ("event", "stored", "expected"),
    [
        ({"version_id": "v1"}, {"version_id": "v1"}, SEQUENCER),
        ({"version_id": "v1", "etag": "etag"}, {"version_id": "v1"}, SEQUENCER),
        ({"etag": "etag"}, {"version_id": "v1"}, None),
        ({}, {"version_id": "v1"}, None),
        ({"etag": "etag"}, {}, SEQUENCER),
        ({"etag": "other"}, {}, None),
        ({}, {}, None),
    ],
    ids=str,
)
def test_sequencer_is_kept_only_if_the_event_names_the_accepted_upload_for_certain(
    recorder_bench: RecorderBench, event: dict[str, str], stored: dict[str, Any], expected: str | None
) -> None:
    recorder_bench.put(GOOD, etag="etag", **stored)
    recorder_bench.refuse(recorder_bench.show("v9"))
    recorder_bench.handle(sequencer=SEQUENCER, **event)
    assert len(recorder_bench.writes) == 2
    assert recorder_bench.written["sequencer"] == expected
    assert recorder_bench.written["source"].get("sequencer") == expected


def test_sequencer_of_an_older_version_is_not_kept_for_the_newer_one_that_is_recorded(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(GOOD, "v2")
    recorder_bench.refuse(recorder_bench.show("v0"))
    result = recorder_bench.handle(sequencer=SEQUENCER, version_id="v1")
    assert result == Result(Outcome.STALE, newer=Result(Outcome.RECORDED, version_id="v2"))
    assert recorder_bench.written["sequencer"] is None
    recorder_bench.s3_client.head_object.assert_not_called()


@pytest.mark.parametrize("document", [BAD, INCOMPLETE])
@pytest.mark.parametrize("older", [[GOOD], []], ids=["an accepted upload before it", "no upload before it"])
def test_sequencer_of_a_rejected_upload_is_never_kept(
    recorder_bench: RecorderBench, document: bytes, older: list[bytes]
) -> None:
    """Or an event of an older upload that is accepted would be compared by it, and be filled in or not by chance."""
    for number, good in enumerate(older):
        recorder_bench.put(good, f"v{number}")
    recorder_bench.put(document, "v5")
    recorder_bench.refuse(recorder_bench.show("v9"))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v5").outcome is Outcome.REJECTED
    written = recorder_bench.written
    assert (written["version_id"], written["sequencer"]) == ("v5", None)
    assert "sequencer" not in written.get("source", {})


def test_upload_is_evaluated_once_though_it_turns_to_compare_and_swap(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.refuse(recorder_bench.show("v0"))
    assert recorder_bench.handle(sequencer=SEQUENCER, version_id="v1").outcome is Outcome.REJECTED
    assert len(recorder_bench.bucket.lists) == 1


# --- Late files, a hundred seconds after the uploads

WAIT = Wait(100, 3500)
OTHER_FILE_IS_MISSING = FieldError("/files/1/path", "no object b below the run's prefix")
PENDING = Result(Outcome.PENDING, (FILE_IS_MISSING,), reason=MISSING_FILES, looks=(Look(WAIT, is_latest=True),))


def pending(*errors: FieldError) -> dict[str, Any]:
    """Return the attributes of a record of an upload whose files are late."""
    return rejected(*errors) | {"status": "pending"}


@pytest.fixture
def in_time(set_age: Callable[[float], None]) -> None:
    set_age(100)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("shown", ["v0", "v1"])
def test_current_upload_whose_files_are_late_is_pending(recorder_bench: RecorderBench, shown: str) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    state = recorder_bench.show(shown, **rejected(FILE_IS_MISSING))
    assert recorder_bench.handle(version_id="v1", can_wait=True) == PENDING
    assert recorder_bench.condition == condition_of(state)
    assert (recorder_bench.written["status"], recorder_bench.written["sequencer"]) == ("pending", None)


@pytest.mark.usefixtures("in_time")
def test_sequenced_event_of_an_upload_whose_files_are_late_leaves_no_sequencer(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.refuse(recorder_bench.show("v0"), None)
    assert recorder_bench.handle(version_id="v1", sequencer=SEQUENCER, can_wait=True) == PENDING
    assert (recorder_bench.written["status"], recorder_bench.written["sequencer"]) == ("pending", None)
    assert len(recorder_bench.bucket.lists) == 1


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize(
    ("can_wait", "errors"),
    [(True, (FILE_IS_MISSING,)), (False, (FILE_IS_MISSING,)), (False, (FILE_IS_MISSING, OTHER_FILE_IS_MISSING))],
    ids=["from the queue", "back-fill", "back-fill, though a file has arrived"],
)
def test_upload_that_the_record_shows_as_pending_stays_pending(
    recorder_bench: RecorderBench, errors: tuple[FieldError, ...], *, can_wait: bool
) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1", **pending(*errors))
    assert recorder_bench.handle(version_id="v1", can_wait=can_wait) == PENDING
    assert recorder_bench.writes == []


@pytest.mark.usefixtures("in_time")
def test_pending_record_follows_the_files_that_arrive(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1", **pending(FILE_IS_MISSING, OTHER_FILE_IS_MISSING))
    assert recorder_bench.handle(version_id="v1", can_wait=True) == PENDING
    assert len(recorder_bench.written["errors"]) == 1


@pytest.mark.parametrize("can_wait", [True, False])
def test_pending_upload_is_rejected_when_the_wait_is_over(
    recorder_bench: RecorderBench, set_age: Callable[[float], None], *, can_wait: bool
) -> None:
    set_age(3600)
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.show("v1", **pending(FILE_IS_MISSING))
    result = recorder_bench.handle(version_id="v1", can_wait=can_wait)
    assert (result.outcome, result.errors, result.reason) == (Outcome.REJECTED, (FILE_IS_MISSING,), MISSING_FILES)
    assert [look.wait and look.wait.is_over for look in result.looks] == [True]
    assert recorder_bench.written["status"] == "rejected"


@pytest.mark.usefixtures("in_time")
def test_upload_that_cannot_wait_is_rejected_at_once_where_the_record_shows_another(
    recorder_bench: RecorderBench,
) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.put(INCOMPLETE, "v2")
    recorder_bench.show("v1", **pending(FILE_IS_MISSING))
    assert recorder_bench.handle(version_id="v2").outcome is Outcome.REJECTED
    assert recorder_bench.written["status"] == "rejected"


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("can_wait", [True, False])
def test_last_accepted_upload_is_filled_in_beside_a_pending_one(
    recorder_bench: RecorderBench, *, can_wait: bool
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(INCOMPLETE, "v2")
    recorder_bench.show("v2", **pending(FILE_IS_MISSING))
    assert recorder_bench.handle(version_id="v2", can_wait=can_wait) == PENDING
    assert recorder_bench.written["source"]["version_id"] == "v1"
    assert "status" not in recorder_bench.written


@pytest.mark.usefixtures("in_time")
def test_older_upload_whose_files_are_late_is_looked_at_again_unless_a_newer_one_is_accepted(
    recorder_bench: RecorderBench,
) -> None:
    for version_id, body in [("v1", INCOMPLETE), ("v2", GOOD), ("v3", INCOMPLETE), ("v4", BAD)]:
        recorder_bench.put(body, version_id)
    recorder_bench.show("v4", **rejected(*BAD_ERRORS))
    looks = {
        version_id: recorder_bench.handle(version_id=version_id, can_wait=True).looks for version_id in ("v1", "v3")
    }
    assert looks == {"v1": (), "v3": (Look(WAIT, is_latest=False),)}
    recorder_bench.put(GOOD, "v5")
    assert recorder_bench.handle(version_id="v3", can_wait=True).looks == ()


@pytest.mark.usefixtures("in_time")
def test_older_version_null_is_recognised_by_its_entity_tag(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "null", "etag of null")
    recorder_bench.put(BAD, "v2")
    recorder_bench.show("v2", **rejected(*BAD_ERRORS))
    assert recorder_bench.handle(etag="etag of null", can_wait=True).looks == (Look(WAIT, is_latest=False),)
    assert recorder_bench.handle(etag="another", can_wait=True).looks == ()


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("event", [{"version_id": "v1"}, {"version_id": "gone"}])
def test_event_that_recorded_a_newer_upload_as_pending_is_handled_again(
    recorder_bench: RecorderBench, event: dict[str, str]
) -> None:
    """No other event may come for that upload."""
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(INCOMPLETE, "v2")
    result = recorder_bench.handle(can_wait=True, **event)
    assert result.looks == PENDING.looks
    assert result.newer is not None
    assert (result.newer.outcome, result.newer.version_id) == (Outcome.PENDING, "v2")
    recorder_bench.show("v2", **pending(FILE_IS_MISSING), source={"version_id": "v1", "etag": "etag of v1"})
    again = recorder_bench.handle(can_wait=True, **event)
    assert (again.looks, again.newer) == (PENDING.looks, None)


# --- Contention and failures


def test_swap_starts_over_where_the_record_changed(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(INCOMPLETE, "v1")
    recorder_bench.refuse(*[recorder_bench.show("v0")] * 2)
    result = recorder_bench.handle(version_id="v1")
    assert (result.outcome, result.errors) == (Outcome.REJECTED, (FILE_IS_MISSING,))
    assert (recorder_bench.reads, len(recorder_bench.writes)) == (3, 3)
    assert len(recorder_bench.bucket.lists) == 1


def test_fill_in_starts_over_where_the_record_changed(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    recorder_bench.refuse(recorder_bench.show("v2", **rejected(*BAD_ERRORS)))
    assert recorder_bench.handle(version_id="v2") == Result(Outcome.DUPLICATE)
    assert (recorder_bench.reads, len(recorder_bench.writes)) == (2, 2)
    assert recorder_bench.bucket.reads == [None, "v1", None]


def test_swap_starts_over_where_the_current_upload_is_not_listed_any_more(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    list_versions = recorder_bench.s3_client.get_paginator.side_effect

    def remove_then_list(operation: str) -> Any:
        recorder_bench.bucket.remove("v2")
        return list_versions(operation)

    recorder_bench.s3_client.get_paginator.side_effect = remove_then_list
    assert recorder_bench.handle() == Result(Outcome.RECORDED)
    assert recorder_bench.written["version_id"] == "v1"
    assert recorder_bench.reads == 2


def test_swap_ends_after_10_attempts_so_that_the_event_is_delivered_again(recorder_bench: RecorderBench) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.refuse(*[recorder_bench.show("v0")] * 11)
    with pytest.raises(ContentionError, match="acme/run-0001/ changed under each of 10 attempts to replace it"):
        recorder_bench.handle(version_id="v1")
    assert len(recorder_bench.writes) == 10


@pytest.mark.parametrize("call", ["get_paginator", "get_object"])
def test_failure_of_s3_in_the_search_fails_the_event(
    recorder_bench: RecorderBench, client_error: Callable[..., ClientError], call: str
) -> None:
    recorder_bench.put(GOOD, "v1")
    recorder_bench.put(BAD, "v2")
    client = getattr(recorder_bench.s3_client, call)
    answer = client.side_effect

    def fail(*operation: str, **request: str) -> Any:
        if operation or "VersionId" in request:
            raise client_error("SlowDown")
        return answer(*operation, **request)

    client.side_effect = fail
    with pytest.raises(AWSCallError, match="SlowDown"):
        recorder_bench.handle()
    assert recorder_bench.writes == []
