"""The search for the last accepted upload, from the current one backwards."""

from datetime import timedelta
from unittest.mock import MagicMock

import pytest

from run_recorder.config import load_settings
from run_recorder.domain import ObjectVersion
from run_recorder.evaluator import Evaluator
from run_recorder.last_accepted import MAX_OLDER_VERSIONS, Search, Verdicts
from run_recorder.s3 import S3
from run_recorder.uploads import Uploads
from tests.support.documents import BAD, GOOD, INCOMPLETE, document
from tests.support.fake_s3 import FakeS3
from tests.support.names import BUCKET, KEY, RUN, UPLOADED_AT


class SearchBench:
    """The versions of one key, and a search among them. The current upload is the last one that was put."""

    def __init__(self, client: MagicMock) -> None:
        self.bucket = FakeS3().answer(client)
        self.put = self.bucket.put
        self.uploads = Uploads(S3(client), BUCKET)
        self.verdicts = Verdicts(Evaluator(load_settings(), S3(client)), self.uploads, RUN, KEY)

    def search(self, source: ObjectVersion | None = None) -> Search | None:
        """Search from the current upload; the reads of the bucket are those of the search alone."""
        current = self.uploads.read_current(KEY)
        assert current is not None
        self.bucket.reads.clear()
        return self.verdicts.find_last_accepted(current, source)

    def find(self, source: ObjectVersion | None = None) -> str | None:
        """Return the version that a complete search finds."""
        search = self.search(source)
        assert search is not None
        assert search.is_complete
        return search.found.version.version_id if search.found else None


@pytest.fixture
def bench(s3_client: MagicMock) -> SearchBench:
    return SearchBench(s3_client)


def version(version_id: str) -> ObjectVersion:
    return ObjectVersion(version_id, f"etag of {version_id}")


def test_newest_accepted_upload_before_the_current_one_is_found(bench: SearchBench) -> None:
    for version_id, body in [("v1", GOOD), ("v2", GOOD), ("v3", BAD), ("v4", BAD)]:
        bench.put(body, version_id)
    assert bench.find() == "v2"
    assert bench.bucket.reads == ["v3", "v2"]


def test_upload_that_is_found_has_the_attributes_of_its_document(bench: SearchBench) -> None:
    bench.put(document(name="first"), "v1")
    bench.put(BAD, "v2")
    search = bench.search()
    assert search is not None
    assert search.found is not None
    assert search.found.accepted["name"] == "first"
    assert search.found.accepted["source"]["version_id"] == "v1"


def test_nothing_is_found_before_the_only_upload(bench: SearchBench) -> None:
    bench.put(BAD, "v1")
    assert bench.search() == Search(None, is_complete=True)
    assert bench.bucket.reads == []


def test_nothing_is_found_where_all_uploads_are_rejected(bench: SearchBench) -> None:
    bench.put(BAD, "v1")
    bench.put(BAD, "v2")
    assert bench.search() == Search(None, is_complete=True)


def test_incomplete_upload_is_not_accepted(bench: SearchBench) -> None:
    bench.put(GOOD, "v1")
    bench.put(INCOMPLETE, "v2")
    bench.put(BAD, "v3")
    assert bench.find() == "v1"


def test_uploads_that_lack_nothing_but_files_are_found_behind_the_last_accepted_one(bench: SearchBench) -> None:
    for version_id, body in [("v1", INCOMPLETE), ("v2", GOOD), ("v3", INCOMPLETE), ("v4", BAD), ("v5", INCOMPLETE)]:
        bench.put(body, version_id)
    bench.put(BAD, "v6")
    for source in (None, version("v2")):
        search = bench.search(source)
        assert search is not None
        assert [verdict.version.version_id for verdict in search.incomplete] == ["v5", "v3"]


def test_upload_that_the_record_names_ends_the_search_unread(bench: SearchBench) -> None:
    for version_id, body in [("v1", GOOD), ("v2", GOOD), ("v3", BAD), ("v4", BAD)]:
        bench.put(body, version_id)
    assert bench.search(version("v2")) == Search(None, is_complete=True)
    assert bench.bucket.reads == ["v3"]


def test_upload_that_was_accepted_after_the_one_that_the_record_names_is_found(bench: SearchBench) -> None:
    for version_id, body in [("v1", GOOD), ("v2", GOOD), ("v3", BAD)]:
        bench.put(body, version_id)
    assert bench.find(version("v1")) == "v2"


def test_nothing_is_read_where_the_record_names_the_current_upload(bench: SearchBench) -> None:
    """It was accepted under other settings, or before a file was removed."""
    bench.put(GOOD, "v1")
    bench.put(BAD, "v2")
    assert bench.search(version("v2")) == Search(None, is_complete=True)
    assert bench.bucket.reads == []


@pytest.mark.parametrize(
    "source", [version("v0"), ObjectVersion("v1", "other entity tag")], ids=["other version", "other entity tag"]
)
def test_nothing_is_found_where_the_upload_that_the_record_names_is_not_listed(
    bench: SearchBench, source: ObjectVersion
) -> None:
    bench.put(GOOD, "v1")
    bench.put(BAD, "v2")
    assert bench.search(source) == Search(None, is_complete=True)
    assert bench.bucket.reads == []


def test_search_has_no_result_if_the_current_upload_is_not_listed(bench: SearchBench) -> None:
    bench.put(GOOD, "v1")
    bench.put(BAD, "v2")
    current = bench.uploads.read_current(KEY)
    assert current is not None
    bench.bucket.remove("v2")
    assert bench.verdicts.find_last_accepted(current, None) is None


