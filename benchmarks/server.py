"""A server of S3 and DynamoDB with prepared answers, at once or after a latency.

The server runs in its own process, so that its work is not measured. Every read returns a document,
and every write succeeds on a new record. The first part of the run id selects the document:
``runs/acme/small-17/metadata.json``.
"""

import asyncio
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.documents import DOCUMENTS
from benchmarks.server_process import content_length, run_in_process

_DATE = b"Fri, 20 Nov 2026 08:30:00 GMT"
_REQUEST_ID = b"x-amzn-requestid: 4442587FB7D0A2F9\r\nx-amz-request-id: 4442587FB7D0A2F9\r\n"


class _Server(asyncio.Protocol):
    """A keep-alive connection with one request at a time."""

    def __init__(self, answers: dict[str, bytes], latency: float) -> None:
        self._answers = answers
        self._latency = latency
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy: TCP has this type
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if separator and len(body) >= content_length(head):
            self._received = b""
            answer = self._answer(head)
            asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)

    def _answer(self, head: bytes) -> bytes:
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            return self._answers[path.split(b"/")[4].split(b"-")[0].decode()]
        return self._answers["item"]


def _response(body: bytes, headers: bytes) -> bytes:
    length = b"content-length: %d\r\n" % len(body)
    return b"HTTP/1.1 200 OK\r\ndate: " + _DATE + b"\r\n" + _REQUEST_ID + headers + length + b"\r\n" + body


def _object(body: bytes) -> bytes:
    checksum = b64encode(zlib.crc32(body).to_bytes(4, "big"))
    return _response(
        body,
        b'etag: "9b2cf535f27731c974343645a3985328"\r\nlast-modified: ' + _DATE + b"\r\n"
        b"content-type: application/json\r\nx-amz-version-id: 3HL4kqtJlcpXroDTDmJrmSpXd3dIbrHY\r\n"
        b"x-amz-checksum-type: FULL_OBJECT\r\nx-amz-checksum-crc32: " + checksum + b"\r\n",
    )


def _make_server(latency: float) -> Callable[[], _Server]:
    answers = {name: _object(body) for name, body in DOCUMENTS.items()}
    answers["item"] = _response(json.dumps({}).encode(), b"content-type: application/x-amz-json-1.0\r\n")
    return partial(_Server, answers, latency)


@contextmanager
def serve(latency: float = 0) -> Iterator[str]:
    """Run the server while the context lasts, with each answer after ``latency`` seconds; yield its URL."""
    with run_in_process(partial(_make_server, latency)) as url:
        yield url
