"""Prints how boto3 makes each request of the package's operations, and how it parses each response.

To be run with the package's boto3 and with a complete one. No request is sent: each has a prepared response. The
program fails if the package has an operation without one.
"""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3 import HTTPResponse

Response = tuple[int, dict[str, str], str]

BUCKET = {"Bucket": "runs"}
OBJECT = {**BUCKET, "Key": "runs/acme/run 1+1/metadata.json", "VersionId": "3HL4"}
HEADERS = {
    "content-length": "2",
    "etag": '"9b2c"',
    "last-modified": "Fri, 20 Nov 2026 08:30:00 GMT",
    "expires": "not a time",
    "x-amz-version-id": "3HL4",
    "x-amz-checksum-crc32": "o6a/Qw==",
    "x-amz-meta-instrument": "cycler-03",
    "x-amz-bucket-region": "eu-central-1",
}
LISTED = "<Key>a%20b</Key><VersionId>1</VersionId><ETag>&quot;9b2c&quot;</ETag><Size>2</Size>"
LISTING = "<L><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>{}</L>"
TABLE = {"TableName": "runs"}
KEY = {"organisation_id": {"S": "acme"}, "run_id": {"S": "run-1"}}
ITEM = {**KEY, "config": {"M": {"gain": {"N": "1.5"}, "wells": {"L": [{"S": "A1"}, {"NULL": True}, {"B": "AA=="}]}}}}
CONDITION = {"ConditionExpression": "#a < :a", "ExpressionAttributeNames": {"#a": "a"}}

# The parameters of each operation, and a response to it.
CASES: dict[str, dict[str, tuple[dict[str, Any], Response]]] = {
    "s3": {
        "CreateSession": (BUCKET, (200, {}, "<R><Credentials><AccessKeyId>a</AccessKeyId></Credentials></R>")),
        "GetObject": (OBJECT, (200, HEADERS, "{}")),
        "HeadBucket": (BUCKET, (200, HEADERS, "")),
        "HeadObject": (OBJECT, (200, HEADERS, "")),
        "ListBuckets": ({}, (200, {}, "<R><Buckets><Bucket><Name>runs</Name></Bucket></Buckets></R>")),
        "ListObjectVersions": (
            {**BUCKET, "Prefix": "runs/"},
            (200, {}, LISTING.format(f"<Version>{LISTED}</Version><DeleteMarker><Key>b</Key></DeleteMarker>")),
        ),
        "ListObjectsV2": (
            {**BUCKET, "Prefix": "runs/", "Delimiter": "/", "StartAfter": "a b"},
            (
                200,
                {},
                LISTING.format(f"<Contents>{LISTED}</Contents><CommonPrefixes><Prefix>a%20/</Prefix></CommonPrefixes>"),
            ),
        ),
    },
    "dynamodb": {
        "DescribeEndpoints": ({}, (200, {}, '{"Endpoints": [{"Address": "a", "CachePeriodInMinutes": 1}]}')),
        "GetItem": ({**TABLE, "Key": KEY, "ConsistentRead": True}, (200, {}, json.dumps({"Item": ITEM}))),
        "Query": (
            {**TABLE, "IndexName": "NewestRuns", "KeyConditionExpression": "a = b", "ExclusiveStartKey": KEY},
            (200, {}, json.dumps({"Items": [ITEM], "LastEvaluatedKey": KEY})),
        ),
        "Scan": ({**TABLE, "Segment": 1, "TotalSegments": 2}, (200, {}, json.dumps({"Items": [ITEM], "Count": 1}))),
        "UpdateItem": (
            {**TABLE, "Key": KEY, **CONDITION, "UpdateExpression": "SET #a = :a", "ExpressionAttributeValues": ITEM},
            (200, {}, json.dumps({"Attributes": ITEM})),
        ),
    },
    "sqs": {
        "SendMessage": (
            {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/1/q", "MessageBody": "{}", "DelaySeconds": 15},
            (200, {}, '{"MessageId": "1", "MD5OfMessageBody": "99914b932bd37a50b983c5e7c90ae93b"}'),
        ),
    },
}
# Each operation gets each error of its service: those that the function distinguishes, and others.
XML = "<Error><Code>{}</Code><Message>m</Message><Key>k</Key><StorageClass>GLACIER</StorageClass></Error>"
ERRORS: dict[str, list[Response]] = {
    "s3": [
        *((404, {}, XML.format(code)) for code in ("NoSuchKey", "NoSuchVersion", "NoSuchBucket")),
        *((403, {}, XML.format(code)) for code in ("AccessDenied", "InvalidObjectState", "ExpiredToken")),
        *((503, {}, XML.format(code)) for code in ("SlowDown", "ServiceUnavailable")),
        (405, {"x-amz-delete-marker": "true"}, XML.format("MethodNotAllowed")),
        *((status, {}, "") for status in (403, 404, 405, 412, 500)),  # as for HEAD: without a body
    ],
    "dynamodb": [
        (400, {}, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "m", "Item": ITEM}))
        for code in (
            "ConditionalCheckFailedException",
            "ProvisionedThroughputExceededException",
            "ThrottlingException",
            "RequestLimitExceeded",
            "ResourceNotFoundException",
            "AccessDeniedException",
            "ItemCollectionSizeLimitExceededException",
            "TransactionCanceledException",
        )
    ],
    "sqs": [
        (
            400,
            {"x-amzn-query-error": f"AWS.SimpleQueueService.{code};Sender"},
            f'{{"__type": "com.amazonaws.sqs#{code}"}}',
        )
        for code in ("QueueDoesNotExist", "InvalidMessageContents", "RequestThrottled", "KmsDisabled", "AccessDenied")
    ],
}


def call(service: str, operation: str, parameters: dict[str, Any], responses: list[Response]) -> Iterator[list[Any]]:
    """Yield the request of a call, and the parsed response or error, for each response."""
    client: Any = boto3.Session("key", "secret", region_name="us-east-1").client(
        service,  # type: ignore[call-overload]
        config=Config(retries={"total_max_attempts": 1}, signature_version="v4"),
    )
    requests: list[Any] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        requests.append([request.method, request.url, str(request.body), sorted(request.headers)])
        status, headers, body = responses[len(requests) - 1]
        content = io.BytesIO(b"" if request.method == "HEAD" else body.encode())
        raw = HTTPResponse(content, headers, status, preload_content=False, request_method=request.method)
        return AWSResponse(request.url, status, raw.headers, raw)  # type: ignore[arg-type]

    client.meta.events.register("before-send", answer)
    (method,) = (name for name, each in client.meta.method_to_api_mapping.items() if each == operation)
    for _ in responses:
        try:
            parsed = getattr(client, method)(**parameters)
            if "Body" in parsed:
                parsed["Body"] = parsed["Body"].read()
        except ClientError as error:
            parsed = [type(error).__name__, error.response]
        yield [requests[-1], parsed]


def find_operations(data: Path, service: str) -> set[str]:
    """Return the operations that a package has."""
    (model,) = data.glob(f"{service}/*/service-2.json")
    return set(json.loads(model.read_bytes())["operations"])


if __name__ == "__main__":
    for service, cases in CASES.items():
        difference = find_operations(Path(sys.argv[1]), service) ^ cases.keys()
        if difference:
            sys.exit(f"{service}: operations without a case, or cases without an operation: {difference}")
        for operation, (parameters, success) in cases.items():
            for result in call(service, operation, parameters, [success, *ERRORS[service]]):
                print(json.dumps([service, operation, *result], default=str))
