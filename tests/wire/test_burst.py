import asyncio

from asyncmirror.store.wire.burst import Burst


class Told:
    def __init__(self) -> None:
        self.data: list[bytes] = []

    def leave(self, data: bytes) -> None:
        self.data.append(data)


async def test_requests_of_one_turn_leave_together_after_it_and_in_order() -> None:
    burst, told = Burst(asyncio.get_running_loop()), Told()

    async def send(data: bytes) -> None:
        burst.add(told, data)
        assert told.data == []

    await asyncio.gather(*(send(b"%d" % n) for n in range(5)))
    await asyncio.sleep(0)
    assert told.data == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_request_of_a_later_turn_does_not_wait_for_another() -> None:
    burst, told = Burst(asyncio.get_running_loop()), Told()
    for n in range(3):
        burst.add(told, b"%d" % n)
        await asyncio.sleep(0)
        assert len(told.data) == n + 1
