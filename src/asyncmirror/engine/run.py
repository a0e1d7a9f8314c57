"""One run: from its row in the journal to its summary.

Owns what is one run's alone: the open source, the threads that read it, the tally, the row; and what it comes to in the end.
What outlives it is the mirror's; how the work goes is `stages`'.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from asyncmirror.engine.forecast import Forecast
from asyncmirror.engine.probing import Probing
from asyncmirror.engine.root import Root
from asyncmirror.engine.stages import Stages
from asyncmirror.engine.tally import Tally, deletion_code, summarize, worst
from asyncmirror.errors import AsyncmirrorError, JournalError, ProcessError, SourceGoneError
from asyncmirror.events import Event, Progress, Summary
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Settings
from asyncmirror.store.assemble import Assembled

_LEFT = 3
"""The exit code of a run that adopts and leaves something to be sent: see docs/exit-codes.md."""


_LOOKS = 1.0
"""Seconds between two looks whether the source is there."""


class Sent(NamedTuple):
    """What had been sent before a run began: the store's gauges go on from one to the next."""

    requests: int = 0
    bytes_sent: int = 0


class Run:
    """One run. Made on the loop that runs it; all methods belong to that loop's thread."""

    def __init__(
        self,
        settings: Settings,
        filters: Filters,
        root: Root,
        journal: Journal,
        store: Assembled,
        probing: Probing,
        before: Sent,
    ) -> None:
        """Prepare it. The root is closed with the run."""
        self.over = False
        self._settings = settings
        self._root = root
        self._journal = journal
        self._before = before
        self._throttle = store.limited.throttle
        self._tally = Tally()
        self._began = time.monotonic()
        self._seconds = 0.0
        self._unreadable = 0
        self._look_at = 0.0
        self._drained: int | None = None
        self._readers = ThreadPoolExecutor(settings.tuning.readers, "read")
        self._stages = Stages(settings, filters, root.beneath, journal, store, self._readers, probing, root.starts)
        self.steer, self.pause = self._stages.steer, self._stages.pause
        self.stop = self._stages.stop
        self.spread_log_levels = self._stages.spread_log_levels

    def drain(self, exit_code: int | None) -> None:
        """See `Mirror.drain`."""
        self._drained = exit_code
        self._stages.drain()

    @property
    def fatal(self) -> AsyncmirrorError | None:
        """What ended the run before its end; None where nothing did."""
        return self._stages.fatal

    @property
    def forecast(self) -> Forecast | None:
        """See `Stages.forecast`."""
        return self._stages.forecast

    async def events(self, first: Iterable[Event]) -> AsyncGenerator[Event, None]:
        """Do it. Gives `first`, then events as they become true; the last is always a `Summary`.

        Raises:
            BaseExceptionGroup: A bug: whatever a stage raised that is no `AsyncmirrorError`.
            JournalError: The run could not be noted: nothing was begun.
        """
        stages = self._stages
        try:
            await asyncio.wrap_future(self._journal.begin_run())
            for event in first:
                yield event
            task = asyncio.create_task(stages.run())
            try:
                while events := await stages.events():
                    self._tally.add(events)
                    await self._look_at_root()
                    for event in events:
                        yield event
                await task
            finally:
                task.cancel()
                await asyncio.wait([task])
            summary = await self._end(self._summarize())
        finally:
            self._seconds = time.monotonic() - self._began
            self.over = True
            self._throttle.unwatch()
            await asyncio.to_thread(self._close)
        yield summary

    async def _look_at_root(self) -> None:
        """Where entries can't be read, see whether it is the source that is gone. Not at each of a million."""
        now, unreadable = time.monotonic(), self._tally.counts[Outcome.UNREADABLE]
        if unreadable == self._unreadable or now < self._look_at:
            return
        self._unreadable, self._look_at = unreadable, now + _LOOKS
        try:
            await self._root.check()
        except SourceGoneError as error:
            self._stages.fail(error)

    def progress(self) -> Progress:
        """The gauges now, or as they were when the run was over."""
        seconds = self._seconds if self.over else time.monotonic() - self._began
        progress = self._stages.progress(dict(self._tally.counts), dict(self._tally.bytes), seconds)
        if self.over:
            progress = progress._replace(slowest=())  # what uploader processes told last
        return progress._replace(requests=self._requests, bytes_sent=self._bytes_sent, running=not self.over)

    @property
    def _requests(self) -> int:
        return self._stages.requests - self._before.requests

    @property
    def _bytes_sent(self) -> int:
        return self._stages.bytes_sent - self._before.bytes_sent

    def _close(self) -> None:
        """Let go of the source, once no thread reads from it any more."""
        self._readers.shutdown(cancel_futures=True)
        self._root.beneath.close()

    async def _end(self, summary: Summary) -> Summary:
        """Note the end in the journal. A journal that takes it not ends the run badly; one that failed before said so."""
        settings = self._settings
        whole = not (settings.only_failed or settings.subdirs)
        fatal = self._stages.fatal
        noted = summary
        if isinstance(fatal, ProcessError):  # a bug's own words may hold a secret: they are told where secrets are taken out
            noted = summary._replace(error=fatal.message.partition(": ")[0])
        try:
            await asyncio.wrap_future(self._journal.end_run(summarize(noted, whole=whole, within=settings.within)))
        except JournalError as error:
            if not summary.error:
                return summary._replace(error=str(error), exit_code=error.exit_code)
        return summary

    def _summarize(self) -> Summary:
        stages, counts, sizes = self._stages, self._tally.counts, self._tally.bytes
        if not self._settings.dry_run:
            # Whatever was seen and has no outcome is pending, however the run ended.
            counts[Outcome.PENDING] += stages.scanned - counts.total()
            sizes[Outcome.PENDING] += max(0, stages.scanned_bytes - sizes.total())
        fatal = stages.fatal
        return Summary(
            counts=dict(counts),
            bytes_by_outcome=dict(sizes),
            bytes_sent=self._bytes_sent,
            bytes_total=stages.scanned_bytes,
            requests=self._requests,
            seconds=time.monotonic() - self._began,
            exit_code=self._exit_code if fatal is None else fatal.exit_code,
            stopped=stages.stopped,
            error="" if fatal is None else str(fatal),
            deletions=stages.deletions,
        )

    @property
    def _exit_code(self) -> int:
        """That of whoever ended it before its end; else the tally's and the deletion's.

        In a run that sends nothing, what is left to another one is not mirrored.
        """
        if self._drained is not None and self._stages.stopped:
            return self._drained
        left = not self._settings.send and self._tally.counts[Outcome.PENDING]
        return worst(self._tally.exit_code, deletion_code(self._stages.deletions), _LEFT if left else 0)
