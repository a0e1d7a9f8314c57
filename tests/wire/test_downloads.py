"""What servers and networks do to a body that comes, and that no byte is given which is not the object's, at its place."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import trustme

from asyncmirror.errors import ConnectionFaultError, PreconditionError, RejectedError, ServerFaultError, StoreError
from asyncmirror.store.wire.inflow import Inflow
from asyncmirror.store.wire.plane import Wire
from tests.wire.scripted import Peer, Server, answer, error, on_uvloop, run_on_uvloop, script, serving, wired

SMALL = b"some bytes"
LARGE = bytes(range(251)) * 4000
"""A MB: it is handed over while it comes."""
BODIES = (SMALL, LARGE)


async def get(wire: Wire, start: int = 0, etag: str = "") -> bytes:
    return b"".join([piece async for piece in wire.get_object("some/key", start, etag)])


async def got(wire: Wire, start: int = 0, etag: str = "e") -> tuple[bytes, StoreError]:
    """What came before it broke off, and how it did."""
    data = bytearray()

    async def take() -> None:
        async for piece in wire.get_object("some/key", start, etag):
            data.extend(piece)

    with pytest.raises(StoreError) as caught:
        await take()
    assert (caught.value.op, caught.value.path) == ("GetObject", "some/key")
    return bytes(data), caught.value


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  no event tells
        await asyncio.sleep(0)


def whole(body: bytes, **headers: str) -> bytes:
    return answer(200, body, ETag='"e"', **headers)


def part(body: bytes, start: int, extent: str = "") -> bytes:
    extent = extent or f"bytes {start}-{len(body) - 1}/{len(body)}"
    return answer(206, body[start:], ETag='"e"', Content_Range=extent)


async def test_a_body_comes_as_it_is_and_the_connection_serves_again() -> None:
    async with serving(script(*(whole(body) for body in BODIES * 2))) as server, wired(server.endpoint()) as wire:
        for body in BODIES * 2:
            assert await get(wire) == body
        assert server.connections == 1
        assert {request.line for request in server.requests} == {"GET /bucket/some/key HTTP/1.1"}


async def test_a_body_in_chunks() -> None:
    for body in BODIES:
        half = len(body) // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (body[:half], body[half:]))
        head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n'
        async with serving(script(*[head + chunks + b"0\r\n\r\n"] * 2)) as server, wired(server.endpoint()) as wire:
            assert await get(wire) == body
            assert await get(wire) == body
            assert server.connections == 1


@pytest.mark.hazard(1)
async def test_a_body_that_is_cut_is_never_whole() -> None:
    for body in BODIES:
        for reset in (False, True):

            async def cut(peer: Peer, body: bytes = body, reset: bool = reset) -> None:  # noqa: FBT001  a default, to bind it
                await peer.request()
                await peer.send(whole(body)[:-5])
                if reset:
                    peer.reset()

            async with serving(cut) as server, wired(server.endpoint()) as wire:
                data, fault = await got(wire)
                assert isinstance(fault, ConnectionFaultError)
                assert body.startswith(data)
                assert len(data) <= len(body) - 5
                assert len(server.requests) == 1


@pytest.mark.hazard(14)
async def test_a_length_that_is_longer_than_the_body_runs_into_the_deadline() -> None:
    for body in BODIES:

        async def short(peer: Peer, body: bytes = body) -> None:
            await peer.request()
            await peer.send(whole(body + b"never sent")[:-10])
            await peer.gone()

        async with serving(short) as server, wired(server.endpoint(), timeout=0.2) as wire:
            data, fault = await got(wire)
            assert isinstance(fault, ConnectionFaultError)
            assert data == (body if body is LARGE else b"")


@pytest.mark.hazard(14)
async def test_a_body_that_drips_runs_into_the_deadline() -> None:
    for body in BODIES:

        async def drip(peer: Peer, body: bytes = body) -> None:
            await peer.request()
            data = whole(body)
            await peer.send(data[:-100])
            for at in range(len(data) - 100, len(data)):
                await peer.send(data[at : at + 1])
                await asyncio.sleep(0.02)

        async with serving(drip) as server, wired(server.endpoint(), timeout=0.2) as wire:
            async with asyncio.timeout(1.5):
                _, fault = await got(wire)
            assert isinstance(fault, ConnectionFaultError)


async def test_a_length_that_is_shorter_than_the_body_leaves_nothing_for_the_next_one() -> None:
    for body in BODIES:
        async with serving(script(whole(body) + b"more of it", whole(body))) as server, wired(server.endpoint()) as wire:
            assert await get(wire) == body
            assert await get(wire) == body
            assert server.connections == 2


async def test_a_body_of_unknown_length_is_none() -> None:
    async def page(peer: Peer) -> None:
        await peer.request()
        await peer.send(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n\r\n' + LARGE)

    async with serving(page) as server, wired(server.endpoint()) as wire:
        data, fault = await got(wire)
        assert (data, type(fault)) == (b"", ConnectionFaultError)


@pytest.mark.hazard(4)
async def test_an_error_inside_a_success_is_no_object() -> None:
    for size in (10, len(LARGE)):
        said = b"<Error><Code>InternalError</Code></Error>".ljust(size)
        async with serving(script(answer(200, said))) as server, wired(server.endpoint()) as wire:
            data, fault = await got(wire)
            assert (data, type(fault)) == (b"", ServerFaultError)


async def test_an_error_is_told() -> None:
    async with serving(script(error(404, "NoSuchKey"))) as server, wired(server.endpoint()) as wire:
        _, fault = await got(wire)
        assert (type(fault), fault.status) == (RejectedError, 404)


async def test_another_object_is_not_given() -> None:
    for said in (error(412, "PreconditionFailed"), whole(SMALL), whole(LARGE)):
        async with serving(script(said)) as server, wired(server.endpoint()) as wire:
            data, fault = await got(wire, 3, "other")
            assert (data, type(fault)) == (b"", PreconditionError)
            headers = server.requests[0].headers
            assert (headers["range"], headers["if-match"]) == ("bytes=3-", '"other"')


async def test_it_goes_on_from_the_byte_that_was_asked_for() -> None:
    for body in BODIES:
        for start in (1, len(body) - 1):
            # A store that knows no ranges gives all.
            async with serving(script(part(body, start), whole(body))) as server, wired(server.endpoint()) as wire:
                assert await get(wire, start, "e") == body[start:]
                assert await get(wire, start, "e") == body[start:]


async def test_where_there_is_no_more_nothing_comes() -> None:
    unsatisfiable = error(416, "InvalidRange")
    async with serving(script(unsatisfiable, unsatisfiable)) as server, wired(server.endpoint()) as wire:
        assert await get(wire, 10, "e") == b""
        _, fault = await got(wire, 0)
        assert fault.status == 416


async def test_another_range_is_not_given() -> None:
    size = len(LARGE)
    for extent in (f"bytes 4-{size - 1}/{size}", f"bytes 3-{size - 2}/{size}", f"bytes 3-{size - 1}/*", "bytes", ""):
        said = part(LARGE, 3, extent or " ")
        async with serving(script(said)) as server, wired(server.endpoint()) as wire:
            data, fault = await got(wire, 3)
            assert (data, type(fault)) == (b"", ServerFaultError)


async def test_who_leaves_early_takes_the_connection_along() -> None:
    left = asyncio.Event()

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(whole(LARGE)[:-1])
        await peer.gone()
        left.set()

    async with serving(endless) as server, wired(server.endpoint()) as wire:
        async with aclosing(wire.get_object("some/key")) as pieces:  # type: ignore[type-var]  # it is a generator
            assert LARGE.startswith(await anext(pieces))
        await asyncio.wait_for(left.wait(), 5)
        reading = asyncio.ensure_future(get(wire))
        await until(lambda: len(server.requests) == 2)
        assert server.connections == 2
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_who_takes_slowly_holds_the_peer_back_and_meets_no_deadline() -> None:
    body = LARGE * 24
    async with serving(script(whole(body))) as server, wired(server.endpoint(), timeout=0.05) as wire:
        loop = asyncio.get_running_loop()
        async with aclosing(wire.get_object("some/key")) as pieces:  # type: ignore[type-var]  # it is a generator
            data = await anext(pieces)
            (connection,) = wire._pool._all
            transport = connection._transport
            assert transport is not None
            await until(lambda: not transport.is_reading())
            held = loop.time()
            await until(lambda: loop.time() > held + 0.2)  # several deadlines pass
            assert not transport.is_reading()
            async for piece in pieces:
                data += piece
        assert data == body


async def test_who_closes_lets_nobody_wait() -> None:
    async def stall(peer: Peer) -> None:
        await peer.request()
        await peer.send(whole(LARGE)[:-1])
        await peer.gone()

    async with serving(stall) as server, wired(server.endpoint()) as wire:
        pieces = wire.get_object("some/key")
        size = 0
        while size < len(LARGE) - 1:
            size += len(await anext(pieces))
        waiting = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        await wire.close()
        with pytest.raises(ConnectionFaultError, match="closed"):
            await asyncio.wait_for(waiting, 5)


async def test_a_stale_connection_is_replaced_once() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(whole(LARGE))
        if peer.number == 0:
            await peer.request()

    async with serving(once) as server, wired(server.endpoint()) as wire:
        assert await get(wire) == LARGE
        assert await get(wire) == LARGE
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_half_a_surrogate_pair_in_a_key_is_rejected() -> None:
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        with pytest.raises(RejectedError):
            await anext(wire.get_object("\ud800"))


async def test_over_tls(tmp_path: Path) -> None:
    await _over_tls(tmp_path)


async def _over_tls(folder: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))

    def at(server: Server) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            async with wired(server.endpoint("https", ca_bundle=str(bundle))) as wire:
                for body in BODIES:
                    assert await get(wire) == body

        return run

    async with serving(script(*(whole(body) for body in BODIES)), tls=context) as server:
        await at(server)()


class Held:
    """A source that counts."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def hold(self) -> None:
        self.told.append("hold")

    def go_on(self) -> None:
        self.told.append("go on")

    def abort(self) -> None:
        self.told.append("abort")


async def test_what_waits_is_bounded_and_all_of_it_comes_in_order() -> None:
    source = Held()
    inflow = Inflow(source)
    pieces = [bytes([number]) * (100 << 10) for number in range(5)]
    for piece in pieces[:4]:
        inflow.add(piece)
    assert source.told == ["hold"]
    taken = inflow.pieces()
    assert [await anext(taken) for _ in range(4)] == pieces[:4]
    assert source.told == ["hold", "go on"]
    inflow.add(pieces[4])
    inflow.end()
    inflow.drop()  # nothing is left to be given up
    assert source.told == ["hold", "go on"]


async def test_a_connection_is_not_given_back_held() -> None:
    source = Held()
    inflow = Inflow(source)
    inflow.add(bytes(1 << 20))
    inflow.end()
    assert source.told == ["hold", "go on"]
    assert len(b"".join([piece async for piece in inflow.pieces()])) == 1 << 20


@on_uvloop(globals())
def test_the_same_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    run_on_uvloop(test)


def test_tls_on_uvloop(tmp_path: Path) -> None:
    run_on_uvloop(lambda: _over_tls(tmp_path))
