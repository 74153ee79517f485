"""The header Last-Modified, parsed in place of botocore."""

import io
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from handler.last_modified import parse_last_modified

MOMENT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def parse(value: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the headers that are left for botocore, and the members that are parsed."""
    headers, members = {"etag": "e", "last-modified": value}, dict[str, Any]()
    parse_last_modified({"headers": headers}, members, parser=None)
    return headers, members


def test_time_of_http_is_parsed() -> None:
    assert parse("Fri, 20 Nov 2026 08:30:00 GMT") == ({"etag": "e"}, {"LastModified": MOMENT})


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-20T08:30:00Z",
        "1795163400",
        "Fri, 20 Nov 2026 08:30:00 -0000",
        "Fri, 20 Nov 2026 08:30:00 +0100",
        "soon GMT",
        "Fri, 31 Feb 2026 08:30:00 GMT",
        "Fri, 20 Nov 99999999999999999999 08:30:00 GMT",
        "",
    ],
)
def test_header_of_another_format_is_left_for_botocore(value: str) -> None:
    assert parse(value) == ({"etag": "e", "last-modified": value}, {})


def test_response_without_the_header_is_left_as_it_is() -> None:
    headers, members = {"etag": "e"}, dict[str, Any]()
    parse_last_modified({"headers": headers}, members)
    assert (headers, members) == ({"etag": "e"}, {})


class Body(io.BytesIO):
    """The body of a response, as urllib3 has it."""

    def stream(self) -> list[bytes]:
        """Return the parts."""
        return [self.read()]


@pytest.mark.parametrize("register", [True, False])
def test_output_of_the_client_is_that_of_botocore(register: bool) -> None:
    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        headers = HTTPHeaders()
        headers["last-modified"], headers["etag"] = "Fri, 20 Nov 2026 08:30:00 GMT", '"e"'
        return AWSResponse(request.url, 200, headers, Body())

    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing")
    s3.meta.events.register("before-send.s3.GetObject", answer)  # type: ignore[arg-type] # a handler of it may answer
    if register:
        s3.meta.events.register("before-parse.s3.GetObject", parse_last_modified)
    response = s3.get_object(Bucket="bucket", Key="key")
    assert (response["LastModified"], response["ETag"]) == (MOMENT, '"e"')
