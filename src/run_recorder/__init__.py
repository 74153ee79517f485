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
    "InvalidMetadataError",
    "Metadata",
    "Model",
    "ModelConfig",
    "Run",
    "RunEvent",
    "RunReader",
    "RunRecord",
    "RunRecorderError",
    "SettingsError",
    "UnknownEventError",
    "__version__",
    "build_model_config",
]

_MODULES = {
    "AWSCallError": "errors",
    "InvalidMetadataError": "errors",
    "Metadata": "domain",
    "Model": "domain",
    "ModelConfig": "config",
    "Run": "domain",
    "RunEvent": "consumer.run_event",
    "RunReader": "consumer.run_reader",
    "RunRecord": "consumer.run_reader",
    "RunRecorderError": "errors",
    "S3": "s3",
    "SettingsError": "errors",
    "UnknownEventError": "errors",
    "build_model_config": "config",
}

if TYPE_CHECKING:
    from run_recorder.config import ModelConfig, build_model_config
    from run_recorder.consumer.run_event import RunEvent
    from run_recorder.consumer.run_reader import RunReader, RunRecord
    from run_recorder.domain import Metadata, Model, Run
    from run_recorder.errors import (
        AWSCallError,
        InvalidMetadataError,
        RunRecorderError,
        SettingsError,
        UnknownEventError,
    )
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
