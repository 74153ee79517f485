"""The errors, by the action that each requires of the caller.

RunRecorderError
├── SettingsError           correct the deployment; no event is handled until then
├── UnknownEventError       find the sender: the event is not an S3 event
├── InvalidMetadataError    reject the upload; its record lists the errors
└── UploadFailedError       redeliver the event
    ├── AWSCallError        AWS refused a call or did not answer
    └── ContentionError     other writers changed the record at each attempt
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_TEXT_BYTES = 200
_FILE_PATH = re.compile(r"/files/[0-9]+/(path|size)")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error of a document.

    Both texts are cut to 200 bytes of valid UTF-8, so that the errors of any document fit into
    its record.

    Attributes:
        path: the place of the error, as a JSON Pointer (RFC 6901); ``""`` is the whole document.
        message: the error, and the expected value.
    """

    path: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _clip(self.path))
        object.__setattr__(self, "message", _clip(self.message))

    @property
    def is_of_a_file(self) -> bool:
        """Whether the error is about a declared file that is missing or has another size."""
        return _FILE_PATH.fullmatch(self.path) is not None


def _clip(text: str) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > _MAX_TEXT_BYTES:
        encoded = encoded[: _MAX_TEXT_BYTES - 3]
        return encoded.decode("utf-8", "ignore") + "…"
    return encoded.decode()


class RunRecorderError(Exception):
    """The base class of the errors of this package."""


class SettingsError(RunRecorderError):
    """Missing or wrong environment variables; the message names each of them."""


class UnknownEventError(RunRecorderError):
    """An event, or one message in it, that is in no envelope in which AWS delivers S3 events."""


class InvalidMetadataError(RunRecorderError):
    """A document that does not follow the format; ``errors`` holds every error that was found."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.path or 'document'}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class UploadFailedError(RunRecorderError):
    """An upload that is not recorded yet; its event must be handled again, which is safe."""


class AWSCallError(UploadFailedError):
    """An AWS operation that was refused, timed out, or returned an incomplete response."""


class ContentionError(UploadFailedError):
    """A record that other writers changed during each of several attempts to replace it."""
