"""Who follows a run while it goes on: the screen, the JSON lines, a log, a supervisor, somebody who is to be told.

Owns the one form that all of them have, and what they may know of the engine. When which of its methods is called, `cli.sync`
decides. Knows no follower.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, TypeVar

from asyncmirror.engine.control import Control
from asyncmirror.events import Event, Progress
from asyncmirror.plan.schedule import Schedule
from asyncmirror.settings import Tuning

if TYPE_CHECKING:
    from asyncmirror.engine.forecast import Forecast

T = TypeVar("T")


class Mirroring(Protocol):
    """What is needed of `engine.mirror.Mirror`."""

    def run(self) -> AsyncIterator[Event]:
        """Do it; the last event is a `Summary`."""
        ...

    def watch(self, schedule: Callable[[], Schedule]) -> AsyncIterator[Event]:
        """Do it again and again, until `drain` or `stop`."""
        ...

    def drain(self, exit_code: int | None = None) -> None:
        """Finish what is in flight; `exit_code` is that of a run which is so ended before its end."""
        ...

    def stop(self) -> None:
        """End at once."""
        ...

    @property
    def forecast(self) -> "Forecast | None":
        """What a sync would do, where this one is a dry run."""
        ...

    def progress(self) -> Progress:
        """The gauges now."""
        ...

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have the journal answer a question, from any thread, while the mirror is open."""
        ...

    @property
    def control(self) -> Control:
        """What it can be asked and told over its socket."""
        ...

    @property
    def tuning(self) -> Tuning:
        """The tuning in force."""
        ...

    def steer(self, tuning: Tuning) -> None:
        """Go by another."""
        ...

    @property
    def paused(self) -> bool:
        """Whether requests are held back."""
        ...

    def pause(self) -> None:
        """Begin no request."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...

    def spread_log_levels(self) -> None:
        """Have all processes of it log as this one does by now."""
        ...


class Tap(AbstractAsyncContextManager["Tap"]):
    """A follower; this one pays no heed to anything, and each overrides what it needs.

    Entered before the mirror is opened and left after it is closed: an error that `__aexit__` is given ends the command.
    All is called on the event loop. What may wait for somebody (a terminal, a pipe, a network) waits in a thread or in what
    `tell` gives: a follower that is held up must not hold up the requests, nor another follower's looks.
    """

    interval: ClassVar[float | None] = None
    """Seconds between two looks at the gauges; None: it never looks."""

    async def __aenter__(self) -> Self:
        """Get ready."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say the last of it, and let go of what is held."""

    async def opened(self, mirror: Mirroring) -> None:
        """The journal is open and the store answered. Called once, before the first event."""

    def tell(self, event: Event) -> Awaitable[None] | None:
        """Something happened. Called some 10,000 times a second; what it gives is awaited before the next event is told."""

    async def look(self, progress: Progress) -> None:
        """The gauges at this moment. Called every `interval` while the mirror is open, the next after this one is done."""

    def stopping(self, *, at_once: bool) -> None:
        """A signal ends it: what is in flight is finished, or (the second one) not even that."""

    def reloading(self, *, done: bool) -> None:
        """The configuration is about to be read again, or has been."""
