"""Class S3 against a mocked client."""

import io
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.parsers import ResponseParserError
from botocore.response import StreamingBody
from pytest_mock import MockerFixture
from urllib3 import HTTPSConnectionPool
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError

from run_recorder.domain import ObjectVersion
from run_recorder.errors import AWSCallError
from run_recorder.s3 import S3
from run_recorder.s3_objects import ListedObject, ListedPage, StoredObject
from tests.support.names import UPLOADED_AT

UNREACHABLE = EndpointConnectionError(endpoint_url="https://s3.example")
UNWRAPPED = [
    ProtocolError("Connection broken"),
    ReadTimeoutError(HTTPSConnectionPool("s3.example"), "/", "Read timed out."),
    SSLError("bad record mac"),
    ResponseParserError("invalid XML received"),
]
LISTINGS: list[Callable[[S3], Any]] = [
    S3.list_buckets,
    lambda s3: list(s3.list_objects("b", "p/")),
    lambda s3: list(s3.list_level("b", "p/")),
    lambda s3: s3.list_page("b", "p/", "p/a"),
    lambda s3: list(s3.list_versions("b", "k")),
]


def test_client_is_created_with_the_instance(mocker: MockerFixture) -> None:
    make_client = mocker.patch("boto3.client", autospec=True)
    s3 = S3()
    make_client.assert_called_once_with("s3")
    assert s3.client is make_client.return_value


def test_given_client_is_used(mocker: MockerFixture, s3_client: MagicMock) -> None:
    make_client = mocker.patch("boto3.client", autospec=True)
    assert S3(s3_client).client is s3_client
    make_client.assert_not_called()


def test_buckets_of_all_pages_are_listed(s3_client: MagicMock) -> None:
    s3_client.get_paginator.return_value.paginate.return_value = [
        {"Buckets": [{"Name": "a"}, {"Name": "b"}]},
        {"Buckets": []},
        {"Buckets": [{"Name": "c"}]},
    ]
    assert S3(s3_client).list_buckets() == ["a", "b", "c"]
    s3_client.get_paginator.assert_called_once_with("list_buckets")


def test_objects_are_listed_page_by_page(s3_client: MagicMock) -> None:
    """A page is fetched only when it is needed."""
    fetched = []

    def pages() -> Any:
        for number in range(3):
            fetched.append(number)
            yield {"IsTruncated": number < 2, "Contents": [{"Key": f"p/{number}", "Size": number}]}

    s3_client.get_paginator.return_value.paginate.return_value = pages()
    objects = S3(s3_client).list_objects("bucket", "p/")
    assert next(objects) == ListedObject("p/0", 0)
    assert next(objects) == ListedObject("p/1", 1)
    assert fetched == [0, 1]
    s3_client.get_paginator.assert_called_once_with("list_objects_v2")
    s3_client.get_paginator.return_value.paginate.assert_called_once_with(Bucket="bucket", Prefix="p/")


def test_page_of_objects_is_listed_with_one_request(s3_client: MagicMock) -> None:
    s3_client.list_objects_v2.return_value = {
        "IsTruncated": True,
        "Contents": [{"Key": "p/b", "Size": 0}, {"Key": "p/c", "Size": 3}],
    }
    assert S3(s3_client).list_page("bucket", "p/", "p/a") == ListedPage(
        (ListedObject("p/b", 0), ListedObject("p/c", 3)), is_truncated=True
    )
    s3_client.list_objects_v2.assert_called_once_with(Bucket="bucket", Prefix="p/", StartAfter="p/a")
    assert len(s3_client.method_calls) == 1


def test_page_without_objects_is_empty(s3_client: MagicMock) -> None:
    s3_client.list_objects_v2.return_value = {"IsTruncated": False}
    assert S3(s3_client).list_page("bucket", "p/", "p/a") == ListedPage((), is_truncated=False)


def version(version_id: str, key: str = "k") -> dict[str, str]:
    return {"Key": key, "VersionId": version_id, "ETag": f'"etag of {version_id}"'}


