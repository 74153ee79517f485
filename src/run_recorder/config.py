"""Settings from environment variables, and the model config. The only reader of ``os.environ``."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from run_recorder.domain import JSON, Metadata, Model, Run
from run_recorder.errors import FieldError, InvalidMetadataError, SettingsError
from run_recorder.json_document import decode

Environment = Mapping[str, str]

_DEVELOPMENT = {
    **dict.fromkeys(("", "false", "0", "no", "off"), False),
    **dict.fromkeys(("true", "1", "yes", "on"), True),
}
_UNPINNED = (None, "latest")
_URL = re.compile(r"https?://[^/\s]+/\S+")
_MAX_FILES_WAIT_SECONDS = 86_400


class ModelIdentity(TypedDict):
    """A model, fully named."""

    name: str
    version: str


class ModelConfig(TypedDict):
    """What a downstream worker needs to run the model on a run.

    Attributes:
        environment: ``"production"`` or ``"development"``.
        model: ``name`` and ``version``, both always present.
        input: the S3 URI of the run's files, ``s3://RUNS_BUCKET/runs/ORGANISATION/RUN/``.
        output: the S3 URI under which results go; it ends in ``/`` and is never under ``runs/``.
        parameters: parameters of the model, any JSON; numbers are `int` or `decimal.Decimal`.
    """

    environment: str
    model: ModelIdentity
    input: str
    output: str
    parameters: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment variables, checked as a whole.

    Attributes:
        uploads_queue_url: the queue that feeds the function; None if no message can be put back.
        files_wait_seconds: how long files that a document lists may be late; 0 for not at all.
    """

    development: bool
    runs_bucket: str
    runs_table: str
    output_bucket: str
    model: Model | None
    parameters: Mapping[str, JSON]
    uploads_queue_url: str | None
    files_wait_seconds: int
    service: str
    metrics_namespace: str

    def build_config(self, run: Run, metadata: Metadata) -> ModelConfig:
        """Return the config of the model that is to run on a run, as `build_model_config` does.

        Raises:
            InvalidMetadataError: no model is named, or its version is not pinned in production.
        """
        model = metadata.model or self.model
        if model is None:
            raise InvalidMetadataError([FieldError("/model", "required, since this deployment has no default model")])
        if not self.development and model.version in _UNPINNED:
            raise InvalidMetadataError(
                [FieldError("/model/version", "production needs a pinned version, other than 'latest'")]
            )
        is_default_model = self.model is None or model.name == self.model.name
        defaults = self.parameters if is_default_model else {}
        results = "development/results" if self.development else "results"
        return {
            "environment": "development" if self.development else "production",
            "model": {"name": model.name, "version": model.version or "latest"},
            "input": f"s3://{self.runs_bucket}/{run.prefix}",
            "output": f"s3://{self.output_bucket}/{results}/{run.path}",
            "parameters": {**defaults, **metadata.parameters},
        }


