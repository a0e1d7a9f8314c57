"""How far a look has come, kept on record while it goes, so that one that reads for days may be stopped.

Owns which objects need not be read again, and how often that is noted. Objects are announced in the order of their keys and
done in any; what is on record is the key up to which nothing is left. What agreed is not read again, what did not is. A look
that reads nothing but the listing has nothing to go on with: only its end is noted. The rows are `journal.looks`'.
"""

import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from asyncmirror.audit.sidecars import is_sidecar
from asyncmirror.journal import looks, queries
from asyncmirror.journal.looks import Look
from asyncmirror.journal.ordered import Kept
from asyncmirror.settings import Verification

Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""Calls a function of the journal's connection, with more arguments, in the journal's thread."""

_AGE = 30 * 24 * 3600.0
"""Seconds after which what was read says too little of what is there: a look that began before is not gone on with."""
_SAVE = 1.0
"""Seconds between two notes of how far it is."""


class Headway:
    """That of one look. `earlier` counts objects that were read before it was stopped; `began` is when it began at first."""

    def __init__(self, asked: Verification, ask: Ask) -> None:
        """Prepare; nothing is asked yet."""
        self.began = time.time()
        self.earlier = 0
        self._ask = ask
        self._asked = asked
        self._kind = " ".join(name for name in ("deep", "download", "sidecars") if getattr(asked, name))
        self._look = Look(0, self.began, "")
        self._behind = ""
        self._saved = 0.0
        self._pending: deque[str] = deque()
        self._done: set[str] = set()

    @property
    def reads(self) -> bool:
        """Whether it is a look that reads."""
        return bool(self._kind)

    async def begin(self) -> None:
        """Go on where one of this kind, at the same source, was stopped, or begin one.

        Raises:
            JournalError: The journal failed; so do the others.
        """
        if self.reads:
            since = self.began - (0 if self._asked.restart else _AGE)
            self._look = await self._ask(looks.begin, self._kind, await self._source(), self.began, since)
            self.began, self._behind = self._look.began, self._look.behind

    async def _source(self) -> str:
        """The source that is read, as the journal names sources; none where only the bucket is."""
        if not (self._asked.deep or self._asked.sidecars):
            return ""
        if self._asked.source is None:
            return str((await self._ask(queries.meta)).get("source", ""))
        return _shown(self._asked.source)

    def announce(self, rows: Iterable[Kept]) -> None:
        """These are going to be looked at next."""
        if self.reads:
            self._pending.extend(row.key for row in rows)

    async def read(self, rows: Sequence[Kept]) -> frozenset[str]:
        """The keys of those of these objects that were read, and agreed, before the look was stopped."""
        if not rows or rows[0].key > self._look.behind:
            return frozenset()
        found: frozenset[str] = await self._ask(looks.read_before, self._look, rows)
        if self._asked.sidecars:  # what one says is true of all that it stands with
            for row in rows:
                if row.key in found and is_sidecar(row) and await self._ask(looks.stirred, row.parent):
                    found -= {row.key}
        return found

    async def amiss(self, kept: Kept) -> None:
        """An object, or what a checksum file names, does not agree: who goes on reads it again."""
        if self.reads:
            await self._ask(looks.note, kept)

    async def done(self, kept: Kept) -> None:
        """An object has been looked at, and what is amiss with it was told."""
        if not self.reads:
            return
        self._done.add(kept.key)
        while self._pending and self._pending[0] in self._done:
            key = self._pending.popleft()
            self._done.discard(key)
            self._behind = max(self._behind, key)
        now = time.monotonic()
        if now - self._saved >= _SAVE:
            self._saved = now
            await self.save()

    async def save(self) -> None:
        """Note how far it is."""
        if self.reads:
            await self._ask(looks.advance, self._look, self._behind)

    async def end(self, exit_code: int) -> None:
        """Note what it came to."""
        if self.reads:
            await self._ask(looks.end, self._look, time.time(), exit_code)
        else:
            await self._ask(looks.record, self.began, time.time(), exit_code)


def _shown(source: Path) -> str:
    """A source as the journal names it."""
    return os.fsencode(os.path.realpath(source)).decode("utf-8", "backslashreplace")
