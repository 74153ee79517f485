"""Run Recorder: turns every run uploaded to S3 into one correct, durable record.

The names of this module are the library's public API. Each is imported when it is first used, so that importing
``run_recorder`` loads neither boto3 nor the command line's packages.
"""

import importlib
from typing import TYPE_CHECKING

from run_recorder._version import __version__

__all__ = [
    "S3",
    "AWSCallError",
    "DeploymentRules",
    "FileChangedError",
    "InvalidMetadataError",
    "Metadata",
    "Model",
    "ModelConfig",
    "Progress",
    "Run",
    "RunEvent",
    "RunExistsError",
    "RunNotFoundError",
    "RunReader",
    "RunRecord",
    "RunRecorderError",
    "SettingsError",
    "UnknownEventError",
    "UploadRefusedError",
    "UploadResult",
    "Verdict",
    "VerdictState",
    "__version__",
    "build_model_config",
    "upload_run",
    "wait_for_verdict",
]

_MODULES = {
    "AWSCallError": "errors",
    "DeploymentRules": "producer.rules",
    "FileChangedError": "errors",
    "InvalidMetadataError": "errors",
    "Metadata": "domain",
    "Model": "domain",
    "ModelConfig": "config",
    "Progress": "producer.progress",
    "Run": "domain",
    "RunEvent": "consumer.run_event",
    "RunExistsError": "errors",
    "RunNotFoundError": "errors",
    "RunReader": "consumer.run_reader",
    "RunRecord": "consumer.run_reader",
    "RunRecorderError": "errors",
    "S3": "s3",
    "SettingsError": "errors",
    "UnknownEventError": "errors",
    "UploadRefusedError": "errors",
    "UploadResult": "producer.options",
    "Verdict": "producer.waiting_for_verdict",
    "VerdictState": "producer.waiting_for_verdict",
    "build_model_config": "config",
    "upload_run": "producer.upload",
    "wait_for_verdict": "producer.upload",
}

if TYPE_CHECKING:
    from run_recorder.config import ModelConfig, build_model_config
    from run_recorder.consumer.run_event import RunEvent
    from run_recorder.consumer.run_reader import RunReader, RunRecord
    from run_recorder.domain import Metadata, Model, Run
    from run_recorder.errors import (
        AWSCallError,
        FileChangedError,
        InvalidMetadataError,
        RunExistsError,
        RunNotFoundError,
        RunRecorderError,
        SettingsError,
        UnknownEventError,
        UploadRefusedError,
    )
    from run_recorder.producer.options import UploadResult
    from run_recorder.producer.progress import Progress
    from run_recorder.producer.rules import DeploymentRules
    from run_recorder.producer.upload import upload_run, wait_for_verdict
    from run_recorder.producer.waiting_for_verdict import Verdict, VerdictState
    from run_recorder.s3 import S3
else:  # a type checker would take any name for one that is there

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """List the public names, those that are not imported yet included."""
    return __all__
