"""The throttle: the pace applied to slots, with a clock that the test moves; and a limited store that is told to slow down."""

import asyncio

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import ConnectionFaultError, ServerFaultError, ThrottledError
from asyncmirror.events import Flight
from asyncmirror.model import Algorithm, Body, Checksum, Properties, RemoteObject, Stored
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.pace import FORGOTTEN, LONE, LOWERED
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.slots import Slots
from asyncmirror.store.throttle import Throttle

BODY = b"body"
SUM = checksums.compute(Algorithm.CRC64NVME, BODY)
PLAIN = Properties("a/b", {})
BUSY = ThrottledError("SlowDown")


class Throttled:
    """A throttle over 10 slots."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slots = Slots(10)
        self.throttle = Throttle(self.slots, Allowance.fixed(10), clock=lambda: self.now, chance=lambda: 0.0)
        self.told: list[Flight] = []
        self.throttle.changed = lambda: self.told.append(self.throttle.flight)
        self.begun = 0

    def refuse(self, requests: int) -> None:
        """Let so many requests be refused, with ten in flight or what is allowed."""
        while self.slots.take():
            pass
        for _ in range(requests):
            self.begun += 1
            self.throttle.failed(BUSY, self.begun, self.begun)
        while self.slots.taken:
            self.slots.release()

    def succeed(self, requests: int) -> None:
        for _ in range(requests):
            self.begun += 1
            self.throttle.succeeded(self.begun)


async def test_the_gauges_tell_how_few_are_allowed_and_how_many_were_turned_away() -> None:
    throttled = Throttled()
    assert throttled.throttle.flight == Flight(10, 10, 0)
    throttled.refuse(1)
    assert throttled.told == []
    throttled.refuse(9)
    assert throttled.throttle.active
    assert throttled.throttle.flight == Flight(0, 10, 10, throttled=True)
    assert throttled.told[-1] == Flight(0, 10, 10, throttled=True)
    throttled.succeed(100)
    assert throttled.throttle.flight == Flight(int(10 * LOWERED), 10, 10, throttled=True)
    throttled.now += 30
    throttled.succeed(1)
    assert throttled.told[-1] == Flight(10, 10, 10)


async def test_slots_become_fewer_and_more() -> None:
    throttled = Throttled()
    for _ in range(10):
        assert throttled.slots.take()
    throttled.begun = 10
    for number in (1, 2):
        throttled.throttle.failed(BUSY, number, 10)
    for _ in range(10):
        throttled.slots.release()
    assert [throttled.slots.take() for _ in range(8)] == [True] * 7 + [False]


async def test_what_else_fails_lowers_nothing() -> None:
    throttled = Throttled()
    for error in (ServerFaultError("500"), ConnectionFaultError("reset")):
        for number in range(1, 100):
            throttled.throttle.failed(error, number, 100)
    assert not throttled.throttle.active
    assert throttled.told == []


async def test_a_store_that_is_gone_for_a_minute_needs_no_mercy() -> None:
    throttled = Throttled()
    throttled.refuse(10)
    throttled.now += FORGOTTEN + 1
    throttled.throttle.failed(ConnectionFaultError("refused"), 11, 11)
    assert throttled.throttle.flight.limit == 10


async def test_the_time_of_throttling_adds_up() -> None:
    throttled = Throttled()
    throttled.now += 10
    assert throttled.throttle.stalled() == 0
    for _ in range(2):
        throttled.refuse(2)
        throttled.now += 30
        throttled.succeed(1)
        assert not throttled.throttle.active
        throttled.now += 7
        throttled.begun += LONE
    assert throttled.throttle.stalled() == 60
    throttled.refuse(2)
    throttled.now += 1
    assert throttled.throttle.stalled() == 61
    assert throttled.throttle.flight.limit < 10


class Busy(MemoryStore):
    """Refuses requests while it is told to; notes how many it had at once."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = True
        self.now = self.most = self.calls = 0

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if self.busy:
            raise ThrottledError("SlowDown", op="PutObject", path=key)
        return await super().put_object(key, body, checksum, properties)


async def test_a_limited_store_that_is_refused_has_fewer_requests_in_flight() -> None:
    store = Busy()
    limited = LimitedStore(store, 20, 60.0)

    async def put(number: int) -> None:
        await limited.put_object(f"key{number}", BODY, SUM, PLAIN)

    refused = await asyncio.gather(*map(put, range(20)), return_exceptions=True)
    assert [type(error) for error in refused] == [ThrottledError] * 20
    assert store.most == 20
    assert limited.throttle.flight == Flight(13, 20, 20, throttled=True)  # by the second, with 19 in flight
    store.busy, store.most = False, 0
    await asyncio.gather(*map(put, range(13)))
    assert store.most == 13
    assert len(store.objects) == 13


@pytest.mark.parametrize("cause", [ServerFaultError("500"), TimeoutError()])
async def test_other_failures_of_a_limited_store_leave_its_slots(cause: Exception) -> None:
    class Failing(MemoryStore):
        async def head_object(self, key: str) -> RemoteObject | None:
            assert key == "key"
            raise cause

    limited = LimitedStore(Failing(), 4, 60.0)
    for _ in range(10):
        with pytest.raises((ServerFaultError, ConnectionFaultError)):
            await limited.head_object("key")
    assert limited.throttle.flight == Flight(4, 4, 0)


async def test_in_a_storm_nobody_begins_before_the_gap_is_over() -> None:
    throttled = Throttled()
    throttled.refuse(10)
    assert throttled.throttle.flight.limit == 0
    assert not throttled.slots.take()
    async with asyncio.timeout(5):
        await throttled.slots.turn()
    assert not throttled.slots.take()


async def test_at_the_end_nobody_waits_for_a_slot_that_the_store_does_not_admit() -> None:
    throttled = Throttled()
    while throttled.slots.take():
        pass
    waiting = asyncio.create_task(throttled.slots.turn())
    await asyncio.sleep(0)
    throttled.throttle.end()  # it does admit them
    throttled.slots.release()
    await waiting
    throttled.refuse(10)
    waiting = asyncio.create_task(throttled.slots.turn())
    await asyncio.sleep(0)
    throttled.throttle.end()
    with pytest.raises(ThrottledError):
        await waiting
