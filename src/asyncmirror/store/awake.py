"""A clock that stands still while this process does: stopped by a signal, frozen with its container, on a machine that sleeps.

Owns the clock by which requests are charged their time: what nobody could use is charged to none. It ticks every second; what
is more than a few seconds from one tick to the next did not pass here. Knows no request.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

_TICK = 1.0
_LONGEST = 5.0
"""Seconds that one tick may take: a loop that is busy for longer is as good as stopped."""


class Awake:
    """The clock: seconds since any moment, never going back. Made by `awake`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._counted = 0.0
        self._last = monotonic()

    def __call__(self) -> float:
        """The reading."""
        return self._counted + min(self._monotonic() - self._last, _LONGEST)

    def tick(self) -> None:
        """Go on from here."""
        self._counted = self()
        self._last = self._monotonic()


@contextlib.contextmanager
def awake() -> Iterator[Awake]:
    """A clock that ticks on the running loop until the block ends."""
    loop = asyncio.get_running_loop()
    clock = Awake(time.monotonic)
    timers: list[asyncio.TimerHandle] = []

    def tick() -> None:
        clock.tick()
        timers[:] = [loop.call_later(_TICK, tick)]

    tick()
    try:
        yield clock
    finally:
        timers[0].cancel()
