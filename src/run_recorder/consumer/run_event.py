"""The event of a run on the event bus. Its format is ``run-event.schema.json``. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from run_recorder.domain import Model, Run
from run_recorder.errors import UnknownEventError

_TEXTS = (
    "organisation_id", "run_id", "status", "recorded_at", "sequence_number",
    "upload.bucket", "upload.key", "upload.etag", "upload.uploaded_at",
)  # fmt: skip
_TEXTS_OF_A_CONFIG = (
    "config_sha256", "config.environment", "config.input", "config.output",
    "config.model.name.S", "config.model.version.S",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The model config in an event, without its parameters, which are in the record.

    Attributes:
        sha256: of the whole config, its parameters included, hexadecimal.
        environment: ``"production"`` or ``"development"``.
        model: the model, with a version.
        input: the S3 URI of the run's files.
        output: the S3 URI under which results go.
    """

    sha256: str
    environment: str
    model: Model
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of a run: its record was written, and its latest upload is recorded or rejected.

    Attributes:
        run: the run.
        is_recorded: whether the latest upload is accepted; else it is rejected.
        recorded_at: when the record was written, UTC, such as ``2026-11-20T08:30:02.481935Z``.
        sequence_number: larger for a later write of the same run; the same for a repeated event.
        bucket, key, etag: the latest upload.
        uploaded_at: when S3 stored it, such as ``2026-11-20T08:30:00Z``.
        config: the config of the upload; None if it is rejected.
    """

    run: Run
    is_recorded: bool
    recorded_at: str
    sequence_number: int
    bucket: str
    key: str
    etag: str
    uploaded_at: str
    config: RunConfig | None

    @classmethod
    def parse(cls, event: Mapping[str, Any] | str) -> Self:
        """Return an event, given as EventBridge delivers it: directly, or in SQS.

        Fields that it does not know are ignored.

        Args:
            event: an EventBridge event, an SQS record of Lambda, a message of ReceiveMessage, or the JSON text of one.

        Raises:
            UnknownEventError: fields are missing, which the message names; or it is another event.
        """
        detail = _unwrap(event)
        texts = {path: _find(detail, path) for path in _TEXTS}
        if texts["status"] == "recorded":
            texts |= {path: _find(detail, path) for path in _TEXTS_OF_A_CONFIG}
        missing = [path for path, text in texts.items() if text is None]
        if missing:
            raise UnknownEventError(f"not an event of a run: no text at detail.{', detail.'.join(missing)}")
        values = {path: str(text) for path, text in texts.items()}
        if values["status"] not in ("recorded", "rejected") or not values["sequence_number"].isdecimal():
            raise UnknownEventError("not an event of a run: detail.status or detail.sequence_number has another form")
        return cls(
            run=Run(values["organisation_id"], values["run_id"]),
            is_recorded=values["status"] == "recorded",
            recorded_at=values["recorded_at"],
            sequence_number=int(values["sequence_number"]),
            bucket=values["upload.bucket"],
            key=values["upload.key"],
            etag=values["upload.etag"],
            uploaded_at=values["upload.uploaded_at"],
            config=_make_config(values) if values["status"] == "recorded" else None,
        )


def _make_config(values: Mapping[str, str]) -> RunConfig:
    return RunConfig(
        sha256=values["config_sha256"],
        environment=values["config.environment"],
        model=Model(values["config.model.name.S"], values["config.model.version.S"]),
        input=values["config.input"],
        output=values["config.output"],
    )


def _unwrap(event: object) -> Mapping[str, Any]:
    """Return the detail of an event, which may be in the body of an SQS message."""
    match event:
        case str():
            try:
                return _unwrap(json.loads(event))
            except ValueError as error:
                raise UnknownEventError(f"not JSON: {error}") from error
        case {"eventSource": "aws:sqs", "body": str(body)} | {"MessageId": str(), "Body": str(body)}:
            return _unwrap(body)
        case {"detail-type": "Run Recorded" | "Run Rejected", "detail": dict() as detail}:
            return detail
    raise UnknownEventError("not an event of a run: no detail-type 'Run Recorded' or 'Run Rejected' with a detail")


def _find(detail: Mapping[str, Any], path: str) -> str | None:
    """Return the text at a path of names joined by dots; None if there is no text."""
    value: Any = detail
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value if isinstance(value, str) and value else None
