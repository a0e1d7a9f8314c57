"""Bodies at a pace: in pieces, whole, without a deadline missed, and equal among connections."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from asyncmirror.errors import ConnectionFaultError
from asyncmirror.sizes import KIB, MIB
from asyncmirror.store.meter import Meter
from asyncmirror.store.wire.plane import Wire
from tests.wire.scripted import OK, Peer, Server, always_ok, keys, on_uvloop, put, run_on_uvloop, serving

BODY = bytes(range(256)) * (2 * KIB)


def metered(rate: float) -> Meter:
    meter = Meter(KIB // 2, 256 * KIB)
    meter.limit(lambda: rate)
    return meter


@asynccontextmanager
async def paced(server: Server, meter: Meter, timeout: float = 5.0, *, bundle: str | None = None) -> AsyncIterator[Wire]:
    endpoint = server.endpoint("https", "localhost", bundle) if bundle else server.endpoint()
    async with Wire(endpoint, keys, timeout=timeout, bandwidth=meter) as wire:
        yield wire


async def test_a_body_takes_the_time_that_its_size_takes_and_misses_no_deadline_by_it() -> None:
    async with serving(always_ok) as server, paced(server, metered(MIB), timeout=0.3) as wire:
        began = time.monotonic()
        await put(wire, body=BODY)
        assert time.monotonic() - began >= 0.4
        await put(wire, body=b"")
        await put(wire, body=BODY[: 10 * KIB])
    assert [len(request.body) for request in server.requests] == [512 * KIB, 0, 10 * KIB]
    assert server.requests[0].body == BODY


async def test_it_leaves_piece_by_piece() -> None:
    came: list[float] = []

    async def watching(peer: Peer) -> None:
        left = int((await peer.head()).headers["content-length"])
        while left:
            left -= len(await peer.reader.read(1 << 20))
            came.append(time.monotonic())
        await peer.send(OK)

    async with serving(watching) as server, paced(server, metered(2 * MIB)) as wire:
        await put(wire, body=BODY)
    assert len(came) >= 5
    assert came[-1] - came[0] >= 0.1


async def test_large_and_small_share_what_there_is() -> None:
    async with serving(always_ok) as server, paced(server, metered(2 * MIB)) as wire:
        small = (put(wire, f"small{number}", BODY[: 4 * KIB]) for number in range(4))
        await asyncio.gather(put(wire, "large", BODY), *small)
    assert [len(request.body) for request in server.requests] == [4 * KIB] * 4 + [512 * KIB]


async def test_a_server_that_stops_reading_is_not_waited_for() -> None:
    stopped = asyncio.Event()

    async def stopping(peer: Peer) -> None:
        await peer.head()
        await stopped.wait()

    async with serving(stopping) as server, paced(server, metered(500 * MIB), timeout=0.2) as wire:
        with pytest.raises(ConnectionFaultError, match="the body could not be sent in time"):
            await put(wire, body=bytes(32 * MIB))
        stopped.set()


async def test_what_is_given_up_while_it_waits_takes_nothing_from_the_others() -> None:
    meter = metered(MIB)
    async with serving(always_ok) as server, paced(server, meter) as wire:
        given_up = [asyncio.create_task(put(wire, f"{number}", BODY)) for number in range(8)]
        await asyncio.sleep(0.05)
        assert meter.owed > 7 * len(BODY)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert (meter.owed, meter.given_up // len(BODY)) == (0, 7)
        await asyncio.wait_for(put(wire, "other", BODY[: 20 * KIB]), 3)


async def test_what_waits_for_its_answer_is_in_hand_and_does_not_wait_for_the_limit() -> None:
    meter, read, answer = metered(100 * MIB), asyncio.Event(), asyncio.Event()

    async def holding(peer: Peer) -> None:
        await peer.request()
        read.set()
        await answer.wait()
        await peer.send(OK)

    async with serving(holding) as server, paced(server, meter) as wire:
        for body in (BODY, BODY[:KIB]):
            read.clear()
            sending = asyncio.create_task(put(wire, body=body))
            await read.wait()
            assert (meter.carried, meter.queued) == (len(body), 0)
            answer.set()
            await sending
            answer.clear()
        assert meter.carried == 0
        lost = asyncio.create_task(put(wire, body=BODY))
        await asyncio.sleep(0.01)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        assert meter.carried == 0


async def test_a_limit_that_comes_and_goes_is_followed_within_a_body() -> None:
    meter = Meter(KIB // 2, 256 * KIB)
    async with serving(always_ok) as server, paced(server, meter) as wire:
        meter.limit(lambda: 64 * KIB)
        slow = asyncio.create_task(put(wire, body=BODY))
        await asyncio.sleep(0.05)
        assert not slow.done()
        meter.limit(None)
        await asyncio.wait_for(slow, 6)
    assert server.requests[0].body == BODY


async def test_over_tls_too(tmp_path: Path) -> None:
    authority, bundle = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with serving(always_ok, tls=context) as server, paced(server, metered(4 * MIB), bundle=str(bundle)) as wire:
        began = time.monotonic()
        await put(wire, body=BODY)
        assert time.monotonic() - began >= 0.05
    assert server.requests[0].body == BODY


@on_uvloop(globals())
def test_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    run_on_uvloop(test)
