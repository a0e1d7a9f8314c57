"""Outcomes on their way: gathered, journalled in groups, and told once they are committed.

Owns the order "journal first, then tell". Implements `transfer.work.Ledger`. Runs on the event loop; the journal's thread does
the writing. Nothing is told that a `kill -9` at that moment could take back.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from asyncmirror.errors import AsyncmirrorError, JournalError
from asyncmirror.events import Event, Notice, Settled
from asyncmirror.journal.changes import Change
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.transfer.work import Work

if TYPE_CHECKING:
    from concurrent.futures import Future

_GATHER = 0.02
"""Seconds for which outcomes are gathered before they go to the journal together."""
_MOST = 512


class Recorder:
    """Takes outcomes to the journal, and events to `tell`."""

    def __init__(
        self,
        journal: Journal,
        tell: Callable[[Iterable[Event]], None],
        fail: Callable[[JournalError], None],
        halt: Callable[[AsyncmirrorError], None],
    ) -> None:
        self.halt = halt
        self._journal = journal
        self._tell = tell
        self._fail = fail
        self._noticed: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._changes: list[Change] = []
        self._events: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def settle(self, work: Work, outcome: Outcome, reason: str = "", change: Change | None = None) -> None:
        """An entry reached its outcome."""
        self.add((Settled(work.path, work.key, outcome, work.size, reason),), () if change is None else (change,))

    def add(self, events: Iterable[Event], changes: Iterable[Change]) -> None:
        """Tell events once changes are committed."""
        self._events.extend(events)
        self._changes.extend(changes)
        self._idle.clear()
        if len(self._events) >= _MOST:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_GATHER, self._flush)

    def notice(self, text: str) -> None:
        """Tell the user something that is no entry's outcome; once, though several processes notice it."""
        if text not in self._noticed:
            self._noticed.add(text)
            self._tell((Notice(text),))

    async def commit(self, change: Change) -> None:
        """Have the journal keep something before going on; what was gathered before goes first.

        Raises:
            JournalError: It could not.
        """
        self._flush()
        await asyncio.wrap_future(self._journal.submit((change,)))

    async def finish(self) -> None:
        """Wait until everything is written and told."""
        self._flush()
        await self._idle.wait()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._events and not self._changes:
            return
        events, changes = self._events, self._changes
        self._events, self._changes = [], []
        self._writing += 1

        def written(future: "Future[None]") -> None:
            self._loop.call_soon_threadsafe(self._written, events, future)

        self._journal.submit(changes).add_done_callback(written)

    def _written(self, events: list[Event], future: "Future[None]") -> None:
        self._writing -= 1
        if not self._writing and not self._events:
            self._idle.set()
        error = future.exception()
        if isinstance(error, JournalError):
            self._fail(error)
        elif error is not None:
            raise error
        else:
            self._tell(events)
