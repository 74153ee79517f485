"""The run of most tests, and the bucket and the table of the function."""

from datetime import UTC, datetime

from run_recorder.domain import Run

BUCKET = "run-recorder-runs"
TABLE = "run-recorder-table"
RUN = Run("acme", "run-0001")
KEY = f"{RUN.prefix}metadata.json"
UPLOADED_AT = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def key_of(run_id: str) -> str:
    """Return the key of the metadata.json of a run of the organisation acme."""
    return f"runs/acme/{run_id}/metadata.json"
