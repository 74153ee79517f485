"""What can go wrong, by what the caller does about it.

RunRecorderError
├── SettingsError           fix the deployment; no event is taken
├── UnknownEventError       not an S3 event: a person has to look at it
├── InvalidMetadataError    reject the upload; its record says why
└── UploadFailedError       deliver the event again
    ├── AWSCallError        AWS refused or did not answer
    └── ContentionError     other writers kept changing the record
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_TEXT_BYTES = 200
_FILE_PATH = re.compile(r"/files/[0-9]+/(path|size)")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of a document.

    Both texts are clipped to 200 bytes of valid UTF-8: whatever a document holds, its
    errors can be stored beside the record that they must not destroy.

    Attributes:
        path: where, as a JSON Pointer (RFC 6901); ``""`` is the whole document.
        message: what is wrong there and what is expected.
    """

    path: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _clip(self.path))
        object.__setattr__(self, "message", _clip(self.message))

    @property
    def is_of_a_file(self) -> bool:
        """Whether it is where a file that is not there, or not in the stated size, is reported."""
        return _FILE_PATH.fullmatch(self.path) is not None


def _clip(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > _MAX_TEXT_BYTES:
        encoded = encoded[: _MAX_TEXT_BYTES - 3]
        return encoded.decode("utf-8", "ignore") + "…"
    return encoded.decode()


class RunRecorderError(Exception):
    """The base of every error that this package raises on purpose."""


class SettingsError(RunRecorderError):
    """Environment variables are missing or bad; the message names each of them."""


class UnknownEventError(RunRecorderError):
    """The event, or one message of it, is not a form in which AWS delivers S3 events."""


class InvalidMetadataError(RunRecorderError):
    """The document breaks the format; ``errors`` holds every fault that was found."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.path or 'document'}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class UploadFailedError(RunRecorderError):
    """The upload is not recorded yet; handling its event again is safe and needed."""


class AWSCallError(UploadFailedError):
    """An AWS operation was refused, timed out or broke off."""


class ContentionError(UploadFailedError):
    """The record changed under each of several attempts to replace it."""
