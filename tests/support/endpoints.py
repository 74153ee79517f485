"""Prints where requests of S3, DynamoDB and SQS go, and for which region they are signed.

To be run with the package's boto3 and with a complete one.
"""

import itertools
import json
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

REQUESTS = {
    "s3": ("get_object", {"Bucket": "runs", "Key": "key"}),
    "dynamodb": ("update_item", {"TableName": "table", "Key": {"run_id": {"S": "1"}}}),
    "sqs": ("send_message", {"QueueUrl": "https://sqs/1/uploads", "MessageBody": "{}"}),
}
# Of several partitions, and one that botocore has not heard of.
REGIONS = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1", "eu-moon-7")
CASES = tuple(
    (service, region, fips, dualstack)
    for service, region, fips, dualstack in itertools.product(REQUESTS, REGIONS, (False, True), (False, True))
    if region == REGIONS[0] or fips == dualstack
)


def locate(service: str, region: str, fips: bool, dualstack: bool) -> list[str]:
    """The host of a request and the scope of its signature, or why there can be none."""
    config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dualstack, signature_version="v4")
    make_client: Any = boto3.Session("key", "secret", region_name=region).client
    client = make_client(service, config=config)
    method, parameters = REQUESTS[service]
    try:
        url = urlsplit(client.generate_presigned_url(method, parameters))
    except BotoCoreError as error:
        return [str(error)]
    _, _, credential = url.query.partition("X-Amz-Credential=")
    _, _, *scope = credential.partition("&")[0].split("%2F")
    return [url.netloc, *scope]


if __name__ == "__main__":
    print(json.dumps({str(case): locate(*case) for case in CASES}, indent=1))
