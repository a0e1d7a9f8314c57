"""A mirror that is watched: run after run, by a schedule, until somebody ends it.

Owns the wait between two runs and what is made of one that could not begin or go on: it is told, and tried again, later each
time. Whatever may pass by itself does not end a watch: a store that is away, credentials that have expired, a source that is
not mounted, a disk that is full. A journal that is damaged or another's does not pass. When a run begins is decided in
`plan.schedule`. Knows no screen.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from datetime import tzinfo
from typing import Protocol

from asyncmirror.errors import AsyncmirrorError, JournalDiskError, JournalError
from asyncmirror.events import Event, Waiting
from asyncmirror.plan.schedule import Due, Moment, Schedule, again, following, kept

_NAP = 5.0
"""Seconds between two looks at the clocks: no timer tells that a machine has woken up, or that its clock was set."""
# Linux: goes on while the machine is suspended, where CLOCK_MONOTONIC stands still.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clocks() -> Moment:
    """What the clocks show."""
    return Moment(time.time(), time.clock_gettime(_CLOCK))


class Mirroring(Protocol):
    """What is needed of `engine.mirror.Mirror`: open, and without a run."""

    waiting: Waiting | None

    def run(self) -> AsyncGenerator[Event, None]:
        """One run."""
        ...

    @property
    def failure(self) -> AsyncmirrorError | None:
        """What the last run could not begin or go on for."""
        ...

    @property
    def paused(self) -> bool:
        """Whether no run may begin."""
        ...

    async def wait(self, seconds: float) -> bool:
        """Wait; whether nobody has ended the mirror."""
        ...


class _Rhythm:
    """When the next run begins. See `watch` for the arguments."""

    def __init__(self, schedule: Callable[[], Schedule], clocks: Callable[[], Moment], zone: tzinfo | None) -> None:
        self._ask = schedule
        self._clocks = clocks
        self._zone = zone
        self._first = clocks()
        self._schedule = schedule()
        self._failures = 0

    def due(self, failures: int) -> Due:
        """When, after so many runs in vain."""
        self._schedule, self._failures = self._ask(), failures
        now = self._clocks()
        regular = following(self._schedule, self._first, now, self._zone)
        return again(failures, regular, now) if failures else regular

    def look(self, due: Due) -> Due:
        """The same; decided anew where the schedule has become another, or the wall clock has been put right."""
        if self._ask() != self._schedule:
            return self.due(self._failures)
        return kept(due, self._schedule, self._first, self._clocks(), self._zone)


async def watch(
    mirror: Mirroring, schedule: Callable[[], Schedule], *, clocks: Callable[[], Moment] = clocks, zone: tzinfo | None = None
) -> AsyncGenerator[Event, None]:
    """Give the events of all runs, each from its `Started` to its `Summary`, and between two a `Waiting`.

    Ends when the mirror is drained or stopped.

    Args:
        mirror: Whose runs they are; the first begins at once.
        schedule: Gives when the others do; it may become another.
        clocks: Tells the moment.
        zone: Of times of the day; None: the machine's.

    Raises:
        JournalError: The journal can't be used any more.
    """
    rhythm, failures = _Rhythm(schedule, clocks, zone), 0
    while True:
        error: AsyncmirrorError | None = None
        try:
            async with aclosing(mirror.run()) as events:
                async for event in events:
                    yield event
        except AsyncmirrorError as raised:
            error = raised
        else:
            error = mirror.failure
        if isinstance(error, JournalError) and not isinstance(error, JournalDiskError):
            raise error
        failures = failures + 1 if error is not None and error.fatal else 0
        due = rhythm.due(failures)
        mirror.waiting = Waiting(due.wall, str(error) if failures else "")
        if not await mirror.wait(0):
            return
        yield mirror.waiting
        async with aclosing(_rest(mirror, due, clocks, rhythm.look)) as changes:
            async for change in changes:
                yield change
        if not await mirror.wait(0):
            return


async def _rest(
    mirror: Mirroring, due: Due, clocks: Callable[[], Moment], look: Callable[[Due], Due]
) -> AsyncGenerator[Waiting, None]:
    """Wait until a run is due and may begin, or the mirror is ended; tell it where it has become due at another moment."""
    while (left := due.left(clocks())) or mirror.paused:
        if (now_due := look(due)) != due:
            due, mirror.waiting = now_due, Waiting(now_due.wall, mirror.waiting.why if mirror.waiting else "")
            yield mirror.waiting
        elif not await mirror.wait(min(left or _NAP, _NAP)):
            return


async def unless(event: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Do some work, but give it up when an event is set; whether it was done. Whatever it raises is raised."""
    doing, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait((doing, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        await doing
        return True
    finally:
        doing.cancel()
        waiting.cancel()
        await asyncio.wait((doing, waiting))
