"""Admission of bodies: few at a time under a low limit, in their order, and as many as ever where that is not what holds."""

import asyncio

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import ThrottledError
from asyncmirror.model import Algorithm, Properties
from asyncmirror.settings import Tuning
from asyncmirror.sizes import KIB, MIB
from asyncmirror.store.admission import Admission
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.limits import Limits
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.meter import Meter
from asyncmirror.timetable import Timetable

PART = 16 * MIB


class Bodies:
    """Tasks that let a body begin, and hold it until told."""

    def __init__(self, rate: float) -> None:
        self.meter = Meter(KIB // 2, 256 * KIB)
        self.meter.limit(lambda: rate)
        self.admission = Admission(self.meter)
        self.begun: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.Event] = []

    async def _one(self, number: int, size: int) -> None:
        if not self.admission.take(size):
            await self.admission.turn(size)
        self.begun.append(number)
        try:
            await self._ends[number].wait()
        finally:
            self.admission.release(size)

    async def add(self, count: int, size: int = PART) -> None:
        for _ in range(count):
            self._ends.append(asyncio.Event())
            self.tasks.append(asyncio.create_task(self._one(len(self.tasks), size)))
        await self.look()

    async def end(self, number: int) -> None:
        self._ends[number].set()
        await self.look()

    async def look(self) -> None:
        """What the timer does."""
        for _ in range(5):
            await asyncio.sleep(0)
        self.admission._look()
        for _ in range(5):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_who_waits_comes_in_turn() -> None:
    bodies = Bodies(10 * MIB)
    await bodies.add(5)
    assert bodies.begun == [0, 1]
    await bodies.add(1, KIB)  # nor does a small one overtake
    await bodies.end(0)
    assert bodies.begun == [0, 1, 2]
    await bodies.end(2)
    await bodies.end(1)
    assert bodies.begun == [0, 1, 2, 3, 4]
    await bodies.close()


async def test_what_waits_for_its_answer_or_for_the_network_holds_nobody_back() -> None:
    bodies = Bodies(10 * MIB)
    await bodies.add(4)
    assert bodies.begun == [0, 1]
    bodies.meter.carried = 2 * PART  # both are on the wire, and nothing of them waits for the limit
    await bodies.look()
    assert bodies.begun == [0, 1, 2, 3]
    await bodies.close()


async def test_who_gave_up_is_passed_over_and_leaves_nothing_behind() -> None:
    bodies = Bodies(10 * MIB)
    await bodies.add(5)
    for number in (0, 1, 2, 3):
        bodies.tasks[number].cancel()
    await bodies.look()
    assert bodies.begun == [0, 1, 4]
    await bodies.end(4)
    assert bodies.admission.begun == 0
    await bodies.close()


async def test_a_limit_that_is_lifted_lets_all_begin_and_a_new_one_holds_the_next() -> None:
    bodies = Bodies(MIB)
    await bodies.add(3)
    assert bodies.begun == [0]
    bodies.meter.limit(None)
    await bodies.look()
    await bodies.add(1)
    assert bodies.begun == [0, 1, 2, 3]
    bodies.meter.limit(lambda: MIB)
    await bodies.add(1)
    assert bodies.begun == [0, 1, 2, 3]
    await bodies.close()


async def test_the_timer_looks_by_itself() -> None:
    bodies = Bodies(MIB)
    await bodies.add(2)
    waiting = asyncio.create_task(bodies.admission.turn(PART))
    for task in bodies.tasks:
        task.cancel()
    await asyncio.wait_for(waiting, 2)
    await bodies.close()


async def test_at_the_end_of_a_run_who_waits_is_turned_away_and_who_has_begun_goes_on() -> None:
    tuning = Tuning(bwlimit=Timetable.parse("1MiB"))
    body = bytes(150 * KIB)
    limited = LimitedStore(MemoryStore(), 8, 60.0, limits=Limits(tuning))
    limited.limits.bodies.begun += 2 * MIB - 1  # of others

    async def put(name: str) -> None:
        value = checksums.compute(Algorithm.CRC64NVME, body)
        await limited.put_object(name, body, value, Properties("a/b", {}))

    puts = [asyncio.create_task(put(name)) for name in "abc"]
    await asyncio.sleep(0.01)
    assert limited.in_flight == 1  # who waits has no slot
    limited.end()
    found = await asyncio.wait_for(asyncio.gather(*puts, return_exceptions=True), 2)
    assert [type(each) for each in found] == [type(None), ThrottledError, ThrottledError]
    limited.limits.bodies.begun += 1
    with pytest.raises(ThrottledError):
        await put("later")
    limited.begin()
    later = asyncio.create_task(put("in another run"))
    await asyncio.sleep(0.01)
    assert not later.done()
    limited.limits.bodies.begun = 0
    await asyncio.wait_for(later, 2)
