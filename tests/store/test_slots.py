"""Slots: taken, waited for, fewer and more of them, and held."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.store.slots import Slots


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Workers:
    """Tasks that take a slot and keep it until told."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.working: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.begun: list[asyncio.Event] = []
        self._done: list[asyncio.Event] = []

    async def _work(self, number: int) -> None:
        if not self.slots.take():
            await self.slots.turn()
        self.working.append(number)
        self.begun[number].set()
        try:
            await self._done[number].wait()
        finally:
            self.working.remove(number)
            self.slots.release()

    async def begin(self, count: int) -> None:
        for _ in range(count):
            self.begun.append(asyncio.Event())
            self._done.append(asyncio.Event())
            self.tasks.append(asyncio.create_task(self._work(len(self.tasks))))
        await settle()

    async def finish(self, number: int) -> None:
        self._done[number].set()
        await settle()


async def test_who_waits_comes_in_turn() -> None:
    workers = Workers(Slots(2))
    await workers.begin(5)
    assert workers.working == [0, 1]
    await workers.finish(1)
    await workers.finish(0)
    assert workers.working == [2, 3]
    assert not workers.slots.take()


async def test_fewer_slots_let_nobody_begin_until_as_few_are_taken() -> None:
    workers = Workers(Slots(4))
    await workers.begin(6)
    workers.slots.resize(2)
    await workers.finish(0)
    await workers.finish(1)
    assert workers.working == [2, 3]
    await workers.finish(2)
    assert workers.working == [3, 4]
    assert workers.slots.taken == 2


async def test_more_slots_wake_who_waits() -> None:
    workers = Workers(Slots(1))
    await workers.begin(6)
    workers.slots.resize(4)
    await settle()
    assert workers.working == [0, 1, 2, 3]


async def test_held_slots_begin_nothing_until_their_time_and_then_as_many_as_there_are_by_then() -> None:
    workers = Workers(Slots(3))
    await workers.begin(1)
    workers.slots.hold(0.01)
    await workers.begin(4)
    await workers.finish(0)
    workers.slots.resize(2)
    assert workers.working == []
    workers.slots.hold(0.02)  # from now on
    assert not workers.slots.take()
    async with asyncio.timeout(5):
        await workers.begun[2].wait()
    assert workers.working == [1, 2]


async def test_who_is_cancelled_while_waiting_holds_nothing_up() -> None:
    workers = Workers(Slots(1))
    await workers.begin(4)
    workers.tasks[1].cancel()
    await settle()
    await workers.finish(0)
    assert workers.working == [2]


async def test_who_is_cancelled_when_its_turn_comes_passes_it_on() -> None:
    workers = Workers(Slots(1))
    await workers.begin(3)
    workers.slots.resize(2)  # wakes the second, which does not go on before this task waits
    workers.tasks[1].cancel()
    await settle()
    assert workers.working == [0, 2]
    with pytest.raises(asyncio.CancelledError):
        await workers.tasks[1]


@given(st.lists(st.one_of(st.just("begin"), st.just("finish"), st.integers(1, 8)), max_size=60))
def test_never_more_than_there_are_and_nobody_waits_for_a_free_one(steps: list[str | int]) -> None:
    async def run() -> None:
        workers, size, allowed = Workers(Slots(4)), 4, 4
        for step in steps:
            if step == "begin":
                await workers.begin(1)
            elif step == "finish":
                if workers.working:
                    await workers.finish(workers.working[0])
            else:
                size = int(step)
                workers.slots.resize(size)
                await settle()
            taken = len(workers.working)
            allowed = max(size, min(allowed, taken))
            waiting = sum(not task.done() for task in workers.tasks) - taken
            assert workers.slots.taken == taken <= allowed
            assert not waiting or taken >= size
        for task in workers.tasks:
            task.cancel()
        await asyncio.gather(*workers.tasks, return_exceptions=True)

    asyncio.run(run())


async def test_nobody_begins_while_paused_and_who_waits_goes_on_in_turn() -> None:
    workers = Workers(Slots(2))
    await workers.begin(3)
    workers.slots.pause()
    await workers.finish(0)
    workers.slots.resize(5)
    await workers.begin(1)
    assert workers.working == [1]
    workers.slots.resume()
    await settle()
    assert workers.working == [1, 2, 3]
    assert workers.slots.taken == 3


async def test_a_pause_outlasts_a_hold_and_a_hold_a_pause() -> None:
    workers = Workers(Slots(1))
    workers.slots.hold(0.001)
    workers.slots.pause()
    await workers.begin(1)
    await asyncio.sleep(0.01)
    assert workers.working == []
    workers.slots.hold(60)
    workers.slots.resume()
    await settle()
    assert workers.working == []


async def test_paused_and_refused_nobody_waits() -> None:
    workers = Workers(Slots(1))
    workers.slots.pause()
    await workers.begin(1)
    workers.slots.refuse(lambda: RuntimeError("over"))
    await workers.begin(1)
    assert [type(task.exception()) for task in workers.tasks] == [RuntimeError, RuntimeError]
