"""The mirror, as the library's users have it: open as long as its process, with as many runs as are asked for.

Owns what outlives a run, in which order it is opened, and closed: journal, socket, store; and that a run begins only where
source and store are there. What failed in one run is opened anew for the next. A run itself is `run`'s.
"""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from asyncmirror.audit.agreed import META, RELEASES, agree, releases_of
from asyncmirror.engine.answering import answering
from asyncmirror.engine.control import Control
from asyncmirror.engine.descriptors import allow
from asyncmirror.engine.forecast import Forecast
from asyncmirror.engine.journals import belongs, default_journal, identify, on_network, see_in_place
from asyncmirror.engine.probing import Probing
from asyncmirror.engine.reach import Reach
from asyncmirror.engine.revisit import Revisit, Unsettled
from asyncmirror.engine.root import Place, Root, first_look, open_again, open_root
from asyncmirror.engine.run import Run, Sent
from asyncmirror.engine.status import Live
from asyncmirror.engine.steering import KNOBS, permit
from asyncmirror.engine.watch import unless, watch
from asyncmirror.errors import AsyncmirrorError, CredentialsError, UntrustedError
from asyncmirror.events import Event, Notice, Progress, Started, Waiting
from asyncmirror.journal import queries
from asyncmirror.journal.belongs import Belongs, need
from asyncmirror.journal.changes import Remember
from asyncmirror.journal.writer import Journal
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.plan.schedule import Schedule
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source.filesystem import threads
from asyncmirror.store.limits import allowance
from asyncmirror.store.port import Store

