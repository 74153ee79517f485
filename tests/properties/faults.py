"""The ways in which the AWS operations that the code makes can fail."""

from collections.abc import Callable
from dataclasses import replace

from tests.support.faulty_network import Exchange, Fault, Faults, Reply, refuse


def _then(*steps: Callable[[Exchange], object]) -> Callable[[Exchange], None]:
    def spoil(exchange: Exchange) -> None:
        for step in steps:
            step(exchange)

    return spoil


def _error(status: int, code: str, *, retried: bool) -> Fault:
    return Fault(lambda exchange: exchange.send(exchange.error(status, code)), retried=retried)


def _altered(change: Callable[[Reply], Reply], **attributes: bool) -> Fault:
    return Fault(lambda exchange: exchange.send(change(exchange.forward())), **attributes)


def _with_header(name: str, value: str) -> Callable[[Reply], Reply]:
    return lambda answer: replace(answer, headers={**answer.headers, name: value})


def _cut_off(answer: Reply) -> Reply:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _cut_off_in_a_character(answer: Reply) -> Reply:
    return replace(answer, body=_cut_off(answer).body + "é".encode()[:1])


def _half(exchange: Exchange) -> None:
    exchange.send_half(exchange.forward())


def _half_of_an_error(exchange: Exchange) -> None:
    exchange.send_half(exchange.error(503, "SlowDown"))


def _headers_only(exchange: Exchange) -> None:
    answer = exchange.forward()
    exchange.send(answer, withheld=len(answer.body))


def _status_only(exchange: Exchange) -> None:
    exchange.send(replace(exchange.forward(), headers={}))


_ANY = {
    "connection refused": Fault(refuse),
    "connection reset": Fault(Exchange.reset),
    "connection closed": Fault(Exchange.close),
    "read time-out": Fault(Exchange.wait),
    "answer lost": Fault(_then(Exchange.forward, Exchange.reset), applied=True),
    "answer too late": Fault(_then(Exchange.forward, Exchange.wait), applied=True),
    "not HTTP": Fault(_then(lambda exchange: exchange.wfile.write(b"\0\r\n\r\n"), Exchange.close)),
    "a gateway's 502": Fault(lambda exchange: exchange.send(Reply(502, {}, b"<html><br></html>"))),
    "a gateway's 504": Fault(lambda exchange: exchange.send(Reply(504, {}, b""))),
    "a gateway's 403": Fault(lambda exchange: exchange.send(Reply(403, {}, b"<html><br></html>")), retried=False),
    "a gateway's 404": Fault(lambda exchange: exchange.send(Reply(404, {}, b"")), retried=False),
}
_BROKEN = {
    "answer ends early": Fault(_then(_half, Exchange.close), applied=True),
    "answer ends after its headers": Fault(_then(_headers_only, Exchange.close), applied=True),
    "answer is reset": Fault(_then(_half, Exchange.reset), applied=True),
    "answer stalls": Fault(_then(_half, Exchange.wait), applied=True),
    "error ends early": Fault(_then(_half_of_an_error, Exchange.close)),
    "error is reset": Fault(_then(_half_of_an_error, Exchange.reset)),
    "error stalls": Fault(_then(_half_of_an_error, Exchange.wait)),
    "answer cut off": _altered(_cut_off, applied=True),
}
_S3 = {
    **{
        code: _error(status, code, retried=True)
        for status, code in [
            (503, "SlowDown"),
            (503, "ServiceUnavailable"),
            (500, "InternalError"),
            (400, "RequestTimeout"),
            (400, "ThrottlingException"),
        ]
    },
    **{
        code: _error(status, code, retried=False)
        for status, code in [
            (400, "ExpiredToken"),
            (403, "AccessDenied"),
            (403, "InvalidAccessKeyId"),
            (403, "RequestTimeTooSkewed"),
            (404, "NoSuchBucket"),
        ]
    },
}


def _error_after_all(exchange: Exchange) -> None:
    exchange.forward()
    exchange.send(exchange.error(500, "InternalServerError"))


_DYNAMODB = {
    **_ANY,
    **_BROKEN,
    "error although it is done": Fault(_error_after_all, applied=True),
    "answer cut off in a character": _altered(_cut_off_in_a_character, applied=True, retried=False),
    **{
        code: _error(status, code, retried=True)
        for status, code in [
            (400, "ProvisionedThroughputExceededException"),
            (400, "ThrottlingException"),
            (400, "RequestLimitExceeded"),
            (500, "InternalServerError"),
            (503, "ServiceUnavailable"),
        ]
    },
    **{
        code: _error(400, code, retried=False)
        for code in [
            "ExpiredTokenException",
            "AccessDeniedException",
            "UnrecognizedClientException",
            "ResourceNotFoundException",
        ]
    },
}
_LISTING = {
    **_ANY,
    **_BROKEN,
    **_S3,
    "answer ends after its headers": replace(_BROKEN["answer ends after its headers"], retried=False),
    "error in a 200": _error(200, "InternalError", retried=True),
    "empty 200": _altered(lambda answer: replace(answer, body=b""), retried=False),
}
_SQS = {
    **_ANY,
    **_BROKEN,
    # The SDK takes what it cannot read for an answer, and DynamoDB alone sends a checksum.
    **{
        name: replace(_BROKEN[name], retried=False)
        for name in ("answer ends early", "answer ends after its headers", "answer cut off")
    },
    "error although it is done": Fault(_error_after_all, applied=True),
    **{
        code: _error(status, code, retried=True)
        for status, code in [
            (400, "ThrottlingException"),
            (403, "RequestThrottled"),
            (500, "InternalFailure"),
            (503, "ServiceUnavailable"),
        ]
    },
    **{
        code: _error(status, code, retried=False)
        for status, code in [
            (400, "QueueDoesNotExist"),
            (400, "InvalidSecurity"),
            (403, "AccessDeniedException"),
            (403, "ExpiredToken"),
        ]
    },
}
# The SDK does not retry while the body of an object is read.
FAULTS: Faults = {
    "GetObject": {
        **_ANY,
        **{name: replace(fault, retried=name == "error ends early") for name, fault in _BROKEN.items()},
        **_S3,
        "bits flipped": _altered(lambda answer: replace(answer, body=answer.body.swapcase()), retried=False),
        "archived": _error(403, "InvalidObjectState", retried=False),
        "another version": _altered(_with_header("x-amz-version-id", "another"), retried=False),
        "another entity tag": _altered(_with_header("etag", '"another"'), retried=False),
    },
    # The response to HEAD has no body, so its status is the only error code; 404 means that the version is deleted.
    "HeadObject": {
        **{name: fault for name, fault in _ANY.items() if name != "a gateway's 404"},
        **{
            # After a 400, the SDK asks for the bucket's region and tries again.
            str(status): _error(status, "", retried=status != 403)
            for status in (400, 403, 500, 503)
        },
        "answer ends among its headers": Fault(_then(_status_only, Exchange.close), applied=True, retried=False),
    },
    "ListObjectsV2": _LISTING,
    "ListObjectVersions": _LISTING,
    "GetItem": {**_DYNAMODB, "bits flipped": _altered(lambda answer: replace(answer, body=answer.body.swapcase()))},
    "UpdateItem": _DYNAMODB,
    "SendMessage": _SQS,
}
"""The faults of each operation, by name."""

OF_A_VERSION = {"another version", "another entity tag"}
"""Faults of a GetObject that names a version. Without a version, another object is a valid response."""