def test_uploads_after_the_current_one_are_not_searched(bench: SearchBench) -> None:
    bench.put(GOOD, "v1")
    bench.put(BAD, "v2")
    current = bench.uploads.read_current(KEY)
    assert current is not None
    bench.put(GOOD, "v3")
    search = bench.verdicts.find_last_accepted(current, None)
    assert search is not None
    assert search.found is not None
    assert search.found.version == version("v1")


def test_delete_markers_are_not_uploads(bench: SearchBench) -> None:
    bench.put(GOOD, "v1")
    bench.bucket.put_delete_marker("d1")
    bench.put(BAD, "v2")
    assert bench.find() == "v1"
    assert bench.bucket.reads == ["v1"]


@pytest.mark.parametrize(("rejected", "found", "is_complete"), [(99, "good", True), (100, None, False)])
def test_at_most_100_older_uploads_are_read(
    bench: SearchBench, *, rejected: int, found: str | None, is_complete: bool
) -> None:
    assert MAX_OLDER_VERSIONS == 100
    bench.put(GOOD, "good")
    for number in range(rejected + 1):
        bench.put(BAD, f"v{number}")
    search = bench.search()
    assert search is not None
    assert (search.found.version.version_id if search.found else None) == found
    assert search.is_complete is is_complete
    assert len(bench.bucket.reads) == 100


def test_search_is_complete_where_100_rejected_uploads_are_all(bench: SearchBench) -> None:
    for number in range(101):
        bench.put(BAD, f"v{number}")
    assert bench.search() == Search(None, is_complete=True)
    assert len(bench.bucket.reads) == 100


def test_search_that_finds_an_upload_among_the_last_100_is_complete(bench: SearchBench) -> None:
    for number in range(200):
        bench.put(BAD, f"v{number}")
    bench.put(GOOD, "good")
    bench.put(BAD, "bad")
    assert bench.find() == "good"
    assert bench.bucket.reads == ["good"]


def test_upload_that_the_record_names_is_found_in_the_list_before_more_than_100_others(bench: SearchBench) -> None:
    bench.put(GOOD, "good")
    for number in range(150):
        bench.put(BAD, f"v{number}")
    assert bench.search(version("good")) == Search(None, is_complete=False)


def test_version_null_is_read_by_its_name(bench: SearchBench) -> None:
    """The bucket was versioned only after the upload."""
    bench.put(GOOD, "null")
    bench.put(BAD, "v2")
    search = bench.search()
    assert search is not None
    assert search.found is not None
    assert search.found.version == ObjectVersion(None, "etag of null")
    assert bench.bucket.reads == ["null"]


def test_version_null_ends_the_search_by_its_entity_tag(bench: SearchBench) -> None:
    bench.put(GOOD, "null")
    bench.put(BAD, "v2")
    assert bench.search(ObjectVersion(None, "etag of null")) == Search(None, is_complete=True)
    assert bench.bucket.reads == []


def test_version_that_was_deleted_after_it_was_listed_is_skipped(bench: SearchBench, s3_client: MagicMock) -> None:
    for version_id, body in [("v1", GOOD), ("v2", GOOD), ("v3", BAD)]:
        bench.put(body, version_id)
    list_versions = s3_client.get_paginator.side_effect

    def list_then_remove(operation: str) -> MagicMock:
        paginator = list_versions(operation)
        pages = list(paginator.paginate(Bucket=BUCKET, Prefix=KEY))
        bench.bucket.remove("v2")
        return MagicMock(**{"paginate.return_value": pages})

    s3_client.get_paginator.side_effect = list_then_remove
    assert bench.find() == "v1"
    assert bench.bucket.reads == ["v2", "v1"]


def test_each_version_is_read_once_however_often_the_search_starts_over(bench: SearchBench) -> None:
    for version_id, body in [("v1", GOOD), ("v2", BAD), ("v3", BAD)]:
        bench.put(body, version_id)
    assert bench.find() == "v1"
    assert bench.bucket.reads == ["v2", "v1"]
    bench.put(BAD, "v4")
    assert bench.find() == "v1"
    assert bench.bucket.reads == ["v3"]
    assert bench.find() == "v1"
    assert bench.bucket.reads == []


def test_current_upload_is_evaluated_once(bench: SearchBench) -> None:
    bench.put(INCOMPLETE, "v1")
    stored = bench.uploads.read_current(KEY)
    assert stored is not None
    assert bench.verdicts.on(stored) is bench.verdicts.on(stored)
    assert len(bench.bucket.lists) == 1


def test_same_bytes_uploaded_again_without_a_version_are_another_upload(bench: SearchBench) -> None:
    bench.put(GOOD, etag="e", last_modified=UPLOADED_AT)
    first = bench.uploads.read_current(KEY)
    bench.put(GOOD, etag="e", last_modified=UPLOADED_AT + timedelta(seconds=1))
    second = bench.uploads.read_current(KEY)
    assert first is not None
    assert second is not None
    assert bench.verdicts.on(first).uploaded_at == "2026-11-20T08:30:00Z"
    assert bench.verdicts.on(second).uploaded_at == "2026-11-20T08:30:01Z"


def test_verdict_that_was_reached_elsewhere_is_kept(bench: SearchBench) -> None:
    bench.put(INCOMPLETE, "v1")
    stored = bench.uploads.read_current(KEY)
    assert stored is not None
    verdict = bench.verdicts.on(stored)
    bench.verdicts.keep_only(verdict)
    assert bench.verdicts.on(stored) is verdict
    bench.put(BAD, "v2")
    other = bench.uploads.read_current(KEY)
    assert other is not None
    bench.verdicts.keep_only(bench.verdicts.on(other))
    assert bench.verdicts.on(stored) is not verdict
    bench.verdicts.add(verdict)
    assert bench.verdicts.on(stored) is verdict
