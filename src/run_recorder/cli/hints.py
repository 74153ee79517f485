"""Failures of AWS, each explained with the next step."""

from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

_SIGN_IN = "sign in, for example with `aws sso login`, and name the profile with --profile or AWS_PROFILE"
_ENDPOINT = "check --endpoint-url, and the proxy between here and AWS"
_HINTS: dict[type[Exception], str] = {
    NoCredentialsError: _SIGN_IN,
    PartialCredentialsError: _SIGN_IN,
    SSOError: _SIGN_IN,
    TokenRetrievalError: _SIGN_IN,
    ProfileNotFound: "`aws configure list-profiles` lists the profiles",
    NoRegionError: "name it with --region or AWS_REGION",
    BotoConnectionError: "check --region and --endpoint-url",
    HTTPClientError: "check --region and --endpoint-url",
    ResponseParserError: _ENDPOINT,
}
_MAX_LENGTH = 500
_HINTS_BY_CODE = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"), _SIGN_IN
    ),
    **dict.fromkeys(
        ("403", "AccessDenied", "AccessDeniedException"), "docs/command-line.md lists the permissions of each command"
    ),
}


def explain(error: Exception) -> str:
    """Return the message of an error on one line, with the next step if one is known."""
    cause = error.__cause__ or error
    if isinstance(cause, ClientError):
        hint = _HINTS_BY_CODE.get(cause.response["Error"]["Code"], "")
    else:
        hint = next((hint for kind, hint in _HINTS.items() if isinstance(cause, kind)), "")
    text = " ".join(str(error).split())
    if len(text) > _MAX_LENGTH:  # an answer that is not AWS's may be quoted as a whole
        text = text[:_MAX_LENGTH] + "…"
    return f"{text.removesuffix('.')}: {hint}" if hint else text
