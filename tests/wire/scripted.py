"""A small server on a real socket that does, connection by connection, what a test's script says, however wrong."""

import asyncio
import inspect
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
import uvloop

from asyncmirror import checksum
from asyncmirror.model import Algorithm, Body, Properties, Stored
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.addresses import Resolver, resolve
from asyncmirror.store.wire.exchange import Provider
from asyncmirror.store.wire.plane import Wire

KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
PLAIN = Properties("application/octet-stream", {})
OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer; underscores in the names of headers stand for dashes."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def error(status: int, code: str, more: str = "", **headers: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>m</Message>{more}</Error>".encode(), **headers)


class Request(NamedTuple):
    line: str
    headers: Mapping[str, str]
    head: bytes
    body: bytes


class Peer:
    """One connection, from the server's side. `number` counts connections from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[Request]) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self._seen = seen

    async def head(self) -> Request:
        """Read a request's head only."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *fields = head[:-4].decode("ascii").split("\r\n")
        return Request(line, {name: value.strip() for name, _, value in (field.partition(":") for field in fields)}, head, b"")

    async def request(self) -> Request:
        """Read a whole request."""
        request = await self.head()
        request = request._replace(body=await self.reader.readexactly(int(request.headers["content-length"])))
        self._seen.append(request)
        return request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """End the connection with an RST."""
        peer = self.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """What a script's server tells of itself."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[Request] = []

    def endpoint(self, scheme: str = "http", host: str = "127.0.0.1", ca_bundle: str | None = None) -> Endpoint:
        return Endpoint("bucket", f"{scheme}://{host}:{self.port}/bucket", "us-east-1", False, ca_bundle, False)  # noqa: FBT003


@asynccontextmanager
async def serving(
    script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Run a server. A connection ends when its script does; what goes wrong in a script is raised at the end."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(server.connections, reader, writer, server.requests)
        server.connections += 1
        try:
            await script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.get_running_loop().create_task(serve(reader, writer)))

    listener = await asyncio.start_server(accept, host, port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def always_ok(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(OK)


def script(*steps: bytes) -> Script:
    """Answer each request with the next of these, whatever the connection; then with success."""
    left = list(steps)

    async def run(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(left.pop(0) if left else OK)

    return run


async def keys() -> Credentials:
    return KEYS


@asynccontextmanager
async def wired(
    endpoint: Endpoint,
    credentials: Provider = keys,
    *,
    timeout: float = 5.0,
    idle_timeout: float = 5.0,
    resolver: Resolver = resolve,
    clock: Callable[[], float] = time.time,
    unsigned_payload_over_tls: bool = False,
) -> AsyncIterator[Wire]:
    wire = Wire(
        endpoint,
        credentials,
        timeout=timeout,
        connect_timeout=5.0,
        idle_timeout=idle_timeout,
        unsigned_payload_over_tls=unsigned_payload_over_tls,
        resolver=resolver,
        clock=clock,
    )
    async with wire:
        yield wire


async def put(wire: Wire, key: str = "key", body: Body = b"body", properties: Properties = PLAIN) -> Stored:
    return await wire.put_object(key, body, checksum.compute(Algorithm.CRC64NVME, body), properties)


def on_uvloop(module: Mapping[str, object]) -> pytest.MarkDecorator:
    """Parametrises over a module's asynchronous tests that take no arguments, to be run once more on uvloop."""
    tests = [
        test
        for name, test in module.items()
        if name.startswith("test_")
        and inspect.iscoroutinefunction(test)
        and not inspect.signature(test).parameters
        and all(mark.name == "hazard" for mark in getattr(test, "pytestmark", ()))
    ]
    return pytest.mark.parametrize("test", tests, ids=[test.__name__.removeprefix("test_") for test in tests])


def run_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    uvloop.run(main())
