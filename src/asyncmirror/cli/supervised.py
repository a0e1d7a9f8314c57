"""What follows a run for systemd: ready, how far it is, alive, stopping.

Owns what is told when. The signs of life come from a task of the event loop, so that a loop that hangs gives none, and only
while the run lives (`cli.vigil`). While it starts or drains, the time for that is extended instead: checking a journal of
gigabytes, or finishing what is in flight, may take longer than a unit file allows. How it is told is `cli.sd_notify`'s.
"""

import asyncio
import contextlib
import glob
import os
import time
from collections.abc import Callable, Iterator
from enum import Enum
from types import TracebackType
from typing import Self

from asyncmirror.cli.report import periodic
from asyncmirror.cli.sd_notify import Supervisor
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.cli.vigil import Vigil
from asyncmirror.events import Event, Summary
from asyncmirror.rates import Pace
from asyncmirror.text import show_line

_BEAT = 5.0
"""Seconds between two signs at most."""
_EXTENSION = 60.0
"""Seconds by which a start or a stop is extended with each sign."""
_STATUS = 10.0
"""Seconds between two lines of status."""


class _Phase(Enum):
    STARTING = 1
    RUNNING = 2
    STOPPING = 3


class Supervised(Tap):
    """Tells a supervisor."""

    def __init__(self, supervisor: Supervisor, clock: Callable[[], float] = time.monotonic) -> None:
        self._supervisor = supervisor
        self._clock = clock
        self._beat = min(_BEAT, supervisor.watchdog / 2) if supervisor.watchdog else _BEAT
        self._phase = _Phase.STARTING
        self._mirror: Mirroring | None = None
        self._pace = Pace()
        self._vigil = Vigil(clock())
        self._told = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Give signs from now on."""
        self._supervisor.status("opening the journal, asking the store")
        self._task = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say what ended it, and no more."""
        if error is not None:
            self._supervisor.status(show_line(str(error) or type(error).__name__))
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._supervisor.close()

    async def opened(self, mirror: Mirroring) -> None:
        """The start is over."""
        self._mirror = mirror
        if self._phase is _Phase.STARTING:
            self._phase = _Phase.RUNNING
        self._supervisor.ready()

    def tell(self, event: Event) -> None:
        """Say what a run came to, until the next line."""
        if isinstance(event, Summary):
            self._supervisor.status(show_line(event.error) or f"the last run ended with exit code {event.exit_code}")
            self._told = self._clock()

    def stopping(self, *, at_once: bool) -> None:  # noqa: ARG002  the end is the end
        """Say that it will end."""
        self._phase = _Phase.STOPPING
        self._supervisor.stopping()

    def reloading(self, *, done: bool) -> None:
        """Say that the configuration is read again, or has been."""
        if done:
            self._supervisor.ready()
        else:
            self._supervisor.reloading()

    async def _live(self) -> None:
        while True:
            self._sign()
            await asyncio.sleep(self._beat)

    def _sign(self) -> None:
        now = self._clock()
        self._look(now)
        if not self._vigil.lives(now):
            self._supervisor.status(f"nothing has moved for {now - self._vigil.since:.0f} s: no more signs of life")
        elif self._phase is _Phase.RUNNING:
            if self._supervisor.watchdog:
                self._supervisor.alive()
        else:
            self._supervisor.extend(_EXTENSION)

    def _look(self, now: float) -> None:
        if self._mirror is None:
            self._vigil = Vigil(now)  # what opens it has deadlines of its own, but for the journal's check
            return
        progress = self._mirror.progress()
        self._vigil = self._vigil.look(now, progress, sum(_read()))
        self._pace = self._pace.observe(progress)
        if now - self._told >= _STATUS:
            self._told = now
            self._supervisor.status(show_line(periodic(progress, self._pace)))


def _read() -> Iterator[int]:
    """Bytes that this process and its children have read, as far as the kernel tells: proc(5)."""
    children: list[str] = []
    for name in glob.iglob("/proc/self/task/*/children"):
        with contextlib.suppress(OSError), open(name, encoding="ascii") as file:
            children += file.read().split()
    for process in ("self", *children):
        with contextlib.suppress(OSError, ValueError), open(os.path.join("/proc", process, "io"), encoding="ascii") as file:
            yield int(file.readline().partition(":")[2])