T = TypeVar("T")
_RENEWED = (CredentialsError, UntrustedError)
"""After these the store is opened anew: the AWS configuration or the CA bundle may have been put right since."""


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
            waiting: Until when no run goes on, between two of a mirror that is watched.
        """
        self.control = Control()
        self.waiting: Waiting | None = None
        self._settings = settings
        self._own_store = store
        self._resources = AsyncExitStack()
        self._reach = Reach(store)
        self._root: Root | None = None  # opened for the next run
        self._place: Place | None = None  # which directory the last one had
        self._sent = Sent()
        self._told: set[str] = set()  # what need not be said in every run
        self._run: Run | None = None  # the one going on
        self._last = Progress(running=False)  # how the last one ended
        self._failure: AsyncmirrorError | None = None
        self._ending = asyncio.Event()
        self._exit_code: int | None = None  # of a run that is told to end before its end
        self._paused: float | None = None

    async def __aenter__(self) -> Self:
        """Open source, journal and store, and make sure that work can begin.

        Raises:
            UsageError: The source is missing or no directory, a pattern is malformed, the journal is another destination's.
            SourceGoneError: The source is empty, and the journal has files of it.
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
            resources.callback(self._journal.close)
            self._file = await asyncio.to_thread(identify, path)
            await self._agree(path)
            self._notices = tuple(filter(None, (cut, on_network(path), await first_look(self._root, self._journal))))
            await resources.enter_async_context(answering(self.control, self._journal, self._live))
            resources.push_async_callback(self._reach.close)
            await self._reach.open(settings)
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
        """See that what is in the bucket keeps its keys, and put on record what goes where."""
        remaps = Remaps(self._settings.remaps)
        if await asyncio.wrap_future(self._journal.ask(lambda connection: agree(connection, remaps, path))):
            await asyncio.wrap_future(self._journal.submit((Remember(META, remaps.text()),)))
        within = self._settings.within
        if await asyncio.wrap_future(self._journal.ask(releases_of)) != within:
            await asyncio.wrap_future(self._journal.submit((Remember(RELEASES, json.dumps(within)),)))

    async def _ask_store(self) -> None:
        """Make sure that the store is there, and can do what is asked of it."""
        await self._reach.check(self._settings)
        self._probing = Probing(self._settings, self._journal, self._reach.store, self._told)
        if self._own_store is None:
            await self._probing.check_conditions()

    def _open_journal(self, path: Path, of: Belongs) -> Journal:
        if self._settings.only_failed:
            need(path)  # a new one would say that nothing had failed
        return Journal(path, of, read_only=self._settings.dry_run)

    async def _choose(self) -> Filters:
        """What the run looks at."""
        if not self._settings.only_failed:
            return self._filters
        unsettled = await asyncio.wrap_future(self._journal.ask(queries.unsettled_directories))
        return Revisit(self._settings.rules, Unsettled(*unsettled))

    async def run(self) -> AsyncGenerator[Event, None]:
        """Mirror. Gives events as they become true; the last is always a `Summary`. May be called again after that.

        A second or later run that is told to end before it has begun gives none.

        Raises:
            AsyncmirrorError: A second or later run could not begin, as `__aenter__` tells.
            BaseExceptionGroup: A bug: whatever a stage raised that is no `AsyncmirrorError`.
        """
        self.waiting = None
        if self._root is None:
            try:
                if not await unless(self._ending, self._get_ready()):
                    return
            except AsyncmirrorError as error:
                self._failure = error
                raise
        filters = await self._choose()
        assert self._root is not None
        root, self._root = self._root, None
        self._place = root.place
        run = self._run = Run(self._settings, filters, root, self._journal, self._reach.store, self._probing, self._sent)
        run.pause(paused=self.paused)
        if self._ending.is_set():
            run.drain(self._exit_code)
        notices = [text for text in (*self._notices, *self._reach.store.notices) if text not in self._told]
        self._told.update(notices)
        try:
            async with aclosing(run.events((self._started, *map(Notice, notices)))) as events:
                async for event in events:
                    yield event
            self._failure = run.fatal
        finally:
            self._last, self._run = run.progress(), None  # buffers and connections of a run go with it
        self._started = self._started._replace(resumed=True)

    def watch(self, schedule: Callable[[], Schedule]) -> AsyncGenerator[Event, None]:
        """Mirror again and again, until `drain` or `stop`. Gives the events of all runs; see `watch.watch`."""
        return watch(self, schedule)

    async def _get_ready(self) -> None:
        """Open what a second or later run needs anew, and what failed in the last.

        Raises:
            AsyncmirrorError: It can't be had, or used.
        """
        await asyncio.to_thread(see_in_place, self._journal.path, self._file)
        if self._journal.broken:
            await asyncio.wrap_future(self._journal.mend())
        root = await open_again(self._settings, self._journal, self._place)
        try:
            if isinstance(self._failure, _RENEWED):
                await self._reach.open(self._settings, paused=self.paused)
            limited = self._reach.store.limited
            limited.begin()
            self._sent = Sent(limited.requests, limited.bytes_sent)
            await self._ask_store()
        except BaseException:
            root.beneath.close()
            raise
        self._root = root

    @property
    def tuning(self) -> Tuning:
        """The tuning in force."""
        return self._settings.tuning

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on, in this run and in later ones. It is swapped whole.

        Raises:
            UsageError: It differs in something that can't be turned, or that this machine does not allow. Nothing was turned.
        """
        tuning = permit(self._settings.tuning, tuning)
        self._settings = replace(self._settings, tuning=tuning)
        self._reach.store.limited.steer(tuning)
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
        if self._ending.is_set():
            return  # what waits is turned away: it must come to its end
        if paused != self.paused:
            self._paused = time.time() if paused else None
        limited = self._reach.store.limited
        limited.pause() if paused else limited.resume()
        if self._run is not None:
            self._run.pause(paused=paused)

    def spread_log_levels(self) -> None:
        """Have uploader processes log from the levels on that loggers of this process have by now. Later ones do anyway."""
        if self._run is not None:
            self._run.spread_log_levels()

    def drain(self, exit_code: int | None = None) -> None:
        """Begin nothing new, finish the requests in flight, then end; resumable.

        Args:
            exit_code: What the summary of a run that this ends before its end has, and the journal; None: as of any other.
        """
        self._ending.set()
        self._exit_code = exit_code if self._exit_code is None else self._exit_code
        if self._run is not None:
            self._run.drain(self._exit_code)

    def stop(self) -> None:
        """End at once; resumable."""
        self._ending.set()
        if self._run is not None:
            self._run.stop()

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Have the journal answer a question, from any thread, while the mirror is open. Fails with `JournalError`."""
        return self._journal.ask(question)

    @property
    def forecast(self) -> Forecast | None:
        """What a sync would do that is no dry run, as the last run saw it; None where that was no dry run."""
        return None if self._run is None else self._run.forecast

    def progress(self) -> Progress:
        """The gauges now. Between runs they stand as the last one left them."""
        progress = self._last._replace(paused=self.paused) if self._run is None else self._run.progress()
        return progress._replace(waiting=self.waiting, allowance=allowance(self.tuning))

    def _live(self) -> Live:
        return Live(self.progress(), {knob.name: knob.show(self.tuning) for knob in KNOBS}, self._paused)

    @property
    def failure(self) -> AsyncmirrorError | None:
        """What the last run could not begin or go on for; None where it came to its end."""
        return self._failure

    async def wait(self, seconds: float) -> bool:
        """Wait between two runs; whether nobody has asked this mirror to end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return not self._ending.is_set()
