"""LimitedStore: slots, deadlines and gauges."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import ConnectionFaultError, ServerFaultError, ThrottledError
from asyncmirror.model import Algorithm, Body, Checksum, Properties, RemoteObject, Stored
from asyncmirror.settings import Tuning
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.limits import Limits
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.meter import Meter
from asyncmirror.store.retry import RetryingStore
from asyncmirror.timetable import Timetable

CRC = Algorithm.CRC64NVME
PLAIN = Properties("a/b", {})
BODY = b"body"
SUM = checksums.compute(CRC, BODY)


class Gated(MemoryStore):
    """Answers no PUT and no HEAD before its gate is open, and no listing past the first object."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.now = 0
        self.most = 0
        self.entered = asyncio.Event()

    async def wait(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.entered.set()
        try:
            await self.gate.wait()
        finally:
            self.now -= 1

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        await self.wait()
        return await super().put_object(key, body, checksum, properties)

    async def head_object(self, key: str) -> RemoteObject | None:
        await self.wait()
        return await super().head_object(key)

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        async for found in super().list_objects(prefix, after):
            yield found
            await self.wait()


class Turns:
    """Notes what is taken from a meter."""

    def __init__(self, meter: Meter) -> None:
        self.taken: list[int] = []
        self._turn = meter.turn
        meter.turn = self._note  # type: ignore[method-assign]

    async def _note(self, amount: int = 1) -> None:
        await self._turn(amount)
        self.taken.append(amount)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_requests_than_slots() -> None:
    store = Gated()
    limited = LimitedStore(store, 3, 60.0)
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(limited.put_object(f"key{number}", BODY, SUM, PLAIN))
            group.create_task(limited.head_object("key"))
        await settle()
        assert store.now == 3
        assert limited.requests == 3
        store.gate.set()
    assert store.most == 3
    assert (limited.requests, limited.bytes_sent) == (20, 10 * len(BODY))


async def test_a_late_answer_is_a_connection_fault_and_frees_its_slot() -> None:
    store = Gated()
    limited = LimitedStore(store, 1, 0.01)
    with pytest.raises(ConnectionFaultError, match=r"PutObject: key: no answer in time"):
        await limited.put_object("key", BODY, SUM, PLAIN)
    with pytest.raises(ConnectionFaultError, match="HeadObject"):
        await limited.head_object("key")
    store.gate.set()
    assert await limited.head_object("key") is None


async def test_a_large_body_has_more_time() -> None:
    store = Gated()
    body = bytes(3 << 20)
    limited = LimitedStore(store, 1, 0.01)
    asyncio.get_running_loop().call_later(0.1, store.gate.set)
    await limited.put_object("key", body, checksums.compute(CRC, body), PLAIN)
    assert len(store.data("key")) == len(body)


async def test_waiting_for_a_slot_is_not_charged_to_the_deadline() -> None:
    store = Gated()
    limited = LimitedStore(store, 1, 0.05)
    first = asyncio.create_task(limited.put_object("first", BODY, SUM, PLAIN))
    await store.entered.wait()
    second = asyncio.create_task(limited.put_object("second", BODY, SUM, PLAIN))
    with pytest.raises(ConnectionFaultError):  # it took all of its time, which was the second's as well
        await first
    store.gate.set()
    await second
    assert store.data("second") == BODY


async def test_a_listing_that_stalls_is_a_connection_fault() -> None:
    store = Gated()
    for name in ("a", "b"):
        await MemoryStore.put_object(store, name, BODY, SUM, PLAIN)
    seen = []
    with pytest.raises(ConnectionFaultError, match="ListObjectsV2"):  # noqa: PT012  the loop is the act
        async for found in LimitedStore(store, 1, 0.01).list_objects(""):
            seen.append(found.key)  # noqa: PERF401  what was seen before the failure counts
    assert seen == ["a"]


async def test_a_listing_leaves_the_only_slot_to_its_consumer() -> None:
    store = MemoryStore()
    limited = LimitedStore(store, 1, 60.0)
    for name in ("a", "b"):
        await limited.put_object(name, BODY, SUM, PLAIN)
    async for found in limited.list_objects(""):
        await limited.delete_object(found.key)
    assert store.objects == {}


async def test_a_cancelled_request_frees_its_slot() -> None:
    store = Gated()
    limited = LimitedStore(store, 1, 60.0)
    task = asyncio.create_task(limited.put_object("key", BODY, SUM, PLAIN))
    await store.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.gate.set()
    assert await limited.head_object("key") is None


async def test_backing_off_holds_no_slot() -> None:
    class Once(MemoryStore):
        failed = False

        async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
            if not self.failed:
                self.failed = True
                raise ServerFaultError("once")
            return await super().put_object(key, body, checksum, properties)

    backing_off, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(_: float) -> None:
        backing_off.set()
        await go_on.wait()

    limited = LimitedStore(Once(), 1, 60.0)
    retried = RetryingStore(limited, Tuning(), sleep=sleep)
    failing = asyncio.create_task(retried.put_object("failing", BODY, SUM, PLAIN))
    await backing_off.wait()
    await retried.put_object("other", BODY, SUM, PLAIN)
    go_on.set()
    await failing
    assert limited.requests == 3


async def test_every_request_has_its_turn_and_every_page_of_a_listing() -> None:
    store = MemoryStore()
    for number in range(1500):
        await store.put_object(f"{number:04}", BODY, SUM, PLAIN)
    limited = LimitedStore(store, 8, 60.0, limits=Limits(Tuning(max_requests_per_second=20)))
    turns = Turns(limited.limits.requests)
    async with asyncio.TaskGroup() as group:
        group.create_task(limited.put_object("key", BODY, SUM, PLAIN))
        group.create_task(limited.upload_part("key", await store.create_multipart_upload("key", CRC, PLAIN), 1, BODY, SUM))
        group.create_task(limited.head_object("key"))
    assert turns.taken == [1, 1, 1]
    assert len([found async for found in limited.list_objects("")]) == 1501
    assert turns.taken == [1] * 5
    assert b"".join([piece async for piece in limited.get_object("key")]) == BODY
    assert turns.taken == [1] * 6


async def test_a_request_that_waits_for_its_turn_has_begun_nothing_and_gives_its_slot_back() -> None:
    limited = LimitedStore(MemoryStore(), 1, 0.05, limits=Limits(Tuning(max_requests_per_second=0.01)))
    await limited.head_object("key")
    waiting = asyncio.create_task(limited.head_object("key"))
    await settle()
    await asyncio.sleep(0.1)  # longer than a request may take
    assert (waiting.done(), limited.requests) == (False, 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    limited.steer(Tuning())
    assert await asyncio.wait_for(limited.head_object("key"), 30) is None


async def test_nothing_begins_while_it_is_paused_though_its_turn_has_come() -> None:
    limited = LimitedStore(MemoryStore(), 4, 60.0, limits=Limits(Tuning(max_requests_per_second=50)))
    waiting = [asyncio.create_task(limited.head_object("key")) for _ in range(4)]
    await settle()
    limited.pause()
    begun = limited.requests
    await asyncio.sleep(0.1)
    assert limited.requests == begun < 4
    limited.resume()
    await asyncio.wait_for(asyncio.gather(*waiting), 30)


async def test_a_listing_asks_for_no_more_pages_while_it_is_paused() -> None:
    store = MemoryStore()
    for number in range(1500):
        await store.put_object(f"key-{number:04}", b"", checksums.compute(CRC, b""), PLAIN)
    limited, found = LimitedStore(store, 1, 60.0), 0

    async def listing() -> None:
        nonlocal found
        async for _ in limited.list_objects(""):
            found += 1
            if found == 1:
                limited.pause()

    task = asyncio.create_task(listing())
    await settle()
    assert (found, task.done()) == (1000, False)
    limited.resume()
    await asyncio.wait_for(task, 30)
    assert found == 1500


async def test_ended_while_only_so_many_requests_may_go_who_waits_for_its_turn_is_turned_away() -> None:
    limited = LimitedStore(MemoryStore(), 8, 60.0, limits=Limits(Tuning(max_requests_per_second=0.01)))
    await limited.head_object("key")
    waiting = [asyncio.create_task(limited.head_object("key")) for _ in range(4)]
    await settle()
    limited.end()
    found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [type(each) for each in found] == [ThrottledError] * 4
    assert (limited.requests, limited.in_flight) == (1, 0)


async def test_ended_while_it_is_paused_who_has_a_slot_and_waits_for_its_turn_is_turned_away() -> None:
    limited = LimitedStore(MemoryStore(), 2, 60.0, limits=Limits(Tuning(max_requests_per_second=0.01)))
    await limited.head_object("key")
    waiting = [asyncio.create_task(limited.head_object("key")) for _ in range(4)]
    await settle()
    limited.pause()
    limited.end()
    found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [type(each) for each in found] == [ThrottledError] * 4
    assert (limited.requests, limited.in_flight) == (1, 0)
    with pytest.raises(ThrottledError):
        _ = [each async for each in limited.list_objects("")]


async def test_a_body_of_a_store_without_a_pace_of_its_own_waits_until_it_may_go_whole() -> None:
    tuning = Tuning(bwlimit=Timetable.parse("1MiB"))
    limited = LimitedStore(MemoryStore(), 4, 60.0, limits=Limits(tuning))
    body = bytes(256 << 10)
    began = time.monotonic()
    await limited.put_object("key", body, checksums.compute(CRC, body), PLAIN)
    assert time.monotonic() - began >= 0.15


async def test_a_paced_body_has_no_deadline_that_its_pace_would_miss() -> None:
    store = Gated()
    limited = LimitedStore(store, 1, 0.01, limits=Limits(Tuning(bwlimit=Timetable.parse("1MiB"))), keeps_pace=True)
    asyncio.get_running_loop().call_later(0.1, store.gate.set)
    await limited.put_object("key", BODY, SUM, PLAIN)
    limited.steer(Tuning())
    store.gate.clear()
    with pytest.raises(ConnectionFaultError):
        await limited.put_object("key", BODY, SUM, PLAIN)
