"""Whether a run lives: the decision behind the watchdog's sign of life. Pure; no clock, no process.

A run lives while something moves: a gauge, or bytes that its processes read (a file of terabytes that is compared moves no
gauge for hours). A store that turns requests away is asked again every few seconds, which moves gauges, too. And it lives while
it waits for a reason: held by somebody, between two runs, or allowed so little that a part takes hours. Everything else that
lasts is a hang that only a new process ends. It has to last long: waking a tape takes its time, and a run that is killed for
nothing begins its file anew.
"""

from typing import NamedTuple

from asyncmirror.events import Progress

HUNG = 7200.0
"""Seconds without any sign after which a run counts as hung: the longest part, 5 GiB, has 86 minutes at 1 MiB/s."""
_CRAWL = 1 << 20
"""Bytes a second: where less is allowed, a part may take as long as it likes."""
_READ = 1 << 20
"""Bytes read that are a sign: wake-ups of the event loop alone come to less."""


class Vigil(NamedTuple):
    """The last sign of life: when it was, in seconds of any clock, and how things stood."""

    since: float
    stood: Progress = Progress()
    read: int = 0

    def look(self, now: float, progress: Progress, read: int) -> "Vigil":
        """After another look at the gauges, and at the bytes that were read until `now`."""
        still = _without_clocks(progress)
        allowance = progress.allowance
        crawls = 0 < allowance.bandwidth < _CRAWL or 0 < allowance.requests < 1
        waits = progress.paused or not progress.running or crawls
        if waits or still != self.stood or abs(read - self.read) >= _READ:
            return Vigil(now, still, read)
        return self

    def lives(self, now: float) -> bool:
        """Whether the last sign is young enough."""
        return now - self.since < HUNG


def _without_clocks(progress: Progress) -> Progress:
    """The gauges that stand still where nothing moves."""
    slowest = tuple(transfer._replace(seconds=0.0) for transfer in progress.slowest)
    erasing = progress.erasing and progress.erasing._replace(seconds=0.0)
    return progress._replace(seconds=0.0, slowest=slowest, erasing=erasing)
