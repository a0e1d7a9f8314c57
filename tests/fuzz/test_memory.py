"""Answers without end, and documents that unfold: they are given up, in bounded memory and time."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from asyncmirror.errors import ConnectionFaultError, StoreError
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.sizes import MIB
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.wire.document import parse
from tests.alarm import limited
from tests.store.canned import serving as canned
from tests.store.canned import xml
from tests.wire.scripted import Peer, put, serving, wired

GIB = 1 << 30
LONGEST = 64 * MIB
"""What any test may hold: the SDK's longest answer, twice."""


@contextmanager
def within(most: int) -> Iterator[None]:
    """Fail where the block holds more than so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


async def body() -> AsyncIterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: %d\r\n\r\n' % GIB
    for _ in range(GIB // MIB):
        yield bytes(MIB)


async def chunks() -> AsyncIterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n'
    for _ in range(GIB // MIB):
        yield b"100000\r\n" + bytes(MIB) + b"\r\n"


async def headers() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(GIB // MIB):
        yield b"".join(b"x-%d-%d: %s\r\n" % (number, each, b"y" * 1000) for each in range(1000))


async def one_header() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nx: "
    for _ in range(GIB // MIB):
        yield b"y" * MIB


async def trailers() -> AsyncIterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n'
    for number in range(GIB // MIB):
        yield b"".join(b"x-%d-%d: %s\r\n" % (number, each, b"y" * 1000) for each in range(1000))


async def informational() -> AsyncIterator[bytes]:
    for _ in range(GIB // MIB):
        yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 20_000


ENDLESS = [body, chunks, headers, one_header, trailers, informational]


@pytest.mark.parametrize("endless", ENDLESS)
async def test_an_answer_to_a_body_that_does_not_end_is_given_up(endless: Callable[[], AsyncIterator[bytes]]) -> None:
    async def stream(peer: Peer) -> None:
        await peer.request()
        async for piece in endless():
            await peer.send(piece)

    async with serving(stream) as server, wired(server.endpoint(), timeout=20.0) as wire:
        with within(LONGEST), limited(60), pytest.raises(ConnectionFaultError, match=r"too long|not HTTP"):
            await put(wire)


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("endless", ENDLESS)
async def test_an_answer_to_any_other_request_that_does_not_end_is_given_up(
    endless: Callable[[], AsyncIterator[bytes]],
) -> None:
    async def stream(peer: Peer) -> None:
        await peer.head()
        async for piece in endless():
            await peer.send(piece)

    async with serving(stream) as server:
        connection = Connection(endpoint_url=f"http://127.0.0.1:{server.port}")
        async with S3Store("bucket", connection, ObjectOptions(), 4) as store:
            # aiohttp passes over informational answers for ever: there the deadline of `store.limit` ends it.
            with within(2 * LONGEST), limited(60), pytest.raises((StoreError, TimeoutError)):
                async with asyncio.timeout(2 if endless is informational else 50):
                    await store.check_bucket("")


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
BILLION = f'<!DOCTYPE e [<!ENTITY a0 "ha">{LAUGHS}]><Error><Code>&a9;</Code></Error>'
QUADRATIC = f'<!DOCTYPE e [<!ENTITY a "{"x" * 100_000}">]><Error><Code>{"&a;" * 10_000}</Code></Error>'
DEEP = "<a>" * 100_000 + "</a>" * 100_000


@pytest.mark.parametrize("text", [BILLION, QUADRATIC, DEEP], ids=["billion", "quadratic", "deep"])
def test_a_document_that_unfolds_is_none(text: str) -> None:
    with within(8 * MIB), limited(60):
        assert parse(text.encode()) is None


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("text", [BILLION, DEEP[:60_000] + DEEP[-80_000:]], ids=["billion", "deep"])
async def test_the_sdk_is_given_no_document_that_unfolds(text: str) -> None:
    async with (
        canned(lambda _, __: xml(text, "403 Forbidden")) as server,
        S3Store("bucket", Connection(endpoint_url=server.url), ObjectOptions(), 4) as store,
    ):
        with within(2 * LONGEST), limited(60), pytest.raises(StoreError):
            await store.delete_object("key")
