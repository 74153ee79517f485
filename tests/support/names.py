"""The run of most tests, and the bucket, the table and the environment of the function."""

from datetime import UTC, datetime

from run_recorder.domain import Run

BUCKET = "run-recorder-runs"
TABLE = "run-recorder-table"
ENVIRONMENT = {"RUNS_BUCKET": BUCKET, "RUNS_TABLE": TABLE, "OUTPUT_BUCKET": "results"}
"""Of the function in production, without a default model."""
RUN = Run("acme", "run-0001")
KEY = f"{RUN.prefix}metadata.json"
UPLOADED_AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def key_of(run_id: str) -> str:
    """Return the key of the metadata.json of a run of the organisation acme."""
    return f"runs/acme/{run_id}/metadata.json"