def test_versions_of_all_pages_are_listed_newest_first_without_delete_markers(s3_client: MagicMock) -> None:
    s3_client.get_paginator.return_value.paginate.return_value = [
        {"IsTruncated": True, "Versions": [version("v3"), version("v2")], "DeleteMarkers": [version("d1")]},
        {"IsTruncated": True, "DeleteMarkers": [version("d0")]},
        {"IsTruncated": False, "Versions": [version("null")]},
    ]
    assert list(S3(s3_client).list_versions("bucket", "k")) == [
        ObjectVersion("v3", "etag of v3"),
        ObjectVersion("v2", "etag of v2"),
        ObjectVersion(None, "etag of null"),
    ]
    s3_client.get_paginator.assert_called_once_with("list_object_versions")
    s3_client.get_paginator.return_value.paginate.assert_called_once_with(Bucket="bucket", Prefix="k")


@pytest.mark.parametrize("longer", ["Versions", "DeleteMarkers"])
def test_listing_of_versions_ends_at_a_longer_key_that_begins_with_the_key(s3_client: MagicMock, longer: str) -> None:
    fetched = []

    def pages() -> Any:
        for number in range(3):
            fetched.append(number)
            page: dict[str, Any] = {"IsTruncated": True, "Versions": [version(f"v{number}")]}
            if number == 1:
                page[longer] = [*page.get(longer, []), version("w", "k.bak")]
            yield page

    s3_client.get_paginator.return_value.paginate.return_value = pages()
    versions = S3(s3_client).list_versions("bucket", "k")
    assert [listed.version_id for listed in versions] == ["v0", "v1"]
    assert fetched == [0, 1]


def test_page_of_versions_is_fetched_only_when_needed(s3_client: MagicMock) -> None:
    fetched = []

    def pages() -> Any:
        for number in range(3):
            fetched.append(number)
            yield {"IsTruncated": True, "Versions": [version(f"{number}a"), version(f"{number}b")]}

    s3_client.get_paginator.return_value.paginate.return_value = pages()
    versions = S3(s3_client).list_versions("bucket", "k")
    assert [next(versions).version_id for _ in range(3)] == ["0a", "0b", "1a"]
    assert fetched == [0, 1]


def test_listing_of_versions_that_ends_early_raises_after_the_pages_before(s3_client: MagicMock) -> None:
    s3_client.get_paginator.return_value.paginate.return_value = [
        {"IsTruncated": True, "Versions": [version("v1")]},
        {"ResponseMetadata": {}},
    ]
    versions = S3(s3_client).list_versions("bucket", "k")
    assert next(versions).version_id == "v1"
    with pytest.raises(AWSCallError, match="ended early"):
        next(versions)


def test_level_is_listed_in_order_page_by_page(s3_client: MagicMock) -> None:
    """A page lists keys and prefixes separately; the prefix itself may be a key, a folder created in the console."""
    fetched = []

    def pages() -> Any:
        for number in range(2):
            fetched.append(number)
            yield {
                "IsTruncated": True,
                "Contents": [{"Key": "p/", "Size": 0}, {"Key": f"p/{number}b", "Size": 1}],
                "CommonPrefixes": [{"Prefix": f"p/{number}a/"}, {"Prefix": f"p/{number}c/"}],
            }
        yield {"IsTruncated": False}

    s3_client.get_paginator.return_value.paginate.return_value = pages()
    names = S3(s3_client).list_level("bucket", "p/")
    assert [next(names) for _ in range(3)] == ["p/0a/", "p/0b", "p/0c/"]
    assert fetched == [0]
    assert list(names) == ["p/1a/", "p/1b", "p/1c/"]
    s3_client.get_paginator.assert_called_once_with("list_objects_v2")
    s3_client.get_paginator.return_value.paginate.assert_called_once_with(Bucket="bucket", Prefix="p/", Delimiter="/")


def test_level_is_listed_after_a_given_string(s3_client: MagicMock) -> None:
    s3_client.get_paginator.return_value.paginate.return_value = []
    assert list(S3(s3_client).list_level("bucket", "p/", "p/a0")) == []
    s3_client.get_paginator.return_value.paginate.assert_called_once_with(
        Bucket="bucket", Prefix="p/", Delimiter="/", StartAfter="p/a0"
    )


