"""Back-fill: a job of S3 Batch Operations over the runs that a bucket already holds.

S3 lists the objects itself, by prefix and suffix, invokes the back-fill function for each
and writes a completion report; nothing runs on the operator's machine.
"""

import uuid
from collections.abc import Mapping
from typing import Any

REPORT_PREFIX = "backfill"


def build_job(outputs: Mapping[str, str], organisation_id: str | None = None) -> dict[str, Any]:
    """The request of ``s3control.create_job``.

    Args:
        outputs: of the stack, by name.
        organisation_id: whose runs to record; None for those of all.
    """
    _, partition, _, _, account_id, _ = outputs["BackfillFunction"].split(":", 5)
    bucket_arn = f"arn:{partition}:s3:::{outputs['RunsBucket']}"
    prefix = f"runs/{organisation_id}/" if organisation_id else "runs/"
    return {
        "AccountId": account_id,
        "ClientRequestToken": str(uuid.uuid4()),
        "ConfirmationRequired": False,
        "Description": f"Run Recorder: back-fill of {prefix}",
        "ManifestGenerator": {
            "S3JobManifestGenerator": {
                "SourceBucket": bucket_arn,
                "ExpectedBucketOwner": account_id,
                "EnableManifestOutput": False,
                "Filter": {
                    "KeyNameConstraint": {"MatchAnyPrefix": [prefix], "MatchAnySuffix": ["/metadata.json"]},
                },
            }
        },
        "Operation": {"LambdaInvoke": {"FunctionArn": outputs["BackfillFunction"]}},
        "Priority": 10,
        "Report": {
            "Enabled": True,
            "Bucket": bucket_arn,
            "ExpectedBucketOwner": account_id,
            "Prefix": REPORT_PREFIX,
            "Format": "Report_CSV_20180820",
            "ReportScope": "AllTasks",
        },
        "RoleArn": outputs["BatchOperationsRole"],
    }
