"""The mirror, as the library's users have it: open as long as its process, with as many runs as are asked for.

Owns what outlives a run, in which order it is opened, and closed: journal, socket, store; and that a run begins only where
source and store are there. A run itself is `run`'s.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from asyncmirror.audit.agreed import META, agree
from asyncmirror.engine.answering import answering
from asyncmirror.engine.control import Control
from asyncmirror.engine.descriptors import allow
from asyncmirror.engine.journals import belongs, default_journal
from asyncmirror.engine.probing import Probing
from asyncmirror.engine.revisit import Revisit, Unsettled
from asyncmirror.engine.root import Root, open_root
from asyncmirror.engine.run import Run, Sent
from asyncmirror.engine.status import Live
from asyncmirror.engine.steering import KNOBS, permit
from asyncmirror.errors import AsyncmirrorError, BucketError, StoreError, UnreachableError
from asyncmirror.events import Event, Notice, Progress, Started
from asyncmirror.journal import queries
from asyncmirror.journal.changes import Remember
from asyncmirror.journal.writer import Belongs, Journal
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source.filesystem import is_local, kind, threads
from asyncmirror.store.assemble import Assembled, assemble
from asyncmirror.store.port import Store

T = TypeVar("T")
_PATIENCE = 30.0
"""Seconds in which the store must have answered before anything is begun: somebody is waiting."""


class Mirror:
    """Mirrors one tree into one bucket.

    ``async with Mirror(settings) as mirror: async for event in mirror.run(): …``. All methods belong to the loop's thread.
    """

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: What to mirror, where to, and how.
            store: A store of one's own, undecorated; None: the S3 bucket that the settings name.

        Attributes:
            control: What this process can be asked and told over its socket, while the mirror is open.
        """
        self.control = Control()
        self._settings = settings
        self._own_store = store
        self._resources = AsyncExitStack()
        self._root: Root | None = None  # opened for the next run
        self._sent = Sent()
        self._run: Run | None = None  # the last one, or the one going on
        self._drained = False
        self._paused: float | None = None

    async def __aenter__(self) -> Self:
        """Open source, journal and store, and make sure that work can begin.

        Raises:
            UsageError: The source is missing or no directory, a pattern is malformed, the journal is another destination's.
            JournalError: The journal can't be opened.
            StoreError: The store can't be reached or used.
        """
        settings, resources = self._settings, self._resources
        try:
            self._filters = Filters(settings.rules)
            resources.callback(self._close_root)
            self._root = await open_root(settings)
            counts = threads(settings.source, settings.tuning.scanners, settings.tuning.readers)
            tuning, cut = allow(replace(settings.tuning, **counts._asdict()))
            self._settings = settings = replace(settings, tuning=tuning)
            of = belongs(settings.source, settings.destination, settings.connection)
            path = settings.journal or default_journal(of)
            self._journal = await asyncio.to_thread(self._open_journal, path, of)
            self._notices = tuple(filter(None, (cut, _network(path))))
            resources.callback(self._journal.close)
            await self._agree(path)
            await resources.enter_async_context(answering(self.control, self._journal, self._live))
            self._store: Assembled = await resources.enter_async_context(assemble(settings, self._own_store))
            await self._ask_store()
        except BaseException:
            await resources.aclose()
            raise
        self._started = Started(of.source, of.destination, str(path), resumed=self._journal.resumed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened.

        Raises:
            JournalError: The journal could not be closed.
        """
        await self._resources.aclose()

    def _close_root(self) -> None:
        if self._root is not None:
            self._root.beneath.close()
            self._root = None

    async def _agree(self, path: Path) -> None:
        """See that what is in the bucket keeps its keys, and put the remaps on record."""
        remaps = Remaps(self._settings.remaps)
        if await asyncio.wrap_future(self._journal.ask(lambda connection: agree(connection, remaps, path))):
            await asyncio.wrap_future(self._journal.submit((Remember(META, remaps.text()),)))

    async def _ask_store(self) -> None:
        """Make sure that the store is there, and can do what is asked of it."""
        await self._check_bucket()
        self._probing = Probing(self._settings, self._journal, self._store)
        if self._own_store is None:
            await self._probing.check_conditions()

    async def _check_bucket(self) -> None:
        """Make sure that the store can be worked with. What it refuses now is no file's failure: the run can't begin."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._store.first.check_bucket(self._settings.destination.prefix)
        except TimeoutError:
            where = str(self._settings.destination)
            hint = "check --endpoint-url and the network"
            raise UnreachableError(f"the store did not answer within {_PATIENCE:.0f} s", path=where, hint=hint) from None
        except StoreError as error:
            if error.fatal:
                raise
            hint = error.hint or "nothing was begun: run the same command again when the store is well"
            raise BucketError(
                error.message, op=error.op, path=error.path, hint=hint, status=error.status, code=error.code
            ) from error

    def _open_journal(self, path: Path, of: Belongs) -> Journal:
        return Journal(path, of, read_only=self._settings.dry_run)

    async def _choose(self) -> Filters:
        """What the run looks at."""
        if not self._settings.only_failed:
            return self._filters
        unsettled = await asyncio.wrap_future(self._journal.ask(queries.unsettled_directories))
        return Revisit(self._settings.rules, Unsettled(*unsettled))

    async def run(self) -> AsyncGenerator[Event, None]:
        """Mirror. Gives events as they become true; the last is always a `Summary`. May be called again after that.

        Raises:
            AsyncmirrorError: A second or later run could not begin, as `__aenter__` tells.
            BaseExceptionGroup: A bug: whatever a stage raised that is no `AsyncmirrorError`.
        """
        if self._root is None:
            limited = self._store.limited
            self._sent = Sent(limited.requests, limited.bytes_sent)
            self._root = await open_root(self._settings)
            try:
                await self._ask_store()
            except BaseException:
                self._close_root()
                raise
        filters = await self._choose()
        root, self._root = self._root, None
        run = self._run = Run(self._settings, filters, root, self._journal, self._store, self._probing, self._sent)
        run.pause(paused=self.paused)
        if self._drained:
            run.drain()
        notices = map(Notice, (*self._notices, *self._store.notices))
        async with aclosing(run.events((self._started, *notices))) as events:
            async for event in events:
                yield event
        self._started = self._started._replace(resumed=True)

    @property
    def tuning(self) -> Tuning:
        """The tuning in force."""
        return self._settings.tuning

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on, in this run and in later ones. It is swapped whole.

        Raises:
            UsageError: It differs in something that can't be turned, or that this machine does not allow. Nothing was turned.
        """
        permit(self._settings.tuning, tuning)
        self._settings = replace(self._settings, tuning=tuning)
        self._store.limited.steer(tuning)
        if self._run is not None:
            self._run.steer(tuning)

    @property
    def paused(self) -> bool:
        """Whether requests are held back until `resume`."""
        return self._paused is not None

    def pause(self) -> None:
        """Begin no request until `resume`; those in flight end, and the scan goes on until it is far enough ahead."""
        self._hold(paused=True)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._hold(paused=False)

    def _hold(self, *, paused: bool) -> None:
        if self._drained:
            return  # what waits is turned away: it must come to its end
        if paused != self.paused:
            self._paused = time.time() if paused else None
        limited = self._store.limited
        limited.pause() if paused else limited.resume()
        if self._run is not None:
            self._run.pause(paused=paused)

    def drain(self) -> None:
        """Begin nothing new, finish the requests in flight, then end; resumable."""
        self._drained = True
        if self._run is not None:
            self._run.drain()

    def stop(self) -> None:
        """End at once; resumable."""
        self._drained = True
        if self._run is not None:
            self._run.stop()

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have the journal answer a question, from any thread, while the mirror is open. Fails with `JournalError`."""
        return self._journal.ask(question)

    def progress(self) -> Progress:
        """The gauges now. Between runs they stand as the last one left them."""
        return Progress(running=False, paused=self.paused) if self._run is None else self._run.progress()

    def _live(self) -> Live:
        return Live(self.progress(), {knob.name: knob.show(self.tuning) for knob in KNOBS}, self._paused)

    @property
    def fatal(self) -> AsyncmirrorError | None:
        """What ended the last run before its end; None where nothing did."""
        return None if self._run is None else self._run.fatal


def _network(journal: Path) -> str:
    """What the user should know of the file system that the journal lies on; empty where it is this machine's own."""
    found = kind(journal)
    if not found or is_local(found):
        return ""
    return f"the journal lies on {found}: it is locked for this run alone and used without shared memory, which is safe there"