def test_current_object_is_found_without_its_body(s3_client: MagicMock) -> None:
    s3_client.head_object.return_value = {
        "ContentLength": 5, "ETag": '"etag"', "LastModified": UPLOADED_AT, "VersionId": "v1",
    }  # fmt: skip
    assert S3(s3_client).head_object("b", "k") == StoredObject("v1", "etag", UPLOADED_AT, 5, None)
    s3_client.head_object.assert_called_once_with(Bucket="b", Key="k")


def test_version_of_an_object_is_found_without_its_body(s3_client: MagicMock) -> None:
    s3_client.head_object.return_value = {
        "ContentLength": 5, "ETag": '"etag"', "LastModified": UPLOADED_AT, "VersionId": "v1",
    }  # fmt: skip
    assert S3(s3_client).head_object("b", "k", "v1") == StoredObject("v1", "etag", UPLOADED_AT, 5, None)
    s3_client.head_object.assert_called_once_with(Bucket="b", Key="k", VersionId="v1")


@pytest.mark.parametrize("status", ["404", "405"])
def test_object_or_version_that_does_not_exist_or_is_a_delete_marker_is_none(
    s3_client: MagicMock, client_error: Callable[..., ClientError], status: str
) -> None:
    s3_client.head_object.side_effect = client_error(status)
    assert S3(s3_client).head_object("b", "k") is None
    assert S3(s3_client).head_object("b", "k", "v1") is None


@pytest.mark.parametrize("header", ["ContentLength", "ETag", "LastModified"])
def test_head_response_that_ends_early_raises(s3_client: MagicMock, header: str) -> None:
    answer = {"ContentLength": 5, "ETag": '"etag"', "LastModified": UPLOADED_AT}
    s3_client.head_object.return_value = {name: value for name, value in answer.items() if name != header}
    with pytest.raises(AWSCallError, match="ended early"):
        S3(s3_client).head_object("b", "k")


def test_refused_or_unanswered_head_request_raises(
    s3_client: MagicMock, client_error: Callable[..., ClientError]
) -> None:
    for error in (client_error("403"), UNREACHABLE):
        s3_client.head_object.side_effect = error
        with pytest.raises(AWSCallError, match="looking for s3://b/k failed"):
            S3(s3_client).head_object("b", "k")


def test_current_object_is_read_with_one_request(
    s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]
) -> None:
    s3_client.get_object.return_value = get_object_response(b"body")
    assert S3(s3_client).read_object("b", "k", max_bytes=4) == StoredObject(None, "etag", UPLOADED_AT, 4, b"body")
    s3_client.get_object.assert_called_once_with(Bucket="b", Key="k")


def test_named_version_is_read(s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]) -> None:
    s3_client.get_object.return_value = get_object_response(VersionId="v1")
    stored = S3(s3_client).read_object("b", "k", "v1", max_bytes=4)
    assert stored is not None
    assert stored.version_id == "v1"
    s3_client.get_object.assert_called_once_with(Bucket="b", Key="k", VersionId="v1")


@pytest.mark.parametrize(
    "answer", [{"VersionId": "v2"}, {"VersionId": "null"}, {}, {"VersionId": "v1", "ETag": '"e2"'}]
)
def test_answer_with_another_version_or_entity_tag_raises(
    s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]], answer: dict[str, str]
) -> None:
    s3_client.get_object.return_value = get_object_response(**answer)
    with pytest.raises(AWSCallError, match="reading s3://b/k was answered with"):
        S3(s3_client).read_object("b", "k", "v1", "etag", max_bytes=4)


def test_version_null_is_read_by_its_name(
    s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]
) -> None:
    s3_client.get_object.return_value = get_object_response(VersionId="null")
    stored = S3(s3_client).read_object("b", "k", "null", "etag", max_bytes=4)
    assert stored is not None
    assert stored.version == ObjectVersion(None, "etag")
    s3_client.get_object.assert_called_once_with(Bucket="b", Key="k", VersionId="null")


def test_time_of_an_upload_is_stated_in_utc_to_the_second(
    s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]
) -> None:
    local = datetime(2026, 11, 20, 9, 30, 0, 999_999, tzinfo=timezone(timedelta(hours=1)))
    s3_client.get_object.return_value = get_object_response(LastModified=local)
    stored = S3(s3_client).read_object("b", "k", max_bytes=4)
    assert stored is not None
    assert stored.uploaded_at == "2026-11-20T08:30:00Z"


