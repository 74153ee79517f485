"""Class S3 with moto, whose ``mock_aws`` replaces ``mock_s3`` and its siblings since moto 5."""

import hashlib
from collections.abc import Iterator

import pytest
from moto import mock_aws

from run_recorder.domain import ObjectVersion
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from run_recorder.s3_objects import ListedObject

BUCKET = "a-bucket"
ETAG = hashlib.md5(b"{}", usedforsecurity=False).hexdigest()


@pytest.fixture
def s3_test() -> Iterator[S3]:
    """An S3 whose account has one bucket."""
    with mock_aws():
        s3 = S3()
        s3.client.create_bucket(Bucket=BUCKET)
        yield s3


@pytest.fixture
def metadata(s3_test: S3, organisation_id: str, run_id: str) -> str:
    """A run's metadata.json in the bucket; its key."""
    key = f"runs/{organisation_id}/{run_id}/metadata.json"
    s3_test.client.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    return key


def test_list_buckets(s3_test: S3) -> None:
    assert s3_test.list_buckets() == [BUCKET]
    s3_test.client.create_bucket(Bucket="another-bucket")
    assert sorted(s3_test.list_buckets()) == [BUCKET, "another-bucket"]


def test_list_objects(s3_test: S3, metadata: str) -> None:
    assert list(s3_test.list_objects(BUCKET)) == [ListedObject(metadata, 2, ETAG)]


def test_list_objects_under_a_prefix(s3_test: S3, metadata: str, organisation_id: str) -> None:
    s3_test.client.put_object(Bucket=BUCKET, Key="other", Body=b"")
    assert [listed.key for listed in s3_test.list_objects(BUCKET, f"runs/{organisation_id}/")] == [metadata]
    assert list(s3_test.list_objects(BUCKET, "none/")) == []


@pytest.fixture
def _short_pages(environment: pytest.MonkeyPatch) -> None:
    """Pages of moto with ten keys or names."""
    environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")


@pytest.mark.usefixtures("_short_pages")
def test_list_objects_over_several_pages(s3_test: S3) -> None:
    keys = [f"k{number:04}" for number in range(21)]
    for key in keys:
        s3_test.client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert [listed.key for listed in s3_test.list_objects(BUCKET)] == keys


def test_list_level(s3_test: S3) -> None:
    """A listing after a name with "0" in place of "/" leaves out the names below that folder."""
    for key in ("p/a-1/x", "p/a/x", "p/a/y/z", "p/a0/x", "p/b", "p/", "q/c"):
        s3_test.client.put_object(Bucket=BUCKET, Key=key, Body=b"")
    assert list(s3_test.list_level(BUCKET, "p/")) == ["p/a-1/", "p/a/", "p/a0/", "p/b"]
    assert list(s3_test.list_level(BUCKET, "p/", "p/a0")) == ["p/a0/", "p/b"]
    assert list(s3_test.list_level(BUCKET, "")) == ["p/", "q/"]


@pytest.mark.usefixtures("_short_pages")
def test_list_level_over_several_pages(s3_test: S3) -> None:
    names = [f"k{number:04}/" for number in range(21)]
    for name in names:
        s3_test.client.put_object(Bucket=BUCKET, Key=f"{name}file", Body=b"")
    assert list(s3_test.list_level(BUCKET, "")) == names


def test_head_object(s3_test: S3, metadata: str) -> None:
    read = s3_test.read_object(BUCKET, metadata, max_bytes=1)
    assert s3_test.head_object(BUCKET, metadata) == read
    assert s3_test.head_object(BUCKET, "none") is None


def test_head_object_of_a_versioned_bucket(s3_test: S3, metadata: str) -> None:
    s3_test.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"1")["VersionId"]
    found = s3_test.head_object(BUCKET, metadata)
    assert found is not None
    assert found.version_id == version
    s3_test.client.delete_object(Bucket=BUCKET, Key=metadata)
    assert s3_test.head_object(BUCKET, metadata) is None


