"""A store that is narrow for a prefix: what is allowed there, and that nothing else is allowed less. Tests move the clock."""

import asyncio

import pytest

from asyncmirror.checksum import compute
from asyncmirror.errors import ConnectionFaultError, ThrottledError
from asyncmirror.events import Flight, Narrow
from asyncmirror.model import Algorithm, Body, Checksum, Properties, Stored
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.prefixes import DIVISIONS
from asyncmirror.plan.trial import Reading
from asyncmirror.settings import Tuning
from asyncmirror.store import lanes
from asyncmirror.store.lanes import FORGOTTEN, HEEDED, KEYS, SPAN, Lane, Lanes
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.slots import Slots
from asyncmirror.store.throttle import Throttle

BUSY = ThrottledError("SlowDown")
BODY = b"body"
SUM = compute(Algorithm.CRC64NVME, BODY)
PLAIN = Properties("a/b", {})


class Divided:
    """Lanes over 64 slots."""

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.now = 100.0
        self.slots = Slots(64)
        self.throttle = Throttle(self.slots, allowance or Allowance.fixed(64), clock=lambda: self.now)
        self.lanes = Lanes(self.slots, self.throttle, clock=lambda: self.now)
        self.told: list[Flight] = []
        self.throttle.changed = lambda: self.told.append(self.throttle.flight)
        self.begun = 0

    def hear(self, refused: str, admitted: str, times: int = 20, spans: int = 1) -> None:
        """For so many spans, hear of one prefix that is refused every second time, and of one that is admitted."""
        for _ in range(spans):
            for number in range(times):
                self.begun += 2
                if not self.lanes.refused(f"{refused}{number}"):
                    self.throttle.failed(BUSY, self.begun, self.begun)
                self.lanes.admitted(f"{refused}{number}")
                self.lanes.admitted(f"{admitted}{number}")
            self.look(SPAN)

    def look(self, seconds: float) -> None:
        self.now += seconds
        self.lanes.look(Reading(self.now), self.begun)

    async def lane(self) -> Lane:
        """One of a narrow prefix "a/", entered once."""
        self.hear("a/", "b/", spans=2)
        lane = await self.lanes.enter("a/1", 1)
        assert isinstance(lane, Lane)
        return lane


async def test_what_is_refused_beside_what_is_not_gets_an_allowance_of_its_own() -> None:
    divided = Divided()
    for _ in range(64):
        divided.slots.take()
    divided.hear("a/", "b/")
    assert divided.throttle.heeds
    assert divided.throttle.flight.limit < 64
    divided.hear("a/", "b/")
    flight = divided.throttle.flight
    assert (flight.limit, flight.throttled) == (64, False), "all others are allowed as many as before"
    assert [each.prefix for each in flight.narrow] == ["a/"]
    assert divided.told[-1].narrow == flight.narrow
    assert divided.lanes.refused("a/9"), "one that was begun before: nothing new, and no affair of the others"
    assert divided.throttle.flight.limit == 64
    stalled = divided.throttle.stalled()
    divided.now += 3
    assert divided.throttle.stalled() == stalled + 3.0, "it is on no request's account"


async def test_a_store_that_refuses_some_of_everything_is_asked_for_fewer_as_ever() -> None:
    divided = Divided()
    for _ in range(64):
        divided.slots.take()
    for _ in range(4):
        divided.hear("a/", "b/", times=10)
        divided.hear("b/", "a/", times=10)
    assert divided.throttle.flight.narrow == ()
    assert divided.throttle.flight.limit < 16


async def test_while_nothing_is_refused_nothing_is_heard() -> None:
    divided = Divided()
    divided.lanes.admitted("a/1")
    heeded = [divided.throttle.heeds]
    divided.lanes.refused("a/1")
    heeded.append(divided.throttle.heeds)
    divided.look(0.9 * HEEDED)
    heeded.append(divided.throttle.heeds)
    divided.look(0.2 * HEEDED)
    heeded.append(divided.throttle.heeds)
    assert heeded == [False, True, True, False]


async def test_no_more_keys_are_kept_than_may_be() -> None:
    divided = Divided()
    for number in range(KEYS + 10):
        divided.lanes.refused(f"a/{number}")
        divided.lanes.admitted(f"b/{number}")
    assert divided.lanes._heard is not None
    assert len(divided.lanes._heard.refused) == len(divided.lanes._heard.admitted) == KEYS


async def test_its_requests_take_slots_there_and_of_all_and_others_only_of_all() -> None:
    divided = Divided()
    lane = await divided.lane()
    assert (lane.slots.taken, divided.slots.taken) == (1, 1)
    assert await divided.lanes.enter("b/1", 1) is divided.slots
    assert divided.slots.taken == 2
    lane.release()
    assert (lane.slots.taken, divided.slots.taken) == (0, 1)


