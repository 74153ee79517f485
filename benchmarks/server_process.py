"""A server in a process of its own, so that its work is not measured."""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection


@contextmanager
def run_in_process(make_server: Callable[[], Callable[[], asyncio.Protocol]]) -> Iterator[str]:
    """Run a server while the context lasts; yield its URL.

    Args:
        make_server: called in the new process; returns what makes the protocol of a connection. It must be picklable.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(make_server, sender), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join()


def content_length(head: bytes) -> int:
    """Return the length in bytes of the body that follows the head of a request."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _run(make_server: Callable[[], Callable[[], asyncio.Protocol]], port: Connection) -> None:
    async def listen() -> None:
        server = await asyncio.get_running_loop().create_server(make_server(), "127.0.0.1", 0, backlog=256)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(listen())