def test_head_object_by_version(s3_test: S3, metadata: str) -> None:
    s3_test.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"1")["VersionId"]
    s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"22")
    found = s3_test.head_object(BUCKET, metadata, first)
    assert found is not None
    assert (found.version_id, found.size, found.body) == (first, 1, None)
    s3_test.client.delete_object(Bucket=BUCKET, Key=metadata, VersionId=first)
    assert s3_test.head_object(BUCKET, metadata, first) is None


@pytest.mark.usefixtures("distinct_times")
def test_list_versions(s3_test: S3, metadata: str) -> None:
    """Newest first, the version "null" among them, without delete markers and longer keys."""
    etag = s3_test.client.head_object(Bucket=BUCKET, Key=metadata)["ETag"].strip('"')
    assert list(s3_test.list_versions(BUCKET, metadata)) == [ObjectVersion(None, etag)]
    s3_test.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    older = s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"1")
    s3_test.client.delete_object(Bucket=BUCKET, Key=metadata)
    newer = s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"2")
    s3_test.client.put_object(Bucket=BUCKET, Key=f"{metadata}.bak", Body=b"")
    s3_test.client.delete_object(Bucket=BUCKET, Key=metadata)
    assert list(s3_test.list_versions(BUCKET, metadata)) == [
        ObjectVersion(newer["VersionId"], newer["ETag"].strip('"')),
        ObjectVersion(older["VersionId"], older["ETag"].strip('"')),
        ObjectVersion(None, etag),
    ]
    assert list(s3_test.list_versions(BUCKET, "none")) == []


@pytest.mark.usefixtures("distinct_times")
def test_list_versions_over_several_pages(s3_test: S3, metadata: str, environment: pytest.MonkeyPatch) -> None:
    """The listing ends after the key, however many longer keys begin with it."""
    environment.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")  # a page
    s3_test.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put = [s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"")["VersionId"] for _ in range(11)]
    for _ in range(20):
        s3_test.client.put_object(Bucket=BUCKET, Key=f"{metadata}.bak", Body=b"")
    requests: list[str] = []
    s3_test.client.meta.events.register("provide-client-params", lambda model, **_: requests.append(model.name))
    listed = [version.version_id for version in s3_test.list_versions(BUCKET, metadata)]
    assert listed == [*reversed(put), None]
    assert requests == ["ListObjectVersions"] * 3


def test_list_objects_of_a_missing_bucket_fails(s3_test: S3) -> None:
    with pytest.raises(AWSCallError, match="NoSuchBucket"):
        list(s3_test.list_objects("no-such-bucket"))


def test_read_object(s3_test: S3, metadata: str) -> None:
    stored = s3_test.read_object(BUCKET, metadata, max_bytes=2)
    assert stored is not None
    assert (stored.body, stored.size, stored.version_id) == (b"{}", 2, None)
    assert stored.last_modified == s3_test.client.head_object(Bucket=BUCKET, Key=metadata)["LastModified"]


def test_read_object_over_the_limit(s3_test: S3, metadata: str) -> None:
    stored = s3_test.read_object(BUCKET, metadata, max_bytes=1)
    assert stored is not None
    assert (stored.body, stored.size) == (None, 2)


def test_read_object_by_version(s3_test: S3, metadata: str) -> None:
    s3_test.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    first = s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"1")["VersionId"]
    second = s3_test.client.put_object(Bucket=BUCKET, Key=metadata, Body=b"2")["VersionId"]
    for version, body in ((first, b"1"), (second, b"2"), (None, b"2")):
        stored = s3_test.read_object(BUCKET, metadata, version, max_bytes=1)
        assert stored is not None
        assert (stored.body, stored.version_id) == (body, version or second)


def test_read_object_that_does_not_exist(s3_test: S3, metadata: str) -> None:
    assert s3_test.read_object(BUCKET, metadata, "no-such-version", max_bytes=2) is None
    s3_test.client.delete_object(Bucket=BUCKET, Key=metadata)
    assert s3_test.read_object(BUCKET, metadata, max_bytes=2) is None
    with pytest.raises(AWSCallError, match="NoSuchBucket"):
        s3_test.read_object("no-such-bucket", metadata, max_bytes=2)
