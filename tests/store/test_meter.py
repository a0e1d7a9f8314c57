"""Meters: how much goes in a time, in which order, and what becomes of who gives up."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator

import pytest

from asyncmirror.plan.bucket import IDLE
from asyncmirror.settings import Tuning
from asyncmirror.sizes import KIB, MIB
from asyncmirror.store.limits import Limits
from asyncmirror.store.meter import Meter
from asyncmirror.store.pots import SharedPots
from asyncmirror.timetable import Timetable


@pytest.fixture
def pots() -> Iterator[SharedPots]:
    made = SharedPots.make(2)
    yield made
    made.close()


class Body:
    """A body that waits for its turns, again and again."""

    def __init__(self, name: str, size: int, meter: Meter, log: list[tuple[str, int]]) -> None:
        self.name = name
        self.left = size
        self.done = asyncio.Event()
        self._meter = meter
        self._log = log
        self._go()

    def granted(self, amount: int) -> None:
        self._note(amount)
        self._go()

    def _go(self) -> None:
        while self.left and self._meter.take(amount := min(self.left, self._meter.slice)):
            self._note(amount)
        self._meter.wait(self) if self.left else self.done.set()

    def _note(self, amount: int) -> None:
        self._log.append((self.name, amount))
        self.left -= amount


def metered(rate: float, least: int = 1, most: int = 1) -> Meter:
    meter = Meter(least, most)
    meter.limit(lambda: rate)
    return meter


async def turns(meter: Meter, count: int) -> float:
    """Seconds that so many turns take."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(meter.turn())
    return time.monotonic() - began


async def test_turns_take_as_long_as_the_rate_says() -> None:
    assert await turns(metered(1000), 300) >= 0.3 - IDLE - 0.002
    assert 0.09 <= await turns(metered(20), 4) < 5


async def test_many_have_equal_shares_and_none_starves() -> None:
    log: list[tuple[str, int]] = []
    meter = metered(MIB, 512, 256 * KIB)
    meter.hold(held=True)
    bodies = [Body(name, 60 * KIB, meter, log) for name in "abc"]
    assert meter.owed == 180 * KIB
    meter.hold(held=False)
    await asyncio.gather(*(body.done.wait() for body in bodies))
    assert log[:6] == [(name, MIB // 50) for _ in range(2) for name in "abc"]
    assert sum(amount for _, amount in log) == 180 * KIB


async def test_a_small_one_comes_in_between() -> None:
    log: list[tuple[str, int]] = []
    meter = metered(MIB, 512, 256 * KIB)
    large = Body("large", MIB, meter, log)
    await asyncio.sleep(0)
    before = len(log)
    small = Body("small", KIB, meter, log)
    await asyncio.wait_for(small.done.wait(), 5)
    assert log.index(("small", KIB)) <= before + 1
    assert large.left
    large.left = 0


async def test_who_gave_up_is_passed_over() -> None:
    meter = metered(4)
    tasks = [asyncio.create_task(meter.turn()) for _ in range(20)]
    await tasks[0]
    for task in tasks[1:-1]:
        task.cancel()
    await asyncio.wait_for(tasks[-1], 4)  # a turn each would take 4.75 s
    await asyncio.gather(*tasks[1:-1], return_exceptions=True)


async def test_nobody_waits_once_there_is_no_limit_and_nobody_goes_while_held() -> None:
    meter = metered(0.01)
    await meter.turn()
    waiting = asyncio.create_task(turns(meter, 5))
    await asyncio.sleep(0)
    meter.hold(held=True)
    meter.limit(None)
    assert not meter.limited
    await asyncio.sleep(0.02)
    assert not waiting.done()
    meter.hold(held=False)
    assert await asyncio.wait_for(waiting, 50) < 50


async def test_a_slice_is_a_fiftieth_of_a_second_within_bounds() -> None:
    for rate, worth in ((KIB, 512), (MIB, MIB // 50), (10**9, 256 * KIB)):
        meter = metered(rate, 512, 256 * KIB)
        assert meter.slice == worth
    assert not metered(KIB, 512, 256 * KIB).take(512 * KIB)


async def test_after_a_pause_no_more_goes_at_once_than_was_saved_up() -> None:
    meter = metered(100)
    await meter.turn()
    await asyncio.sleep(0.3)
    at_once = 0
    while meter.take(1):
        at_once += 1
    assert at_once <= IDLE * 100 + 1


async def test_a_timetable_is_looked_at_again() -> None:
    rates = [0.1]
    meter = Meter()
    meter.limit(lambda: rates[0] or None)
    assert meter.take(1)
    waiting = asyncio.create_task(turns(meter, 3))
    await asyncio.sleep(0.01)
    rates[0] = 0
    assert await asyncio.wait_for(waiting, 15) < 15


async def test_two_that_draw_from_one_pot_have_the_rate_between_them(pots: SharedPots) -> None:
    other = SharedPots(os.dup(pots.descriptor))
    tuning = Tuning(max_requests_per_second=500, bwlimit=Timetable.parse("1MiB"))
    first, second = Limits(tuning, pots), Limits(tuning, other)
    took = await asyncio.gather(turns(first.requests, 100), turns(second.requests, 100))
    assert max(took) >= 0.4 - IDLE - 0.01
    took = await asyncio.gather(turns(first.requests, 5), turns(second.requests, 60))
    assert took[0] <= took[1]
    other.close()


HOLDER = "import os, sys; os.lockf(int(sys.argv[1]), os.F_LOCK, 0); print(flush=True); input()"


async def test_a_lock_that_another_process_holds_is_not_waited_for(pots: SharedPots) -> None:
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(pots.descriptor)), pass_fds=[pots.descriptor], stdin=pipe, stdout=pipe
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    meter = Meter(pot=pots.pot(0))
    meter.limit(lambda: 1000)
    assert not meter.take(1)
    waiting = asyncio.create_task(meter.turn())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await holder.communicate(b"\n")
    await asyncio.wait_for(waiting, 30)
