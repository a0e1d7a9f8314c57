"""The run: scan, plan, work, journal and events, tied together and brought down in order.

Owns the stages' tasks and how a run ends: at its end, drained, stopped, or by a fatal error. Every task has a parent, every
arrow is a bounded channel. What the stages do is theirs; this room knows only their order.

    scan threads ──plans──▶ distribute ──works──▶ workers ──outcomes──▶ recorder ──events──▶ the caller
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncmirror.engine.answer import answering, socket_path
from asyncmirror.engine.channel import Channel
from asyncmirror.engine.journals import belongs, default_journal
from asyncmirror.engine.planner import Plan, Planner
from asyncmirror.engine.recorder import Recorder
from asyncmirror.engine.tally import Tally
from asyncmirror.errors import AsyncmirrorError, BucketError, StoreError, first
from asyncmirror.events import Event, Notice, Progress, Settled, Started, Summary
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.hops import INLINE_MOST
from asyncmirror.settings import Settings
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Listing, Walker
from asyncmirror.store.assemble import Assembled, assemble
from asyncmirror.store.port import Store
from asyncmirror.transfer.upload import Uploader, is_plain
from asyncmirror.transfer.work import Work

_PLANS = 16  # listings between scan and distribution, of at most 1,000 files each
_WORKS = 2_000
_EVENTS = 4_000
_SLOWEST = 5


class Mirror:
    """Mirrors one tree into one bucket.

    ``async with Mirror(settings) as mirror: async for event in mirror.run(): …``. All methods belong to the loop's thread.
    """

    def __init__(self, settings: Settings, store: Store | None = None) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: What to mirror, where to, and how.
            store: A store of one's own, undecorated; None: the S3 bucket that the settings name.
        """
        self._settings = settings
        self._own_store = store
        self._resources = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self._fatal: AsyncmirrorError | None = None
        self._scanning = True
        self._working = True
        self._ready = False
        self._stopped = False
        self._scanned = 0
        self._scanned_bytes = 0
        self._queued_bytes = 0
        self._tally = Tally()
        self._summary: Summary | None = None
        self._began = time.monotonic()

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
            self._beneath = Beneath(settings.source)
            resources.callback(self._beneath.close)
            self._readers = ThreadPoolExecutor(settings.tuning.readers, "read")
            resources.callback(self._readers.shutdown, cancel_futures=True)
            of = belongs(settings.source, settings.destination, settings.connection)
            self._started = Started(of.source, of.destination, "", resumed=False)
            path = settings.journal or default_journal(of)
            self._journal = await asyncio.to_thread(self._open_journal, path)
            resources.callback(self._close_journal)
            await resources.enter_async_context(answering(self._journal, socket_path(path)))
            self._store: Assembled = await resources.enter_async_context(assemble(settings, self._own_store))
            await self._check_bucket()
        except BaseException:
            await resources.aclose()
            raise
        self._started = self._started._replace(journal=str(path), resumed=self._journal.resumed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened.

        Raises:
            JournalError: The end of the run could not be journalled.
        """
        await self._resources.aclose()

    async def _check_bucket(self) -> None:
        """Make sure that the store can be worked with. What it refuses now is no file's failure: the run can't begin."""
        try:
            await self._store.store.check_bucket(self._settings.destination.prefix)
        except StoreError as error:
            if error.fatal:
                raise
            hint = error.hint or "nothing was begun: run the same command again when the store is well"
            raise BucketError(
                error.message, op=error.op, path=error.path, hint=hint, status=error.status, code=error.code
            ) from error

    def _open_journal(self, path: Path) -> Journal:
        settings = self._settings
        of = belongs(settings.source, settings.destination, settings.connection)
        return Journal(path, of, read_only=settings.dry_run, endpoint=socket_path(path))

    def _close_journal(self) -> None:
        summary = self._summary
        self._journal.close(None if summary is None else summarize(summary))

    async def run(self) -> AsyncGenerator[Event, None]:
        """Mirror. Gives events as they become true; the last is always a `Summary`.

        Raises:
            BaseExceptionGroup: A bug: whatever a stage raised that is no `AsyncmirrorError`.
        """
        self._began = time.monotonic()
        self._outbox: Channel[Event] = Channel(_EVENTS)
        self._plans: Channel[Plan] = Channel(_PLANS)
        self._works: Channel[Work] = Channel(_WORKS)
        self._recorder = Recorder(self._journal, self._outbox.offer, self._fail)
        self._uploader = Uploader(self._settings, self._beneath, self._store.store, self._recorder, self._readers)
        self._planner = Planner(self._settings, self._filters, self._journal)
        options, threads = self._settings, self._settings.tuning.scanners
        self._walker = Walker(self._beneath, self._filters, options.symlinks, options.stubs, self._emit, threads)
        self._ready = True
        if self._stopped:
            self.drain()  # asked for before there was anything to drain
        yield self._started
        for notice in self._store.notices:
            yield Notice(notice)
        self._task = asyncio.create_task(self._stages())
        try:
            while events := await self._outbox.take(_EVENTS):
                self._tally.add(events)
                for event in events:
                    yield event
            await self._task
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._summary = self._summarize()
        yield self._summary

    def drain(self) -> None:
        """Begin nothing new, finish the requests in flight, then end; resumable."""
        self._stopped = True
        if self._ready:
            self._uploader.draining = True
            self._walker.stop()
            self._plans.close()
            self._works.clear()
            self._works.close()
            self._queued_bytes = 0

    def stop(self) -> None:
        """End at once; resumable."""
        self._stopped = True
        self._cancel()

    def progress(self) -> Progress:
        """The gauges now."""
        running = self._ready
        return Progress(
            scanning=self._scanning,
            scanned=self._scanned,
            scanned_bytes=self._scanned_bytes,
            queued=len(self._works) if running else 0,
            queued_bytes=self._queued_bytes,
            settled=dict(self._tally.counts),
            settled_bytes=dict(self._tally.bytes),
            bytes_sent=self._store.limited.bytes_sent,
            requests=self._store.limited.requests,
            seconds=time.monotonic() - self._began,
            slowest=self._uploader.active(_SLOWEST) if running else (),
        )

    def _emit(self, listing: Listing) -> None:
        """In a scan thread: plan a listing, and wait while too many plans are ahead."""
        self._plans.put(self._planner.plan(listing))

    def _fail(self, error: AsyncmirrorError) -> None:
        """End the run because of an error that no file is to blame for."""
        self._fatal = self._fatal or error
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the stages; what they recorded is still written and told."""
        if self._task is not None and self._working:
            self._task.cancel()

    async def _stages(self) -> None:
        """Run all stages to their end; the outbox is closed whatever happens."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._scan())
                group.create_task(self._distribute())
                for _ in range(self._settings.tuning.concurrency):
                    group.create_task(self._work())
        except* AsyncmirrorError as errors:
            self._fatal = self._fatal or first(errors)
        except* asyncio.CancelledError:
            pass  # `stop` or `_fail`: the summary tells
        finally:
            self._working = False
            try:
                await self._recorder.finish()
            finally:
                self._outbox.close()

    async def _scan(self) -> None:
        """Run the scan threads; cancelled, wait for them to end."""
        scan = asyncio.get_running_loop().run_in_executor(None, self._walker.run)
        try:
            await asyncio.shield(scan)
        finally:
            self._walker.stop()
            self._plans.close()
            await asyncio.wait([scan])
            scan.exception()  # raised above, unless this task was cancelled
            self._scanning = False

    async def _distribute(self) -> None:
        """Take plans apart: what is settled goes to the journal and the caller, works go to the workers."""
        while plans := await self._plans.take(1):
            unchanged, settled, changes, works, scanned, scanned_bytes = plans[0]
            self._scanned += scanned
            self._scanned_bytes += scanned_bytes
            if unchanged is not None:
                self._outbox.offer((unchanged,))
            if settled or changes:
                self._recorder.add(settled, changes)
            if self._settings.dry_run:
                self._recorder.add([_would(work) for work in works], ())
            elif not self._stopped:
                self._works.offer(works)
                self._queued_bytes += sum(work.size for work in works)
            await self._works.room()
            await self._outbox.room()
        self._works.close()

    async def _work(self) -> None:
        """Take works and carry them out until there are no more."""
        tuning, hops = self._settings.tuning, self._uploader.hops
        # So small that the files of one hop leave most of the budget to the other workers.
        least = min(INLINE_MOST // 16, tuning.max_memory // 64)

        def joins(first: Work, other: Work) -> bool:
            return is_plain(first, least) and is_plain(other, least)

        while works := await self._works.take(max(1, min(hops.files, len(self._works) // tuning.concurrency)), joins):
            self._queued_bytes -= sum(work.size for work in works)
            await self._uploader.run(works)
            await self._outbox.room()

    def _summarize(self) -> Summary:
        counts, sizes = self._tally.counts, self._tally.bytes
        if not self._settings.dry_run:
            # Whatever was seen and has no outcome is pending, however the run ended.
            counts[Outcome.PENDING] += self._scanned - counts.total()
            sizes[Outcome.PENDING] += max(0, self._scanned_bytes - sizes.total())
        fatal = self._fatal
        return Summary(
            counts=dict(counts),
            bytes_by_outcome=dict(sizes),
            bytes_sent=self._store.limited.bytes_sent,
            bytes_total=self._scanned_bytes,
            requests=self._store.limited.requests,
            seconds=time.monotonic() - self._began,
            exit_code=self._tally.exit_code if fatal is None else fatal.exit_code,
            stopped=self._stopped or fatal is not None,
            error="" if fatal is None else str(fatal),
        )


def summarize(summary: Summary) -> dict[str, object]:
    """A summary in the words of the journal and of ``--json``."""
    names = {outcome.name.lower(): summary.counts.get(outcome, 0) for outcome in Outcome}
    return {
        **names,
        "bytes_sent": summary.bytes_sent,
        "bytes_total": summary.bytes_total,
        "requests": summary.requests,
        "seconds": round(summary.seconds, 3),
        "exit_code": summary.exit_code,
    }


def _would(work: Work) -> Settled:
    return Settled(work.path, work.key, Outcome.PENDING, work.size, f"dry run: {work.action.value}")