def test_null_version_is_no_version(s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]) -> None:
    s3_client.get_object.return_value = get_object_response(VersionId="null")
    stored = S3(s3_client).read_object("b", "k", max_bytes=4)
    assert stored is not None
    assert stored.version_id is None


def test_object_over_the_limit_is_not_read(
    s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]], mocker: MockerFixture
) -> None:
    stream = mocker.create_autospec(StreamingBody(io.BytesIO(), 0), instance=True)
    s3_client.get_object.return_value = get_object_response(Body=stream, ContentLength=5)
    stored = S3(s3_client).read_object("b", "k", max_bytes=4)
    assert stored is not None
    assert (stored.size, stored.body) == (5, None)
    stream.read.assert_not_called()
    stream.close.assert_called_once_with()


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion", "MethodNotAllowed"])
def test_object_that_does_not_exist_is_none(
    s3_client: MagicMock, client_error: Callable[..., ClientError], code: str
) -> None:
    s3_client.get_object.side_effect = client_error(code)
    assert S3(s3_client).read_object("b", "k", max_bytes=4) is None


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "SlowDown", "InternalError", "ExpiredToken"])
def test_refused_read_raises(s3_client: MagicMock, client_error: Callable[..., ClientError], code: str) -> None:
    s3_client.get_object.side_effect = client_error(code)
    with pytest.raises(AWSCallError, match=rf"reading s3://b/k failed: .*{code}"):
        S3(s3_client).read_object("b", "k", max_bytes=4)


def test_read_without_an_answer_raises(s3_client: MagicMock) -> None:
    s3_client.get_object.side_effect = UNREACHABLE
    with pytest.raises(AWSCallError, match="reading s3://b/k failed"):
        S3(s3_client).read_object("b", "k", max_bytes=4)


def test_body_that_breaks_off_raises(s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]]) -> None:
    stream = StreamingBody(io.BytesIO(b"bo"), 4)
    s3_client.get_object.return_value = get_object_response(Body=stream, ContentLength=4)
    with pytest.raises(AWSCallError, match="2 read, but total bytes expected is 4"):
        S3(s3_client).read_object("b", "k", max_bytes=4)


def test_error_without_a_code_raises(s3_client: MagicMock) -> None:
    s3_client.get_object.side_effect = ClientError({"Error": {}}, "GetObject")
    with pytest.raises(AWSCallError, match="reading s3://b/k failed"):
        S3(s3_client).read_object("b", "k", max_bytes=4)


@pytest.mark.parametrize("error", UNWRAPPED, ids=lambda error: type(error).__name__)
def test_error_that_botocore_does_not_wrap_raises(
    s3_client: MagicMock, get_object_response: Callable[..., dict[str, Any]], mocker: MockerFixture, error: Exception
) -> None:
    stream = mocker.create_autospec(StreamingBody(io.BytesIO(), 0), instance=True)
    stream.read.side_effect = error
    for answer in (error, [get_object_response(Body=stream)]):
        s3_client.get_object.side_effect = answer
        with pytest.raises(AWSCallError, match="reading s3://b/k failed"):
            S3(s3_client).read_object("b", "k", max_bytes=4)


@pytest.mark.parametrize("use", LISTINGS)
@pytest.mark.parametrize("error", [UNREACHABLE, *UNWRAPPED], ids=lambda error: type(error).__name__)
def test_failed_listing_raises(s3_client: MagicMock, use: Callable[[S3], Any], error: Exception) -> None:
    s3_client.get_paginator.return_value.paginate.side_effect = error
    s3_client.list_objects_v2.side_effect = error
    with pytest.raises(AWSCallError, match=r"listing .* failed"):
        use(S3(s3_client))


@pytest.mark.parametrize("use", LISTINGS)
def test_listing_that_ends_after_its_headers_raises(s3_client: MagicMock, use: Callable[[S3], Any]) -> None:
    """The client returns such a response as an empty page."""
    s3_client.get_paginator.return_value.paginate.return_value = [{"ResponseMetadata": {}}]
    s3_client.list_objects_v2.return_value = {"ResponseMetadata": {}}
    with pytest.raises(AWSCallError, match="ended early"):
        use(S3(s3_client))
