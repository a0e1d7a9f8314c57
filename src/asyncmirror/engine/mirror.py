"""The run, as the library's users have it.

Owns what a run needs opened, in which order, and closed; and what it comes to in the end. The run itself is `stages`.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncmirror.audit.agreed import META, agree
from asyncmirror.engine.answer import answering, socket_path
from asyncmirror.engine.descriptors import allow
from asyncmirror.engine.journals import belongs, default_journal
from asyncmirror.engine.probing import Probing
from asyncmirror.engine.revisit import Revisit, Unsettled
from asyncmirror.engine.stages import Stages
from asyncmirror.engine.starts import starts
from asyncmirror.engine.steering import permit
from asyncmirror.engine.tally import Tally, summarize
from asyncmirror.errors import BucketError, StoreError, UnreachableError, UsageError
from asyncmirror.events import Event, Notice, Progress, Started, Summary
from asyncmirror.journal import queries
from asyncmirror.journal.changes import Remember
from asyncmirror.journal.writer import Belongs, Journal
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.filesystem import is_local, kind, threads
from asyncmirror.store.assemble import Assembled, assemble
from asyncmirror.store.port import Store

_PATIENCE = 30.0
"""Seconds in which the store must have answered before anything is begun: somebody is waiting."""

_LEFT = 3
"""The exit code of a run that adopts and leaves something to be sent: see docs/exit-codes.md."""


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
        self._stages: Stages | None = None
        self._drained = False
        self._paused = False
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
            self._check_remaps()
            self._starts = await asyncio.to_thread(starts, self._beneath, settings.subdirs or settings.within)
            counts = threads(settings.source, settings.tuning.scanners, settings.tuning.readers)
            tuning, cut = allow(replace(settings.tuning, **counts._asdict()))
            self._settings = settings = replace(settings, tuning=tuning)
            self._readers = ThreadPoolExecutor(tuning.readers, "read")
            resources.callback(self._readers.shutdown, cancel_futures=True)
            of = belongs(settings.source, settings.destination, settings.connection)
            self._started = Started(of.source, of.destination, "", resumed=False)
            path = settings.journal or default_journal(of)
            self._journal = await asyncio.to_thread(self._open_journal, path, of)
            self._notices = tuple(filter(None, (cut, _network(path))))
            resources.callback(self._close_journal)
            await self._agree(path)
            if settings.only_failed:
                unsettled = await asyncio.wrap_future(self._journal.ask(queries.unsettled_directories))
                self._filters = Revisit(settings.rules, Unsettled(*unsettled))
            await resources.enter_async_context(answering(self._journal, socket_path(path)))
            self._store: Assembled = await resources.enter_async_context(assemble(settings, self._own_store))
            await self._check_bucket()
            self._probing = Probing(settings, self._journal, self._store)
            if self._own_store is None:
                await self._probing.check_conditions()
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

    def _check_remaps(self) -> None:
        """See that the remaps go together, and are of directories."""
        settings = self._settings
        Remaps(settings.remaps)
        for remap in settings.remaps:
            if os.path.isfile(settings.source / remap.source):
                raise UsageError(f"{remap.source!r} is a file", hint="--remap moves what is in a directory")

    async def _agree(self, path: Path) -> None:
        """See that what is in the bucket keeps its keys, and put the remaps on record."""
        remaps = Remaps(self._settings.remaps)
        if await asyncio.wrap_future(self._journal.ask(lambda connection: agree(connection, remaps, path))):
            await asyncio.wrap_future(self._journal.submit((Remember(META, remaps.text()),)))

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
        return Journal(path, of, read_only=self._settings.dry_run, endpoint=socket_path(path))

    def _close_journal(self) -> None:
        summary = self._summary
        self._journal.close(
            None if summary is None else summarize(summary, whole=not (self._settings.only_failed or self._settings.subdirs))
        )

    async def run(self) -> AsyncGenerator[Event, None]:
        """Mirror. Gives events as they become true; the last is always a `Summary`.

        Raises:
            BaseExceptionGroup: A bug: whatever a stage raised that is no `AsyncmirrorError`.
        """
        self._began = time.monotonic()
        stages = self._stages = Stages(
            self._settings, self._filters, self._beneath, self._journal, self._store, self._readers, self._probing, self._starts
        )
        stages.pause(paused=self._paused)
        if self._drained:
            stages.drain()
        yield self._started
        for notice in (*self._notices, *self._store.notices):
            yield Notice(notice)
        task = asyncio.create_task(stages.run())
        try:
            while events := await stages.events():
                self._tally.add(events)
                for event in events:
                    yield event
            await task
        finally:
            task.cancel()
            await asyncio.wait([task])
        self._summary = self._summarize(stages)
        yield self._summary

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
        if self._stages is not None:
            self._stages.steer(tuning)

    @property
    def paused(self) -> bool:
        """Whether requests are held back until `resume`."""
        return self._paused

    def pause(self) -> None:
        """Begin no request until `resume`; those in flight end, and the scan goes on until it is far enough ahead."""
        self._hold(paused=True)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._hold(paused=False)

    def _hold(self, *, paused: bool) -> None:
        if self._drained:
            return  # what waits is turned away: it must come to its end
        self._paused = paused
        limited = self._store.limited
        limited.pause() if paused else limited.resume()
        if self._stages is not None:
            self._stages.pause(paused=paused)

    def drain(self) -> None:
        """Begin nothing new, finish the requests in flight, then end; resumable."""
        self._drained = True
        if self._stages is not None:
            self._stages.drain()

    def stop(self) -> None:
        """End at once; resumable."""
        self._drained = True
        if self._stages is not None:
            self._stages.stop()

    def progress(self) -> Progress:
        """The gauges now."""
        if self._stages is None:
            return Progress()
        counts, sizes = dict(self._tally.counts), dict(self._tally.bytes)
        return self._stages.progress(counts, sizes, time.monotonic() - self._began)

    def _summarize(self, stages: Stages) -> Summary:
        counts, sizes = self._tally.counts, self._tally.bytes
        if not self._settings.dry_run:
            # Whatever was seen and has no outcome is pending, however the run ended.
            counts[Outcome.PENDING] += stages.scanned - counts.total()
            sizes[Outcome.PENDING] += max(0, stages.scanned_bytes - sizes.total())
        fatal = stages.fatal
        return Summary(
            counts=dict(counts),
            bytes_by_outcome=dict(sizes),
            bytes_sent=stages.bytes_sent,
            bytes_total=stages.scanned_bytes,
            requests=stages.requests,
            seconds=time.monotonic() - self._began,
            exit_code=self._exit_code if fatal is None else fatal.exit_code,
            stopped=stages.stopped,
            error="" if fatal is None else str(fatal),
        )

    @property
    def _exit_code(self) -> int:
        """The tally's; in a run that sends nothing, what is left to another one is not mirrored."""
        left = not self._settings.send and self._tally.counts[Outcome.PENDING]
        return self._tally.exit_code or (_LEFT if left else 0)


def _network(journal: Path) -> str:
    """What the user should know of the file system that the journal lies on; empty where it is this machine's own."""
    found = kind(journal)
    if not found or is_local(found):
        return ""
    return f"the journal lies on {found}: it is locked for this run alone and used without shared memory, which is safe there"
