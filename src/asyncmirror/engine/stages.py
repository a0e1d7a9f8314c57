"""The stages of a run: scan, plan, work, journal and events, tied together and brought down in order.

Owns the stages' tasks and how they end: at the end of the tree, drained, stopped, or by a fatal error. Every task has a parent,
every arrow is a bounded channel. What the stages do is theirs; this room knows their order.

    scan threads ──plans──▶ distribute ──works──▶ workers ──outcomes──▶ recorder ──events──▶ the caller
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace

from asyncmirror.engine import mounts, orphans
from asyncmirror.engine.adopting import adopting
from asyncmirror.engine.channel import Channel
from asyncmirror.engine.crew import Alone, Crew
from asyncmirror.engine.deleting import Deleting
from asyncmirror.engine.distributing import Distributing
from asyncmirror.engine.forecast import Forecast
from asyncmirror.engine.pardon import pardon
from asyncmirror.engine.planner import Planner
from asyncmirror.engine.probing import Probing
from asyncmirror.engine.recorder import Recorder
from asyncmirror.engine.several import several
from asyncmirror.engine.workers import Workers
from asyncmirror.errors import AsyncmirrorError, BucketError, first
from asyncmirror.events import Deletions, Event, Progress
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Directory, Listing, Walker
from asyncmirror.store.assemble import Assembled

_EVENTS = 4_000


class Stages:
    """One run. Made on the loop that runs it; all methods belong to that loop's thread."""

    def __init__(
        self,
        settings: Settings,
        filters: Filters,
        beneath: Beneath,
        journal: Journal,
        store: Assembled,
        readers: ThreadPoolExecutor,
        probing: Probing,
        starts: Sequence[Directory],
    ) -> None:
        self.fatal: AsyncmirrorError | None = None
        self._settings = settings
        self._journal = journal
        self._store = store
        self._beneath = beneath
        self._readers = readers
        self._probing = probing
        self._scanning = True
        self._ending = False
        self._cut = False
        self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._outbox: Channel[Event] = Channel(_EVENTS)
        self._recorder = Recorder(journal, self._tell if settings.delete else self._outbox.offer, self.fail, self._halt)
        self._deleting: Deleting | None = None
        if settings.delete:
            self._deleting = Deleting(settings, filters, beneath, journal, store.store, self._recorder, self._outbox.room)
        self._filters = filters
        self._planner = Planner(settings, filters, journal, beneath)
        self._distributing = Distributing(settings, store.store, self._recorder, self._outbox)
        self._walker = Walker(beneath, filters, settings.symlinks, settings.stubs, self._emit, settings.tuning.scanners, starts)
        self._crew: Crew = Alone(settings, beneath, store, self._recorder, readers)
        self._workers = Workers(lambda: self._distributing.work(self._crew), settings.tuning.concurrency)

    async def run(self) -> None:
        """Run all stages to their end; the events end then, whatever happened.

        Raises:
            BaseExceptionGroup: A bug: whatever a stage raised that is no `AsyncmirrorError`.
        """
        self._task = asyncio.current_task()
        if self._probing.possible:
            self._recorder.hold()
        try:
            away = await mounts.away(self._journal, self._settings.source, self._beneath)
            if self._deleting is not None and away:
                self._deleting.refuse(mounts.tell(away))
            elif away:
                self._recorder.notice(mounts.tell(away))
            async with self._opened_crew() as self._crew, asyncio.TaskGroup() as group:
                self._crew.steer(self._settings.tuning)  # it may have been turned while the crew was made
                self._crew.pause(paused=self._paused)
                self._crew.spread_log_levels()
                if self._ending:
                    self._crew.drain()
                group.create_task(self._probe())
                group.create_task(self._scan())
                group.create_task(self._distributing.run())
                group.create_task(self._workers.run())
            if self._deleting is not None:
                await self._deleting.run()
            await self._recorder.finish()
            if not (self.stopped or self._settings.dry_run):
                if not (self._settings.subdirs or self._settings.only_failed):
                    await pardon(self._journal, self._settings, self._filters, self._beneath)
                await orphans.look(self._journal, self._store.store, self._planner.prefix, self._recorder.notice)
        except* AsyncmirrorError as errors:
            self.fatal = self.fatal or first(errors)
        except* asyncio.CancelledError:
            pass  # `stop` or `fail`: the summary tells
        finally:
            self._task = None
            self._recorder.release()
            try:
                await self._recorder.finish()
            finally:
                self._outbox.close()

    @property
    def stopped(self) -> bool:
        """Whether it was ended before it had come to its end: who tells it while the last files are in flight is too late."""
        return self._ending and (self._cut or self._recorder.left or self.fatal is not None)

    async def events(self) -> list[Event]:
        """The events since the last call, waiting for at least one; none means that the run is over."""
        return await self._outbox.take(_EVENTS)

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on."""
        self._settings = replace(self._settings, tuning=tuning)
        self._crew.steer(tuning)
        self._distributing.steer(tuning)
        self._workers.grow(tuning.concurrency)

    def pause(self, *, paused: bool) -> None:
        """Begin no request, or go on."""
        self._paused = paused
        self._crew.pause(paused=paused)

    def spread_log_levels(self) -> None:
        """Have uploader processes log from the levels on that loggers of this process have by now."""
        self._crew.spread_log_levels()

    def drain(self) -> None:
        """Begin nothing new, finish the requests in flight, then end."""
        self._end()
        self._cut = self._cut or self._scanning
        self._crew.drain()
        self._walker.stop()
        self._cut = self._distributing.drain() or self._cut

    def stop(self) -> None:
        """End at once; what is recorded by now is still written and told."""
        self._end()
        if self._task is not None:
            self._cut = True
            self._task.cancel()

    def progress(self, settled: dict[Outcome, int], settled_bytes: dict[Outcome, int], seconds: float) -> Progress:
        """The gauges now."""
        return Progress(
            scanning=self._scanning,
            scanned=self.scanned,
            scanned_bytes=self.scanned_bytes,
            queued=self._distributing.queued,
            queued_bytes=self._distributing.queued_bytes,
            settled=settled,
            settled_bytes=settled_bytes,
            bytes_sent=self.bytes_sent,
            requests=self.requests,
            seconds=seconds,
            slowest=self._crew.slowest(),
            flight=self._crew.flight,
            paused=self._paused,
            erasing=None if self._deleting is None else self._deleting.progress(),
            under_way=self._crew.under_way,
        )

    @property
    def forecast(self) -> Forecast | None:
        """What a run would do that is not dry; None where this one is not."""
        return self._distributing.forecast

    @property
    def scanned(self) -> int:
        """Entries that were found so far."""
        return self._distributing.scanned

    @property
    def scanned_bytes(self) -> int:
        """Their sizes."""
        return self._distributing.scanned_bytes

    @property
    def deletions(self) -> Deletions | None:
        """What was deleted; None where that was not asked for."""
        return None if self._deleting is None else self._deleting.result()

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        return self._crew.requests + self._probing.requests

    @property
    def bytes_sent(self) -> int:
        """Bytes of bodies sent so far."""
        return self._crew.bytes_sent

    @asynccontextmanager
    async def _opened_crew(self) -> AsyncIterator[Crew]:
        if not self._settings.send:
            async with adopting(self._settings, self._beneath, self._store, self._recorder, self._readers) as adopters:
                yield adopters
            return
        if self._settings.tuning.loops == 1 or self._settings.dry_run:
            yield self._crew
            return
        async with several(self._settings, self._store.limited, self._recorder, self.fail) as crew:
            yield crew

    def _end(self) -> None:
        self._ending = True
        self._distributing.end()
        if self._deleting is not None and not self._deleting.over:
            self._deleting.stop()
            self._cut = True

    def _tell(self, events: Iterable[Event]) -> None:
        """Pass events on, with a look at them: whether anything may be deleted depends on how the run went."""
        if self._deleting is not None:
            self._deleting.watch(events)
        self._outbox.offer(events)

    def _emit(self, listing: Listing) -> None:
        """In a scan thread: plan a listing, and wait while too many plans are ahead."""
        self._distributing.put(self._planner.plan(listing))

    def fail(self, error: AsyncmirrorError) -> None:
        """End the run because of an error that no file is to blame for."""
        self.fatal = self.fatal or error
        self.stop()

    def _halt(self, error: AsyncmirrorError) -> None:
        """End the run because of an error, but finish what is in flight."""
        self.fatal = self.fatal or error
        self.drain()

    async def _probe(self) -> None:
        """Find out what the store guarantees. Until it is known that it keeps bytes, no entry is complete."""
        try:
            await self._probing.find()
        except BucketError as error:
            self._recorder.discard()
            self.fail(error)
        else:
            self._recorder.release()
        for text in self._probing.notices:
            self._recorder.notice(text)

    async def _scan(self) -> None:
        """Run the scan threads; cancelled, wait for them to end."""
        scan = asyncio.get_running_loop().run_in_executor(None, self._walker.run)
        try:
            await asyncio.shield(scan)
        finally:
            self._walker.stop()
            self._distributing.scan_ended()
            await asyncio.wait([scan])
            scan.exception()  # raised above, unless this task was cancelled
            self._scanning = False
