"""A network that injects the faults of networks, proxies and AWS into real HTTP between real clients and moto."""

import contextlib
import json
import re
import socket
import struct
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import URLLib3Session
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from urllib3.connection import HTTPConnection
from werkzeug.test import Client

_HEADER = "x-fault"
S3_OPERATIONS = {"GetObject", "HeadObject", "ListObjectsV2", "ListObjectVersions"}
_HANG = 300  # seconds after which a test that hangs fails; no outcome depends on it


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Exchange(BaseHTTPRequestHandler):
    """A request, and the methods to inject a fault into its response."""

    protocol_version = "HTTP/1.1"
    timeout = _HANG
    server: "FaultyNetwork"

    def do_GET(self) -> None:
        """Respond as moto does, or with the fault of the request."""
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.operation = name_operation(self.command, self.path, self.headers.get("X-Amz-Target"))
        name = self.headers.get(_HEADER)
        with self.server.busy():
            if name is None:
                self.send(self.forward())
            else:
                self.server.faults[self.operation][name].spoil(self)

    do_POST = do_HEAD = do_GET  # noqa: N815 - as http.server has it

    def forward(self) -> Reply:
        """Return the answer of moto to the request, with the checksums that AWS sends."""
        response = self.server.moto.open(self.path, method=self.command, headers=self.headers.items(), data=self.body)
        headers = {name.lower(): value for name, value in response.headers}
        body = response.data
        if self.operation == "GetObject":
            headers["x-amz-checksum-crc32"] = b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        elif self.operation not in S3_OPERATIONS:
            headers["x-amz-crc32"] = str(zlib.crc32(body))
        return Reply(response.status_code, headers, body)

    def send(self, answer: Reply, *, withheld: int = 0) -> None:
        """Send a response without the last ``withheld`` bytes of its body."""
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        body = answer.body[: len(answer.body) - withheld]
        if self.command == "HEAD":  # whose answer states the length of a body that it does not have
            headers, body = {**headers, **answer.headers}, b""
        lines = [f"HTTP/1.1 {answer.status} x", *(f"{name}: {value}" for name, value in headers.items())]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)

    def send_half(self, answer: Reply) -> None:
        """Send the first half of a response."""
        self.send(answer, withheld=(len(answer.body) + 1) // 2)

    def close(self) -> None:
        """End the connection as after a complete answer."""
        self.close_connection = True

    def reset(self) -> None:
        """Break the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def wait(self) -> None:
        """Send nothing more, so that the client's read times out (see `ClientSocket`)."""
        self.server.silent.add(self.client_address)
        self.close_connection = True

    def error(self, status: int, code: str) -> Reply:
        """Return an error in the format of the service."""
        if self.operation in S3_OPERATIONS:
            return Reply(status, {}, f"<Error><Code>{code}</Code><Message>…</Message></Error>".encode())
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "…"}).encode()
        return Reply(status, {"x-amz-crc32": str(zlib.crc32(body))}, body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@dataclass(frozen=True)
class Fault:
    """One kind of failure.

    Attributes:
        spoil: what it does to an exchange.
        retried: whether the SDK tries again by itself.
        applied: whether AWS may have done what it was asked to do.
    """

    spoil: Callable[[Exchange], None]
    retried: bool = True
    applied: bool = False


Faults = Mapping[str, Mapping[str, Fault]]


def refuse(exchange: Exchange) -> NoReturn:
    """Refuse the connection, so that there is no exchange."""
    raise NotImplementedError(exchange)


@dataclass
class Plan:
    """The requests of one run that fail: ``times`` requests, after ``skip`` requests that succeed."""

    name: str
    operation: str
    skip: int
    times: float
    met: int = 0


class FaultyNetwork(ThreadingHTTPServer):
    """A proxy between the clients and moto.

    Attributes:
        faults: by operation and name.
        plans: the requests that fail, by run id.
        silent: the clients' addresses on connections where a read is still to time out.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.faults = faults
        self.moto = Client(DomainDispatcherApplication(create_backend_app))
        self.plans: dict[str, Plan] = {}
        self.silent: set[Any] = set()
        self._exchanges = 0
        self._changed = threading.Condition()
        self._nobody_listens = socket.socket()
        self._nobody_listens.bind(("127.0.0.1", 0))

    def server_close(self) -> None:
        """Release the ports."""
        super().server_close()
        self._nobody_listens.close()

    @property
    def url(self) -> str:
        """The URL of the proxy."""
        return f"http://127.0.0.1:{self.server_port}"

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Count an exchange until it ends."""
        with self._changed:
            self._exchanges += 1
        try:
            yield
        finally:
            with self._changed:
                self._exchanges -= 1
                self._changed.notify_all()

    def settle(self) -> None:
        """Wait until all exchanges have ended, also abandoned ones; check that each silence timed out."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._exchanges == 0, _HANG)
        assert self.silent == set()

    def route(self, request: AWSPreparedRequest) -> None:
        """Mark a request that is to fail."""
        request.context["read_timeout"] = _HANG  # type: ignore[attr-defined] # however slow moto is
        plan = self._take_plan(request)
        if plan is None:
            return
        request.headers[_HEADER] = plan.name
        fault = self.faults[plan.operation][plan.name]
        if fault.spoil is refuse:
            request.url = request.url.replace(self.url, f"http://127.0.0.1:{self._nobody_listens.getsockname()[1]}")

    def _take_plan(self, request: AWSPreparedRequest) -> Plan | None:
        target = request.headers.get("X-Amz-Target")
        run_id = re.search(r"run-\d+", f"{request.url} {request.body!r}")
        plan = self.plans.get(run_id[0]) if run_id else None
        if plan is None or plan.operation != name_operation(request.method, request.url, target):
            return None
        with self._changed:
            if plan.skip:
                plan.skip -= 1
                return None
            if plan.met < plan.times:
                plan.met += 1
                return plan
        return None


class ClientSocket(socket.socket):
    """The client's end of a connection. A read times out at once where the network is silent.

    A time-out by the clock would also end answers that are only slow on a busy machine. The server closes a silent
    connection instead, and this socket reports the end as a time-out, after all that was sent has been read.
    """

    def __init__(self, connected: socket.socket, silent: set[Any]) -> None:
        timeout = connected.gettimeout()
        super().__init__(fileno=connected.detach())
        self.settimeout(timeout)
        self._silent = silent

    def recv_into(self, *arguments: Any) -> int:
        """Read as any socket does; raise `TimeoutError` at the end of a silent connection."""
        count = super().recv_into(*arguments)
        if count == 0 and (address := self.getsockname()) in self._silent:
            self._silent.remove(address)
            raise TimeoutError("timed out")
        return count


def name_operation(method: str, url: str, target: str | bytes | None) -> str:
    """Return the AWS operation of a request."""
    if target:
        return (target if isinstance(target, str) else target.decode()).partition(".")[2]
    if method == "HEAD":
        return "HeadObject"
    if "?versions" in url:
        return "ListObjectVersions"
    return "ListObjectsV2" if "list-type=2" in url else "GetObject"


@contextlib.contextmanager
def faulty_network(faults: Faults) -> Iterator[FaultyNetwork]:
    """Yield a network, for botocore's clients that use its URL."""
    with FaultyNetwork(faults) as network, pytest.MonkeyPatch.context() as patch:
        send, connect = URLLib3Session.send, HTTPConnection._new_conn  # noqa: SLF001

        def send_through(session: URLLib3Session, request: AWSPreparedRequest) -> Any:
            if request.url.startswith(network.url):
                network.route(request)
            return send(session, request)

        patch.setattr(URLLib3Session, "send", send_through)
        patch.setattr(HTTPConnection, "_new_conn", lambda self: ClientSocket(connect(self), network.silent))
        thread = threading.Thread(target=network.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield network
        network.shutdown()
        thread.join()