def load_settings(env: Environment = os.environ) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: naming every variable that is missing or bad.
    """
    errors: list[str] = []

    def required(name: str) -> str:
        value = env.get(name, "")
        if not value:
            errors.append(f"{name} is not set")
        return value

    development = _DEVELOPMENT.get(env.get("DEVELOPMENT", "").lower())
    if development is None:
        errors.append(f"DEVELOPMENT is {env['DEVELOPMENT']!r}, expected true or false")
    runs_bucket = required("RUNS_BUCKET")
    settings = Settings(
        development=bool(development),
        runs_bucket=runs_bucket,
        runs_table=required("RUNS_TABLE"),
        output_bucket=required("OUTPUT_BUCKET") if development is False else env.get("OUTPUT_BUCKET") or runs_bucket,
        model=_load_model(env, development is False, errors),
        parameters=_load_parameters(env, errors),
        uploads_queue_url=_load_queue_url(env, errors),
        files_wait_seconds=_load_wait(env, errors),
        service=env.get("POWERTOOLS_SERVICE_NAME") or "run-recorder",
        metrics_namespace=env.get("POWERTOOLS_METRICS_NAMESPACE") or "RunRecorder",
    )
    if errors:
        raise SettingsError("; ".join(errors))
    return settings


def build_model_config(run: Run, metadata: Metadata, env: Environment = os.environ) -> ModelConfig:
    """Return the config of the model that is to run on a run: a pure function of its arguments.

    ``DEVELOPMENT`` switches between the two environments. The model of the metadata replaces the
    default model as a whole; the parameters of the metadata replace the default parameters one by
    one. The default parameters apply only to the default model. Production accepts pinned versions
    only; development reads a missing version as ``latest``.

    Args:
        run: the run that the object key names.
        metadata: the parsed document of the run.
        env: environment variables, read at each call. ``RUNS_BUCKET`` and ``RUNS_TABLE`` are required, and in
            production ``OUTPUT_BUCKET``, which defaults to ``RUNS_BUCKET`` in development. ``DEVELOPMENT``
            (``true`` or ``false``, the default), ``MODEL_NAME``, ``MODEL_VERSION`` and ``MODEL_PARAMETERS`` (a JSON
            object) are optional.

    Raises:
        SettingsError: environment variables are missing or bad; the message names each of them.
        InvalidMetadataError: no model is named, or its version is not pinned in production.

    Example:
        >>> env = {"RUNS_BUCKET": "uploads", "RUNS_TABLE": "runs", "OUTPUT_BUCKET": "results"}
        >>> metadata = Metadata(model=Model("amplification", "2.1.0"), parameters={"cycles": 40})
        >>> build_model_config(Run("acme", "run-0001"), metadata, env)
        {'environment': 'production',
         'model': {'name': 'amplification', 'version': '2.1.0'},
         'input': 's3://uploads/runs/acme/run-0001/',
         'output': 's3://results/results/acme/run-0001/',
         'parameters': {'cycles': 40}}
    """
    return load_settings(env).build_config(run, metadata)


def snapshot(env: Environment = os.environ) -> tuple[tuple[str, str], ...]:
    """Return the variables that clients, logger, metrics and settings are made from, as a hashable key."""
    names = ("DEVELOPMENT", "RUNS_", "OUTPUT_", "MODEL_", "UPLOADS_", "FILES_", "AWS_", "POWERTOOLS_")
    return tuple(sorted((name, value) for name, value in env.items() if name.startswith(names)))


def is_lambda(env: Environment = os.environ) -> bool:
    """Return whether a Lambda execution environment is starting this process."""
    return "AWS_LAMBDA_RUNTIME_API" in env


def _load_model(env: Environment, pinned: bool, messages: list[str]) -> Model | None:
    name, version = env.get("MODEL_NAME") or None, env.get("MODEL_VERSION") or None
    if name is None:
        if version is not None:
            messages.append("MODEL_VERSION is set, but MODEL_NAME is not")
        return None
    if pinned and version in _UNPINNED:
        messages.append(f"MODEL_VERSION is {version or 'not set'}, expected a pinned version in production")
    return Model(name, version)


def _load_parameters(env: Environment, messages: list[str]) -> Mapping[str, JSON]:
    try:
        parameters, errors = decode(env.get("MODEL_PARAMETERS") or "{}")
    except InvalidMetadataError as error:
        parameters, errors = {}, list(error.errors)
    messages += [f"MODEL_PARAMETERS{error.path}: {error.message}" for error in errors]
    if isinstance(parameters, dict):
        return parameters
    messages.append("MODEL_PARAMETERS is not a JSON object")
    return {}


def _load_queue_url(env: Environment, messages: list[str]) -> str | None:
    url = env.get("UPLOADS_QUEUE_URL") or None
    if url and not _URL.fullmatch(url):
        messages.append(f"UPLOADS_QUEUE_URL is {url!r}, expected the URL of an SQS queue")
    return url


def _load_wait(env: Environment, messages: list[str]) -> int:
    text = env.get("FILES_WAIT_SECONDS") or "3600"
    seconds = int(text) if re.fullmatch("[0-9]{1,5}", text) else -1
    if not 0 <= seconds <= _MAX_FILES_WAIT_SECONDS:
        messages.append(f"FILES_WAIT_SECONDS is {text!r}, expected 0 to {_MAX_FILES_WAIT_SECONDS}")
    return seconds
