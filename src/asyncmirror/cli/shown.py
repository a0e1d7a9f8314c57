"""What follows a run for people: the screen, and the list of what a dry run would send.

Owns what is known so far, for the screen to show, and that a terminal that is held or gone is no reason to hold up a run. How
it looks is `cli.screen`'s.
"""

import asyncio
import contextlib
import sys
from types import TracebackType
from typing import ClassVar

from asyncmirror.cli.fold import State, fold
from asyncmirror.cli.forecast import Ask, lines, width
from asyncmirror.cli.screen import Screen
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.events import Deletion, Event, Fate, Progress, Settled, Summary
from asyncmirror.model import Outcome
from asyncmirror.plan.prices import Quote
from asyncmirror.rates import Pace
from asyncmirror.text import show_name


class Shown(Tap):
    """Shows a run on a screen. `state` is what is known so far."""

    interval: ClassVar[float | None] = 0.25

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._pace = Pace()
        self.state = State()

    def tell(self, event: Event) -> None:
        """Keep it for the next look."""
        self.state = fold(self.state, event)

    async def look(self, progress: Progress) -> None:
        """Show how far it is."""
        self._pace = self._pace.observe(progress)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._screen.refresh, self.state, progress, self._pace)

    def say(self, text: str) -> None:
        """Say one thing at once."""
        with contextlib.suppress(OSError):
            self._screen.say(text)

    def stopping(self, *, at_once: bool) -> None:
        """Say so, or leave the terminal as it was: the next signal kills."""
        if at_once:
            with contextlib.suppress(OSError):
                self._screen.close()
        elif self.state.waiting is None:
            self.say("stopping: finishing what is in flight; again to stop at once")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show what came of it."""
        with contextlib.suppress(OSError):
            self._screen.close()
            if error is None:
                self._screen.end(self.state)


class Listing(Tap):
    """What a dry run, or the run after one that adopts, would send, a line each on stdout: that is what it is asked for.

    Below the lines of a dry run stands what they come to, as `asyncmirror plan` says it, reckoned with these prices.
    """

    def __init__(self, prices: Quote) -> None:
        self._asked = Ask(quote=prices)
        self._mirror: Mirroring | None = None

    async def opened(self, mirror: Mirroring) -> None:
        """Keep it, to ask for the sum."""
        self._mirror = mirror

    def tell(self, event: Event) -> None:
        """Write it if it is one."""
        if isinstance(event, Settled) and event.outcome is Outcome.PENDING:
            sys.stdout.write(f"({event.reason}) {show_name(event.path)}\n")
        elif isinstance(event, Deletion) and event.fate is Fate.PLANNED:
            sys.stdout.write(f"(dry run: delete) {show_name(event.key.encode('utf-8', 'surrogateescape'))}\n")
        elif isinstance(event, Summary) and self._mirror is not None and (found := self._mirror.forecast) is not None:
            sys.stdout.write("".join(f"{line}\n" for line in ("", *lines(found, self._asked, width()))))
