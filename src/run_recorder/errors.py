"""The errors, by the action that each requires of the caller.

RunRecorderError
├── SettingsError           correct the deployment; no event is handled until then
├── UnknownEventError       find the sender: the event is not an S3 event
├── InvalidMetadataError    reject the upload; its record lists the errors
├── UploadRefusedError      correct the folder; nothing was uploaded
│   └── RunExistsError      choose another run id, or replace the run
├── RunNotFoundError        upload the run, or correct its name
├── FileChangedError        upload again when no program writes to the folder; metadata.json was not uploaded
└── UploadFailedError       redeliver the event
    ├── AWSCallError        AWS refused a call or did not answer
    └── ContentionError     other writers changed the record at each attempt
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MAX_TEXT_BYTES = 200
# A response to HEAD has no body: the status is its only code.
_DENIED_CODES = frozenset({"403", "AccessDenied", "AccessDeniedException"})
_UNEXPLAINED_CODES = frozenset({"400", "403"})
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_CODES_OF_ONE_OBJECT = _DENIED_CODES | {
    "InvalidObjectState",  # archived
    "InvalidRequest",  # encrypted with a key that the request has to bring
    "KMS.DisabledException",
    "KMS.InvalidKeyUsageException",
    "KMS.KMSInvalidStateException",
    "KMS.NotFoundException",
}
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


class UploadRefusedError(RunRecorderError):
    """A folder that is not uploaded, because the run would be rejected or cannot be stored.

    Attributes:
        errors: why; the path of each is a JSON Pointer into the document, or the path of a file.
        errors_truncated: whether there are more errors.
    """

    def __init__(self, errors: Sequence[FieldError], *, errors_truncated: bool = False) -> None:
        super().__init__("; ".join(f"{error.path or 'document'}: {error.message}" for error in errors))
        self.errors = tuple(errors)
        self.errors_truncated = errors_truncated


class RunExistsError(UploadRefusedError):
    """A run that has another document already."""


class RunNotFoundError(RunRecorderError):
    """A run whose ``metadata.json`` is not in the bucket."""


class FileChangedError(RunRecorderError):
    """A file that changed while it was uploaded; ``path`` is relative to its folder."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changed while it was uploaded, so metadata.json was not uploaded")
        self.path = path


class UploadFailedError(RunRecorderError):
    """An upload that is not recorded yet; its event must be handled again, which is safe."""


class AWSCallError(UploadFailedError):
    """An AWS operation that was refused, timed out, or returned an incomplete response."""

    @property
    def is_denied(self) -> bool:
        """Whether the caller lacks a permission."""
        return self._code in _DENIED_CODES

    @property
    def is_unexplained(self) -> bool:
        """Whether the answer is the bare status of a HEAD request: the object is refused, or the credentials are."""
        return self._operation == "HeadObject" and self._code in _UNEXPLAINED_CODES

    @property
    def is_of_one_object(self) -> bool:
        """Whether S3 refused to return one object, and may return others.

        Every other error, such as credentials that expired, a missing table or a connection that breaks, is taken for
        one of all calls.
        """
        return self._operation in ("GetObject", "HeadObject") and self._code in _CODES_OF_ONE_OBJECT

    @property
    def _code(self) -> str:
        """The code of AWS's answer; empty if AWS did not answer."""
        return str(getattr(self.__cause__, "response", {}).get("Error", {}).get("Code", ""))

    @property
    def _operation(self) -> str:
        return str(getattr(self.__cause__, "operation_name", ""))


class ContentionError(UploadFailedError):
    """A record that other writers changed during each of several attempts to replace it."""
