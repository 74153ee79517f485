"""A server of S3 and DynamoDB that takes uploads and keeps nothing, so that it needs no memory for them.

The server runs in its own process. A bucket is always empty, a table has no items, and every upload succeeds.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.server_process import content_length, run_in_process

_XML = b"content-type: application/xml\r\n"
_NO_KEY = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"


class _Discarding(asyncio.Protocol):
    """A keep-alive connection; the body of a request is counted, and discarded as it arrives."""

    def __init__(self) -> None:
        self._head = b""
        self._answer = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy: TCP has this type
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._head = b""
            self._answer = _answer(head)
            self._left = content_length(head)
            if b"100-continue" in head.lower():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._left -= len(data)
        if self._left <= 0:
            self._left = 0
            self._transport.write(self._answer)


def _answer(head: bytes) -> bytes:
    method, target, _ = head.split(b" ", 2)
    _, _, query = target.partition(b"?")
    match method:
        case b"PUT":
            return _response(b"200 OK", b"", b'etag: "9b2cf535f27731c974343645a3985328"\r\nx-amz-version-id: v1\r\n')
        case b"POST" if query.startswith(b"uploads"):
            return _response(b"200 OK", b"<R><UploadId>u</UploadId></R>", _XML)
        case b"POST" if query:
            return _response(b"200 OK", b"<R><ETag>e</ETag></R>", _XML)
        case b"POST":
            return _response(b"200 OK", b"{}", b"content-type: application/x-amz-json-1.0\r\n")
        case _ if query.startswith(b"list-type"):
            return _response(b"200 OK", b"<R><IsTruncated>false</IsTruncated></R>", _XML)
    return _response(b"404 Not Found", _NO_KEY, _XML)


def _response(status: bytes, body: bytes, headers: bytes) -> bytes:
    date = b"date: Fri, 20 Nov 2026 08:30:00 GMT\r\n"
    return b"HTTP/1.1 " + status + b"\r\n" + date + headers + b"content-length: %d\r\n\r\n" % len(body) + body


@contextmanager
def discard() -> Iterator[str]:
    """Run the server while the context lasts; yield its URL."""
    with run_in_process(_make_server) as url:
        yield url


def _make_server() -> type[_Discarding]:
    return _Discarding
