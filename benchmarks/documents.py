"""The events and the documents for the handlers."""

import json
import uuid
from typing import Any

BUCKET = "run-recorder-runs"

_SMALL = {
    "schema_version": 1,
    "name": "Plate 7, repeat",
    "created_by": "cycler-03",
    "created_at": "2026-11-20T08:29:41Z",
    "model": {"name": "amplification", "version": "2.1.0"},
    "parameters": {"threshold": 0.035, "cycles": 40, "wells": ["A1", "A2", "B1", "B2"], "gain": {"red": 1.5}},
    "tags": {"assay": "A-12", "site": "lab-2"},
}
_MEGABYTE = 1_048_576


def _large(unit: str) -> bytes:
    """Return a valid document of one mebibyte with an unknown field that repeats ``unit``."""
    document = json.dumps(_SMALL)[:-1] + ', "extra": [' + unit
    times = (_MEGABYTE - len(document) - 2) // (len(unit) + 1)
    return (document + ("," + unit) * times + "]}").ljust(_MEGABYTE).encode()


# The names are the first parts of the run ids.
DOCUMENTS = {
    "small": json.dumps(_SMALL).encode(),
    # The readings of an instrument.
    "large": _large(json.dumps({"well": "A1", "cycle": 17, "red": 0.0317, "green": 12.25, "flag": "ok"})),
    # Of all shapes that were tried, needs the most memory while it is read. It is rejected.
    "nested": _large("[" * 500 + "]" * 500),
    # Needs the most memory while it is written: it fills the record, one byte at a time. It is accepted.
    "empties": json.dumps(_SMALL | {"parameters": {"empties": [""] * 340_000}}, separators=(",", ":"))
    .ljust(_MEGABYTE)
    .encode(),
}


def make_event(document: str, count: int) -> dict[str, Any]:
    """Return an SQS event of ``count`` S3 notifications, each for another run with this document."""
    return {"Records": [_message(f"{document}-{index}") for index in range(count)]}


def _message(run_id: str) -> dict[str, Any]:
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "handle",
        "body": json.dumps({"Records": [_record(run_id)]}),
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:uploads",
        "awsRegion": "us-east-1",
    }


def _record(run_id: str) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-20T08:30:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": BUCKET, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": {
                "key": f"runs/acme/{run_id}/metadata.json",
                "size": len(DOCUMENTS[run_id.partition("-")[0]]),
                "eTag": "9b2cf535f27731c974343645a3985328",
                "versionId": "3HL4kqtJlcpXroDTDmJrmSpXd3dIbrHY",
                "sequencer": "0055AED6DCD90281E5",
            },
        },
    }
