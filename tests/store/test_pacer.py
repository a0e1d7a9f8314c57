"""A store that is paced while requests go on: on the loop's own clock, with a store that takes its time."""

import asyncio
from contextlib import suppress
from pathlib import Path

from asyncmirror.checksum import compute
from asyncmirror.errors import ThrottledError
from asyncmirror.events import Flight
from asyncmirror.model import Algorithm, Body, Checksum, Properties, Stored
from asyncmirror.plan.climb import START
from asyncmirror.settings import Tuning
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.pacer import Pacer, pacing
from asyncmirror.store.strain import Strain

BODY = b"x" * 100
SUM = compute(Algorithm.CRC64NVME, BODY)
PLAIN = Properties("", {})
MOST = 192


class Far(MemoryStore):
    """Answers after a while, and counts who is under way."""

    def __init__(self, latency: float, reaches: int = MOST) -> None:
        super().__init__()
        self.latency = latency
        self.under_way = 0
        self.most = 0
        self.reached = asyncio.Event()
        self._reaches = reaches

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == self._reaches:
            self.reached.set()
        await asyncio.sleep(self.latency)
        self.under_way -= 1
        return await super().put_object(key, body, checksum, properties)


async def keep_sending(limited: LimitedStore) -> None:
    while True:
        await limited.put_object("key", BODY, SUM, PLAIN)


async def test_a_far_store_gets_more_at_once_within_seconds() -> None:
    store = Far(0.05)
    limited = LimitedStore(store, MOST, 10.0, auto=True)
    assert limited.throttle.flight == Flight(START, MOST)
    with pacing(limited):
        senders = [asyncio.create_task(keep_sending(limited)) for _ in range(MOST)]
        async with asyncio.timeout(20):
            await store.reached.wait()
        assert limited.throttle.flight == Flight(MOST, MOST)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)


async def test_fixed_it_stays_and_it_can_be_turned() -> None:
    store = Far(0.01, reaches=9)
    limited = LimitedStore(store, 8, 10.0)
    with pacing(limited):
        senders = [asyncio.create_task(keep_sending(limited)) for _ in range(MOST)]
        await asyncio.sleep(0.3)
        assert (limited.throttle.flight, store.most) == (Flight(8, 8), 8)
        limited.steer(Tuning(auto=True, concurrency=MOST))
        assert limited.throttle.flight == Flight(8, MOST)
        async with asyncio.timeout(10):
            await store.reached.wait()
        limited.steer(Tuning(auto=False, concurrency=9))
        assert limited.throttle.flight == Flight(9, 9)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)


class Short(Strain):
    """A machine without memory."""

    def is_memory_short(self, now: float) -> bool:  # noqa: ARG002  always
        return True


async def test_while_memory_is_short_fewer_are_allowed(tmp_path: Path) -> None:
    limited = LimitedStore(Far(0.01), MOST, 10.0, auto=True)
    with Short(tmp_path) as strain:
        pacer = Pacer(limited, strain)
        async with asyncio.timeout(10):
            while limited.throttle.flight.limit == START:
                with suppress(ThrottledError):
                    await limited.put_object("key", BODY, SUM, PLAIN)
        pacer.stop()
    assert limited.throttle.flight == Flight(int(0.7 * START), MOST), "fewer, and it is not the store that asks for it"
