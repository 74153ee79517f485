"""The least work that records a run: one read and one write with boto3, with a prepared item.

The object and the item are those of the function.
"""

import json
import os
from typing import Any

import boto3

s3 = boto3.client("s3")
dynamodb = boto3.client("dynamodb")

RECORD: dict[str, Any] = {
    "status": {"S": "recorded"},
    "sequencer": {"S": "000000000000000055AED6DCD90281E5"},
    "uploaded_at": {"S": "2026-11-20T08:30:00Z"},
    "version_id": {"S": "3HL4kqtJlcpXroDTDmJrmSpXd3dIbrHY"},
    "etag": {"S": "9b2cf535f27731c974343645a3985328"},
    "bucket": {"S": "run-recorder-runs"},
    "key": {"S": "runs/acme/small-0/metadata.json"},
    "config": {
        "M": {
            "environment": {"S": "production"},
            "input": {"S": "s3://run-recorder-runs/runs/acme/small-0/"},
            "model": {"M": {"name": {"S": "amplification"}, "version": {"S": "2.1.0"}}},
            "output": {"S": "s3://run-recorder-results/results/acme/small-0/"},
            "parameters": {
                "M": {
                    "cycles": {"N": "40"},
                    "gain": {"M": {"red": {"N": "1.5"}}},
                    "threshold": {"N": "0.035"},
                    "wells": {"L": [{"S": "A1"}, {"S": "A2"}, {"S": "B1"}, {"S": "B2"}]},
                }
            },
        }
    },
    "config_sha256": {"S": "30478eeb8f5fe94d69136a0abcb858892bf1d8451602592874693e3e0638f111"},
    "source": {
        "M": {
            "etag": {"S": "9b2cf535f27731c974343645a3985328"},
            "sequencer": {"S": "000000000000000055AED6DCD90281E5"},
            "sha256": {"S": "66c8c337e12497e45c2a384cd9aab291beaa9c346196e668c8129920602e7e8d"},
            "size": {"N": "320"},
            "version_id": {"S": "3HL4kqtJlcpXroDTDmJrmSpXd3dIbrHY"},
        }
    },
    "name": {"S": "Plate 7, repeat"},
    "created_at": {"S": "2026-11-20T08:29:41Z"},
    "created_by": {"S": "cycler-03"},
    "tags": {"M": {"assay": {"S": "A-12"}, "site": {"S": "lab-2"}}},
    "recorded_at": {"S": "2026-11-20T08:30:01.400602Z"},
}
_UPDATE: dict[str, Any] = {
    "UpdateExpression": "SET "
    + ", ".join(f"#{name} = :{name}" for name in RECORD)
    + ", #first_recorded_at = if_not_exists(#first_recorded_at, :recorded_at) REMOVE #errors, #errors_truncated",
    "ConditionExpression": "(attribute_not_exists(#organisation_id) OR #sequencer < :sequencer)",
    "ExpressionAttributeNames": {
        f"#{name}": name for name in (*RECORD, "first_recorded_at", "errors", "errors_truncated", "organisation_id")
    },
    "ExpressionAttributeValues": {f":{name}": value for name, value in RECORD.items()},
    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
}


def read(event: dict[str, Any], _context: object) -> None:
    """Read the object that each message names."""
    for record in event["Records"]:
        _read(record)


def record(event: dict[str, Any], _context: object) -> None:
    """Read the object that each message names, and write the record."""
    for message in event["Records"]:
        _, organisation_id, run_id, _ = _read(message).split("/")
        key = {"organisation_id": {"S": organisation_id}, "run_id": {"S": run_id}}
        dynamodb.update_item(TableName=os.environ["RUNS_TABLE"], Key=key, **_UPDATE)


def _read(message: dict[str, Any]) -> str:
    named = json.loads(message["body"])["Records"][0]["s3"]
    key: str = named["object"]["key"]
    version = named["object"]["versionId"]
    s3.get_object(Bucket=named["bucket"]["name"], Key=key, VersionId=version)["Body"].read()
    return key
