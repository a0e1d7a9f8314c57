"""Looks at the gauges every few hundredths of a second, so that the throttle can find out how many requests serve best.

Owns the timer and what is read. No request pays for it: what is read are counts that are kept anyway. A store that is idle is
looked at less often. Decides nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asyncmirror.plan.trial import Reading
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.strain import Strain

LOOK = 0.05
"""Seconds between two looks: a fifth of the shortest window."""
IDLE = 0.2
"""Seconds between two while nothing is in flight."""


class Pacer:
    """Of one store, on the running loop.

    Args:
        limited: Whose gauges are read, and whose throttle is told.
        strain: Tells of CPU and memory.
        clock: Gives seconds, never going back.
    """

    def __init__(self, limited: LimitedStore, strain: Strain, clock: Callable[[], float] = time.monotonic) -> None:
        self._limited = limited
        self._strain = strain
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LOOK, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        limited, now = self._limited, self._clock()
        in_flight = limited.in_flight
        ended = limited.requests - in_flight - limited.throttle.refused
        pressed = self._strain.is_memory_short(now)
        reading = Reading(now, ended, limited.bytes_sent, in_flight, self._strain.busy(), pressed=pressed)
        limited.throttle.look(reading)
        if limited.throttle.heeds:
            limited.lanes.look(reading, limited.requests)
        self._timer = self._loop.call_later(LOOK if in_flight else IDLE, self._look)


@contextmanager
def pacing(limited: LimitedStore) -> Iterator[None]:
    """Have a store looked at for as long as the block lasts."""
    with Strain() as strain:
        pacer = Pacer(limited, strain)
        try:
            yield
        finally:
            pacer.stop()
