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
_MOST_HELD = 10_000


class Recorder:
    """Takes outcomes to the journal, and events to `tell`.

    Attributes:
        left: Whether something is left to another run.
    """

    def __init__(
        self,
        journal: Journal,
        tell: Callable[[Iterable[Event]], None],
        fail: Callable[[JournalError], None],
        halt: Callable[[AsyncmirrorError], None],
    ) -> None:
        self.halt = halt
        self.left = False
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
        self._void = False
        self._released = asyncio.Event()
        self._released.set()

    def hold(self) -> None:
        """Keep outcomes back from now on: it is being found out whether what the store confirms is true."""
        self._released.clear()

    def release(self) -> None:
        """Let go of what was kept back."""
        self._released.set()
        self._flush()

    def discard(self) -> None:
        """Forget what was kept back, and what may still come: it is not true."""
        self._void = True
        self._events, self._changes = [], []
        self.release()
        if not self._writing:
            self._idle.set()

    async def room(self) -> None:
        """Wait while too much is kept back."""
        if len(self._events) >= _MOST_HELD:
            await self._released.wait()

    def settle(self, work: Work, outcome: Outcome, reason: str = "", change: Change | None = None) -> None:
        """An entry reached its outcome."""
        self.left = self.left or outcome is Outcome.PENDING
        self.add((Settled(work.path, work.key, outcome, work.size, reason),), () if change is None else (change,))

    def add(self, events: Iterable[Event], changes: Iterable[Change]) -> None:
        """Tell events once changes are committed."""
        if self._void:
            return
        self._events.extend(events)
        self._changes.extend(changes)
        if not (self._events or self._changes):
            return
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
        """Have the journal keep something before going on; what was gathered before goes first, unless it is held.

        Raises:
            JournalError: It could not.
        """
        self._flush()
        await asyncio.wrap_future(self._journal.submit((change,)))

    async def finish(self) -> None:
        """Wait until everything is written and told."""
        await self._released.wait()
        self._flush()
        await self._idle.wait()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._released.is_set() or not (self._events or self._changes):
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