async def test_who_gives_up_waiting_for_a_slot_of_all_gives_back_the_one_there() -> None:
    divided = Divided()
    lane = await divided.lane()
    lane.release()
    while divided.slots.take():
        pass
    waiting = asyncio.create_task(lane.enter(1))
    other = asyncio.create_task(divided.lanes.enter("b/1", 1))
    await asyncio.sleep(0)
    assert lane.slots.taken == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    assert lane.slots.taken == 0
    divided.slots.release()
    assert await other is divided.slots


async def test_its_refusals_and_successes_are_its_own() -> None:
    divided = Divided()
    lane = await divided.lane()
    before, refused = lane.throttle.allowance.limit, divided.throttle.refused
    while lane.slots.take():
        pass
    for _ in range(10):
        lane._begun += 1
        lane.failed(BUSY)
    assert lane.throttle.allowance.limit < before
    assert divided.throttle.refused == refused + 10
    assert divided.throttle.flight.limit == 64
    lane.failed(ConnectionFaultError("reset"))
    for _ in range(300):
        lane._begun += 1
        divided.now += 0.1
        lane.succeeded()
    assert lane.throttle.allowance.limit > before
    assert divided.throttle.admitted == 300


async def test_without_refusals_it_is_forgotten_and_whoever_waits_goes() -> None:
    divided = Divided()
    lane = await divided.lane()
    while lane.slots.take():
        pass
    waiting = asyncio.create_task(lane.enter(1))
    await asyncio.sleep(0)
    divided.look(0.9 * FORGOTTEN)
    assert divided.throttle.flight.narrow
    divided.look(0.2 * FORGOTTEN)
    await waiting
    assert divided.throttle.flight.narrow == ()
    assert await divided.lanes.enter("a/1", 1) is divided.slots
    assert not divided.throttle.heeds


async def test_one_that_is_allowed_as_much_as_all_is_narrow_no_longer() -> None:
    divided = Divided(Allowance.auto(64, 64))
    await divided.lane()
    divided.lanes.steer(2, auto=True)
    divided.throttle.steer(2, auto=True)
    divided.look(0.05)
    assert divided.throttle.flight.narrow in ((), (Narrow("a/", 1),))


async def test_there_are_so_many_at_most() -> None:
    divided = Divided()
    for number in range(DIVISIONS + 2):
        divided.hear(f"a{number}/", "b/", spans=2)
    assert len(divided.throttle.flight.narrow) == DIVISIONS


async def test_few_refusals_at_a_time_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for many, prefixes in ((lanes.MANY, ["a/"]), (0, [])):
        monkeypatch.setattr(lanes, "MANY", many)
        divided = Divided()
        divided.hear("a/", "b/", times=4, spans=12)
        assert [each.prefix for each in divided.throttle.flight.narrow] == prefixes


async def test_another_run_finds_out_anew() -> None:
    divided = Divided()
    lane = await divided.lane()
    while lane.slots.take():
        pass
    waiting = asyncio.create_task(lane.enter(1))
    await asyncio.sleep(0)
    divided.lanes.begin()
    await waiting
    assert divided.throttle.flight.narrow == ()


async def test_at_the_end_whoever_waits_is_turned_away() -> None:
    divided = Divided()
    lane = await divided.lane()
    while lane.slots.take():
        pass
    waiting = asyncio.create_task(lane.enter(1))
    await asyncio.sleep(0)
    divided.lanes.end()
    with pytest.raises(ThrottledError, match="ended"):
        await waiting


class Partly(MemoryStore):
    """Refuses every second request under a prefix."""

    count = 0

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        await asyncio.sleep(0)  # until all have been begun: their refusals are one
        if key.startswith("a/"):
            self.count += 1
            if self.count % 2:
                raise ThrottledError("SlowDown")
        return await super().put_object(key, body, checksum, properties)


async def test_a_limited_store_tells_of_both_and_asks_who_is_next() -> None:
    limited = LimitedStore(Partly(), 128, 10.0)
    limited.lanes = Lanes(limited._slots, limited.throttle, clock=lambda: now)
    now = 0.0

    async def send() -> int:
        keys = [f"{prefix}{number}" for number in range(40) for prefix in ("a/", "b/")]
        answers = await asyncio.gather(*(limited.put_object(key, BODY, SUM, PLAIN) for key in keys), return_exceptions=True)
        return sum(isinstance(answer, ThrottledError) for answer in answers)

    for _ in range(2):
        assert await send() == 20
        now += SPAN
        limited.lanes.look(Reading(now, limited.requests), limited.requests)
    assert [each.prefix for each in limited.throttle.flight.narrow] == ["a/"]
    assert await send() == 20
    assert await limited.head_object("a/1") is not None
    assert limited.in_flight == 0
    assert limited.throttle.refused == 60
    limited.steer(Tuning(concurrency=16))
    assert limited.throttle.flight.most == 16
    limited.end()
