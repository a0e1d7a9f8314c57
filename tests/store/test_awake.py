import asyncio

from asyncmirror.errors import ConnectionFaultError
from asyncmirror.settings import Tuning
from asyncmirror.store.awake import Awake, awake
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.retry import RetryingStore


def test_it_goes_as_time_does_and_stands_still_where_nothing_went() -> None:
    times = iter((100.0, 101.0, 101.0, 102.5, 102.5, 106.0, 106.0, 107.0, 111.0, 112.0, 4000.0, 4001.0))
    clock = Awake(lambda: next(times))
    for _ in range(3):
        clock.tick()
    assert [clock() for _ in range(5)] == [7.0, 11.0, 11.0, 11.0, 11.0]


def test_after_it_stood_still_it_goes_on() -> None:
    times = iter((0.0, 3600.0, 3600.0, 3601.0))
    clock = Awake(lambda: next(times))
    clock.tick()
    assert clock() == 6.0


async def test_it_ticks_by_itself() -> None:
    with awake() as clock:
        before = clock()
        await asyncio.sleep(0)
        assert before <= clock() < before + 5


async def test_no_request_is_charged_the_time_for_which_its_process_stood_still() -> None:
    now = 0.0
    clock = Awake(lambda: now)

    class Away(MemoryStore):
        faults = 3

        async def check_bucket(self, prefix: str) -> None:
            nonlocal now
            if self.faults:
                self.faults -= 1
                now += 3600  # stopped in the middle of it
                raise ConnectionFaultError("no answer in time")
            await super().check_bucket(prefix)

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        clock.tick()

    store = RetryingStore(Away(), Tuning(retry_window=60.0), clock=clock, sleep=sleep)
    await store.check_bucket("")
    assert store.retries == 3
