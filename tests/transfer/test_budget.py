import asyncio

import pytest

from asyncmirror.transfer.budget import ByteBudget


async def test_what_fits_is_granted_at_once_and_the_rest_waits_its_turn() -> None:
    budget = ByteBudget(10)
    await budget.acquire(8)
    order: list[str] = []

    async def take(name: str, size: int) -> None:
        await budget.acquire(size)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(take("large", 9))
        await asyncio.sleep(0)
        group.create_task(take("small", 1))
        await asyncio.sleep(0)
        assert order == []  # the small one would fit, but the large one came first
        budget.release(8)
    assert order == ["large", "small"]
    assert budget.taken == 10


async def test_more_than_the_whole_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        await ByteBudget(10).acquire(11)


async def test_who_gives_up_waiting_makes_way() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    first = asyncio.create_task(budget.acquire(10))
    second = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    budget.release(5)
    await second
    assert budget.taken == 6


async def test_who_is_cancelled_when_granted_gives_it_back() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiter = asyncio.create_task(budget.acquire(4))
    await asyncio.sleep(0)
    budget.release(10)  # grants
    waiter.cancel()
    await asyncio.wait([waiter])
    assert waiter.cancelled()
    assert budget.taken == 0


async def test_who_gives_up_waiting_just_before_bytes_come_free_is_passed_over() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    waiter = asyncio.create_task(budget.acquire(4))
    await asyncio.sleep(0)
    waiter.cancel()
    budget.release(10)  # before the waiter has run again: as when a part fails and gives its bytes back
    await asyncio.wait([waiter])
    assert waiter.cancelled()
    assert budget.taken == 0


async def test_turned_down_what_is_larger_goes_alone_and_turned_up_more_go_together() -> None:
    budget = ByteBudget(10)
    await budget.acquire(10)
    budget.resize(4)
    large, small = asyncio.create_task(budget.acquire(8)), asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    budget.release(9)
    await asyncio.sleep(0)
    assert not large.done()
    budget.release(1)
    await large
    await asyncio.sleep(0)
    assert not small.done()
    budget.resize(9)
    await small
    assert budget.taken == 9


async def test_what_is_reserved_is_nobodys_but_never_more_than_a_quarter() -> None:
    budget = ByteBudget(100)
    budget.reserve(10)
    budget.reserve(10)
    await budget.acquire(90)
    waiting = asyncio.create_task(budget.acquire(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.release(1)
    await waiting
    budget.release(90)
    budget.resize(8)
    await budget.acquire(6)
    large = asyncio.create_task(budget.acquire(100))
    await asyncio.sleep(0)
    assert not large.done()
    budget.release(6)
    await large  # alone
