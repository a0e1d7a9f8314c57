"""Works of narrow prefixes are set aside: who overtakes them, how many go at once, and how many there may be."""

import asyncio

from asyncmirror.engine.channel import Channel
from asyncmirror.engine.parking import Handful, Parking
from asyncmirror.events import Narrow
from asyncmirror.model import Identity, Record
from asyncmirror.plan.decide import Action
from asyncmirror.source.walk import File
from asyncmirror.transfer.work import Work

ALL_AT_ONCE = 6
"""Works of a prefix with a limit of 1 that are carried out at once."""


def work(key: str) -> Work:
    return Work(1, key.encode(), key, File(key.encode(), Identity(1, 2, 3, 4, 5), b"", key.encode()), Action.UPLOAD, Record())


class House:
    """A channel with works, behind it a parking."""

    def __init__(self, *keys: str, most: int = 100) -> None:
        self.narrow = [Narrow("slow/", 1)]
        self.works: Channel[Work] = Channel(100)
        self.works.offer(map(work, keys))
        self.parking = Parking(self.works, most)

    async def take(self, limit: int = 1) -> Handful:
        async with asyncio.timeout(5):
            return await self.parking.take(lambda: limit, lambda: self.narrow, lambda *_: True)

    async def keys(self, handfuls: int, limit: int = 1) -> list[str]:
        return [each.key for _ in range(handfuls) for each in (await self.take(limit)).works]


async def test_while_nothing_is_narrow_all_come_in_order() -> None:
    house = House("slow/1", "b/1", "slow/2")
    house.narrow.clear()
    assert await house.keys(1, 2) == ["slow/1", "b/1"]
    assert await house.keys(1, 2) == ["slow/2"]


async def test_others_overtake_what_is_narrow() -> None:
    slow = [f"slow/{number}" for number in range(10)]
    house = House(*slow, "b/1", "b/2")
    assert await house.keys(ALL_AT_ONCE) == slow[:ALL_AT_ONCE]
    assert await house.keys(2) == ["b/1", "b/2"]
    assert len(house.parking) == 10 - ALL_AT_ONCE


async def test_of_works_taken_together_the_others_go_at_once() -> None:
    house = House("slow/1", "b/1", "slow/2", "b/2")
    assert await house.keys(1, 4) == ["b/1", "b/2"]
    assert await house.keys(2) == ["slow/1", "slow/2"]


async def test_one_that_is_done_lets_the_next_go() -> None:
    house = House(*(f"slow/{number}" for number in range(10)), "b/1")
    handfuls = [await house.take() for _ in range(ALL_AT_ONCE)]
    assert await house.keys(1) == ["b/1"]
    house.parking.done(handfuls[0])
    assert await house.keys(1) == [f"slow/{ALL_AT_ONCE}"]


async def test_when_nothing_is_left_to_overtake_them_all_go() -> None:
    house = House(*(f"slow/{number}" for number in range(10)))
    house.works.close()
    assert len(await house.keys(11)) == 10
    assert await house.keys(1) == []


async def test_who_waits_for_more_hears_of_the_end() -> None:
    house = House(*(f"slow/{number}" for number in range(ALL_AT_ONCE + 2)))
    await house.keys(ALL_AT_ONCE)
    waiting = [asyncio.create_task(house.take()) for _ in range(3)]
    await asyncio.sleep(0)
    house.works.close()
    assert sorted([len((await each).works) for each in waiting]) == [0, 1, 1]


async def test_no_more_are_set_aside_than_may_be() -> None:
    house = House(*(f"slow/{number}" for number in range(20)), most=3)
    await house.keys(ALL_AT_ONCE)
    assert await house.keys(2) == [f"slow/{ALL_AT_ONCE + 3}", f"slow/{ALL_AT_ONCE + 4}"]
    assert len(house.parking) == 3


async def test_what_is_narrow_no_longer_goes_with_the_others() -> None:
    house = House(*(f"slow/{number}" for number in range(10)), "b/1")
    await house.keys(ALL_AT_ONCE + 1)
    house.narrow.clear()
    assert len(await house.keys(10 - ALL_AT_ONCE)) == 10 - ALL_AT_ONCE


async def test_a_drain_forgets_them() -> None:
    house = House(*(f"slow/{number}" for number in range(10)), "b/1")
    await house.keys(ALL_AT_ONCE + 1)
    house.parking.clear()
    house.works.close()
    assert await house.keys(1) == []
