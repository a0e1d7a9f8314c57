"""What the store guarantees, as one run knows it: from the journal, or asked while the run goes on.

Owns how long an answer holds, the nonce that makes a killed probe's objects be found again, and what a run does about a store
that does not keep bytes. What is asked is `store.probe`'s, what follows from the answers `store.guarantees`'. A probe writes
only below the destination's prefix; where it may not, nothing is known, and a run says nothing of it: `doctor` does.
"""

import asyncio
import secrets
import time
from collections.abc import Callable

from asyncmirror.errors import BucketError, UsageError
from asyncmirror.journal import queries
from asyncmirror.journal.changes import Remember
from asyncmirror.journal.writer import Journal
from asyncmirror.settings import Settings
from asyncmirror.store import guarantees as names
from asyncmirror.store.assemble import Assembled
from asyncmirror.store.guarantees import Guarantees, shortfalls
from asyncmirror.store.probe.probe import Probe
from asyncmirror.store.probe.scratch import Asking

HOLDS = 7 * 86400.0
"""Seconds after which a store is asked again: it may have been replaced or put right."""
_FOUND, _NONCE = "guarantees", "probe"
_CONDITIONS = (names.CONDITIONAL_PUT, names.CONDITIONAL_COMPLETE)
_REMEDY = "without the flag an object that is there is overwritten; give the mirror a prefix of its own instead"
_MORE = "asyncmirror doctor tells more"


class Probing:
    """What one run finds out. `notices` and `requests` fill as it goes on."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        store: Assembled,
        told: set[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare it. What is in `told` is not told again; what is told is added to it."""
        self.notices: list[str] = []
        self._told = set() if told is None else told
        self._settings = settings
        self._algorithm = settings.objects.algorithm
        self._journal = journal
        self._store = store
        self._clock = clock
        self._probe: Probe | None = None
        self._known: Guarantees | None = None

    @property
    def possible(self) -> bool:
        """Whether this run may ask its store at all. Amazon's documentation tells all; a dry run writes nothing."""
        return self._settings.probe and not self._settings.dry_run and self._store.wire is not None and not self._store.amazon

    @property
    def requests(self) -> int:
        """Requests sent for it."""
        return 0 if self._probe is None else self._probe.requests

    async def find(self) -> Guarantees:
        """What the store guarantees; all unknown where it may not be asked.

        Raises:
            BucketError: It does not keep the bytes that it is sent: nothing in it can be complete.
            JournalError: What was found can't be kept.
        """
        if self._known is None:
            self._known = await self._find()
        if self._known.lacks(names.KEEPS_BYTES):
            raise BucketError(
                f"this store does not keep bytes as they are sent ({self._known.of(names.KEEPS_BYTES).why})",
                path=str(self._settings.destination),
                hint="nothing was journalled as complete; look for what stands before the store: a gateway that frames bodies",
            )
        return self._known

    async def check_conditions(self) -> None:
        """Make sure that a run that must not overwrite can be kept from it; who gave ``--no-probe`` vouches for the store.

        Raises:
            UsageError: The store ignores the condition, or nobody can tell.
            BucketError, JournalError: As `find`.
        """
        if self._settings.objects.overwrite or not self._settings.probe or self._settings.dry_run:
            return
        known = await self.find()
        for name in _CONDITIONS:
            if known.lacks(name):
                raise UsageError(f"--no-overwrite can't be kept here: {names.TABLE[name].missing}", hint=_REMEDY)
            if not known.gives(name):
                why = known.of(name).why or "it could not be tried"
                raise UsageError(
                    f"whether this store can be told not to overwrite is not known: {why}",
                    hint="asyncmirror doctor tells more; --no-probe takes your word for it",
                )

    async def _find(self) -> Guarantees:
        if self._store.amazon:
            return Guarantees.documented()
        wire = self._store.wire
        if wire is None or not self.possible:
            return Guarantees()
        meta = await asyncio.wrap_future(self._journal.ask(queries.meta))
        known = Guarantees.from_text(meta.get(_FOUND, ""))
        if known is None or not self._holds(known):
            known = await self._ask(wire, meta.get(_NONCE, ""))
        told = shortfalls(known, self._algorithm, signed=self._store.signed)
        if told:
            self._tell(f"this store does not give every guarantee: {'; '.join(told)} ({_MORE})")
        return known

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.notices.append(text)

    def _holds(self, known: Guarantees) -> bool:
        """Whether an answer on record is young enough, says what this run must know, and lets it go on."""
        if not (self._settings.objects.overwrite or set(_CONDITIONS) <= known.verdicts.keys()):
            return False
        young = 0 <= self._clock() - known.at < HOLDS
        told = not known.verdicts or names.verifies(self._algorithm) in known.verdicts
        return young and told and not known.lacks(names.KEEPS_BYTES)

    async def _ask(self, wire: Asking, left: str) -> Guarantees:
        """Ask the store. `left` is the nonce of a probe that was killed: this one takes its place and removes what it left."""
        nonce = left or secrets.token_hex(8)
        await self._keep(_NONCE, nonce)
        signed = self._settings.connection.sign_request
        self._probe = Probe(wire, self._settings.destination.prefix, nonce, self._settings.objects, signed=signed)
        probed = await self._probe.brief(self._algorithm, conditional=not self._settings.objects.overwrite)
        for key in probed.left:
            self._tell(f"{key!r}, made to see what this store verifies, could not be removed: remove it")
        if not probed.interrupted:
            await self._keep(_FOUND, probed.guarantees.to_text())
        await self._keep(_NONCE, "")
        return probed.guarantees

    async def _keep(self, key: str, value: str) -> None:
        await asyncio.wrap_future(self._journal.submit((Remember(key, value),)))
