import asyncio
import threading

from asyncmirror.engine.channel import Channel


async def test_items_come_out_in_order_and_the_end_is_closing() -> None:
    channel: Channel[int] = Channel(10)
    channel.offer(range(5))
    channel.close()
    assert await channel.take(3) == [0, 1, 2]
    assert await channel.take(3) == [3, 4]
    assert await channel.take(3) == []


async def test_what_is_put_into_a_closed_channel_is_dropped() -> None:
    channel: Channel[int] = Channel(10)
    channel.close()
    channel.offer([1])
    channel.put(2)
    assert await channel.take(1) == []


async def test_a_thread_waits_while_it_is_full() -> None:
    channel: Channel[int] = Channel(2)
    progress: list[int] = []
    full = threading.Event()

    def produce() -> None:
        for n in range(6):
            if n == 2:
                full.set()
            channel.put(n)
            progress.append(n)

    producing = asyncio.create_task(asyncio.to_thread(produce))
    await asyncio.to_thread(full.wait, 10)
    assert len(progress) == 2
    taken: list[int] = []
    while len(taken) < 6:
        taken += await channel.take(1)
        assert len(channel) <= 2
    await producing
    assert taken == list(range(6))


async def test_closing_lets_a_waiting_thread_go() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(0)
    producing = asyncio.create_task(asyncio.to_thread(channel.put, 1))
    await asyncio.sleep(0)
    channel.close()
    await asyncio.wait_for(producing, 10)
    assert await channel.take(5) == [0]


async def test_room_is_waited_for() -> None:
    channel: Channel[int] = Channel(2)
    channel.offer(range(4))
    waiting = asyncio.create_task(channel.room())
    await channel.take(2)
    await asyncio.sleep(0)
    assert not waiting.done()
    await channel.take(1)
    await asyncio.wait_for(waiting, 10)


async def test_a_take_is_cut_where_items_do_not_join() -> None:
    channel: Channel[int] = Channel(10)
    channel.offer([2, 4, 5, 6])
    assert await channel.take(9, lambda a, b: a % 2 == b % 2) == [2, 4]
    assert await channel.take(9, lambda a, b: a % 2 == b % 2) == [5]


async def test_a_cancelled_taker_loses_no_item_and_no_wake_up() -> None:
    channel: Channel[int] = Channel(10)
    first, second = asyncio.create_task(channel.take(1)), asyncio.create_task(channel.take(1))
    await asyncio.sleep(0)
    channel.offer([1])  # wakes the first
    first.cancel()
    assert await asyncio.wait_for(second, 10) == [1]


async def test_every_taker_gets_something() -> None:
    channel: Channel[int] = Channel(10)
    takers = [asyncio.create_task(channel.take(1)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(channel.put, 0)
    channel.offer(range(1, 5))
    found = await asyncio.wait_for(asyncio.gather(*takers), 10)
    assert sorted(item for (item,) in found) == list(range(5))


async def test_clear_empties_it() -> None:
    channel: Channel[int] = Channel(2)
    channel.offer([1, 2, 3])
    assert channel.clear() == [1, 2, 3]
    assert len(channel) == 0
