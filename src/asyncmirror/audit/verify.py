"""`verify`: whether all that the journal calls complete is in the bucket, and nothing else.

Owns the pass: rows in key order from the journal's thread, cut into ranges; tasks that list ranges, several at once, and where
it is asked for, read what is there; what they find, as it is found; and the account at the end. Nothing in the bucket is
written. `repair` makes the journal forget what is missing or different, once the pass went through to its end, so that the next
sync sends it with its own options. Memory: a thousand rows for each task, whatever the size of tree and bucket.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from asyncmirror.audit.agreed import account, remaps_of
from asyncmirror.audit.contents import Contents
from asyncmirror.audit.headway import Headway
from asyncmirror.audit.listing import PAGE, Range, Ranges
from asyncmirror.audit.merge import Finding, Verdict, judge
from asyncmirror.audit.sidecars import Sidecars, is_sidecar
from asyncmirror.errors import AsyncmirrorError, BucketError, JournalError, StoreError, UnreachableError, cause
from asyncmirror.journal import queries, reader
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.ordered import Kept, ordered
from asyncmirror.journal.schema import translate
from asyncmirror.plan import keys
from asyncmirror.settings import Verification
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.filesystem import threads
from asyncmirror.store.assemble import Assembled, assemble
from asyncmirror.store.port import Store

T = TypeVar("T")
_RANGES = 16
"""Ranges looked at together; each is one request at a time."""
_READ = 2
"""The same where bytes are read: what is read of a range that is not done yet is read again after a stop."""
_FINDINGS = 4_000
_PATIENCE = 30.0
"""Seconds in which the store must have answered before the pass begins: somebody is waiting."""
_REPAIRED = frozenset({Verdict.MISSING, Verdict.DIFFERENT})
INCOMPLETE = 3


class Gauge(NamedTuple):
    """How far a pass is: objects looked at, of how many on record, those not as they should be, bytes read."""

    looked: int = 0
    objects: int = 0
    amiss: int = 0
    bytes_read: int = 0
    seconds: float = 0.0


class Report(NamedTuple):
    """What a pass came to. `repaired` counts objects that the next sync is to send.

    `earlier` counts those that were read before it was stopped, in the look that `began` then (seconds since the epoch).
    """

    counts: Mapping[Verdict, int]
    account: reader.Account
    sums: int  # lines of checksum files held against the source
    repaired: int
    requests: int
    seconds: float
    exit_code: int
    earlier: int = 0
    began: float = 0.0


class Verifier:
    """One pass. ``async for found in Verifier(asked, of).run()``: findings that are not equal, a `Report` last."""

    def __init__(self, asked: Verification, of: Belongs, store: Store | None = None) -> None:
        """Prepare; nothing is opened yet.

        Args:
            asked: What to look at.
            of: What the journal must be of.
            store: A store of one's own, undecorated; None: the S3 bucket that is asked for.
        """
        self._asked = asked
        self._of = of
        self._own_store = store
        self._counts: Counter[Verdict] = Counter()
        self._account = reader.Account(0, 0, 0, 0, ended=True)
        self._contents: Contents | None = None
        self._sidecars: Sidecars | None = None
        self._rows: Generator[Kept, None, None] | None = None
        self._left = False  # nobody takes what is found any more
        self._began = time.monotonic()
        self._journal = ThreadPoolExecutor(1, "journal")
        self._ranges: asyncio.Queue[Range | None] = asyncio.Queue(_RANGES)
        self._found: asyncio.Queue[Finding | None] = asyncio.Queue(_FINDINGS)

    def gauge(self) -> Gauge:
        """How far it is."""
        looked = self._counts.total()
        amiss = looked - self._counts[Verdict.EQUAL] - (self._counts[Verdict.EXTRA] if self._asked.ignore_extra else 0)
        read = sum(each.bytes_read for each in (self._contents, self._sidecars) if each is not None)
        return Gauge(looked, self._account.objects, amiss, read, time.monotonic() - self._began)

    async def run(self) -> AsyncGenerator[Finding | Report, None]:
        """Look.

        Raises:
            UsageError: There is no such journal, or the source is none.
            JournalError: The journal is in use, or can't be read.
            StoreError: The bucket could not be looked at, or its listing is not to be trusted; always a fatal one.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._journal.shutdown, cancel_futures=True)
            connection = await self._in_journal(stack.enter_context, reader.reading(self._asked.journal, self._of))
            # Before the connection is closed, its thread ends, and then what was being read.
            stack.callback(self._close_rows)
            stack.callback(self._journal.shutdown, cancel_futures=True)
            self._account = await self._in_journal(account, connection, self._asked.within)
            store = await stack.enter_async_context(assemble(self._asked, self._own_store))
            await self._reach(store)
            headway = Headway(self._asked, partial(self._ask, connection))
            await headway.begin()
            await self._open_contents(stack, store, connection)
            task = asyncio.create_task(self._pass(connection, store, headway))
            try:
                while (finding := await self._found.get()) is not None:
                    yield finding
                await task
            finally:
                self._left = True
                task.cancel()
                await asyncio.wait([task])
                with contextlib.suppress(JournalError):  # how far it came is not worth another error
                    await headway.save()
            repaired = await self._in_journal(reader.forget, connection) if self._asked.repair else 0
            report = self._report(repaired, store.limited.requests, headway)
            await headway.end(report.exit_code)
        yield report

    async def _in_journal(self, function: Callable[..., T], *arguments: object) -> T:
        """Call something in the one thread that uses the journal's connection."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._journal, function, *arguments)
        except sqlite3.Error as error:
            raise translate(error, self._asked.journal) from None

    def _close_rows(self) -> None:
        if self._rows is not None:
            self._rows.close()  # an open cursor would keep the journal's file locked

    async def _ask(self, connection: sqlite3.Connection, function: Callable[..., T], *arguments: object) -> T:
        return await self._in_journal(function, connection, *arguments)

    async def _reach(self, store: Assembled) -> None:
        where = str(self._asked.destination)
        try:
            async with asyncio.timeout(_PATIENCE):
                await store.first.check_bucket(self._asked.destination.prefix)
        except TimeoutError:
            hint = "check --endpoint-url and the network"
            raise UnreachableError(f"the store did not answer within {_PATIENCE:.0f} s", path=where, hint=hint) from None
        except StoreError as error:
            raise _fatal(error) from error

    async def _open_contents(self, stack: contextlib.AsyncExitStack, store: Assembled, connection: sqlite3.Connection) -> None:
        """Open what bytes are read from, where they are to be read."""
        asked = self._asked
        beneath, readers = None, 1
        if asked.deep or asked.sidecars:
            source = asked.source or Path((await self._in_journal(queries.meta, connection)).get("source", ""))
            beneath = Beneath(source)
            stack.callback(beneath.close)
            readers = threads(source, asked.tuning.scanners, asked.tuning.readers).readers
        pool = ThreadPoolExecutor(readers, "read")
        stack.callback(pool.shutdown, cancel_futures=True)
        stopped = threading.Event()
        stack.callback(stopped.set)
        if asked.deep or asked.download:
            of = beneath if asked.deep else None
            self._contents = Contents(store.store if asked.download else None, of, pool, stopped)
        if asked.sidecars and beneath is not None:
            self._sidecars = Sidecars(beneath, pool, stopped)

    async def _pass(self, connection: sqlite3.Connection, store: Assembled, headway: Headway) -> None:
        prefix = keys.directory_prefix(self._asked.destination.prefix, b"")
        remaps = await self._in_journal(remaps_of, connection, self._asked.journal)
        ranges = Ranges(store.store, prefix)
        together = min(_READ if headway.reads else _RANGES, self._asked.tuning.concurrency)
        slots = asyncio.Semaphore(self._asked.tuning.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(together):
                    group.create_task(self._work(ranges, connection, slots, headway))
                self._rows = rows = ordered(connection, keys.encode, prefix, place=remaps.prefix)
                await self._feed(rows, headway)
                for _ in range(together):
                    await self._ranges.put(None)
        except BaseExceptionGroup as errors:
            error = cause(errors)
            raise (_fatal(error) if isinstance(error, StoreError) else error) from errors
        finally:
            if not self._left:
                await self._found.put(None)

    async def _feed(self, rows: Iterator[Kept], headway: Headway) -> None:
        """Cut the rows into ranges, the last of which has no end."""
        after = ""
        while len(some := await self._in_journal(_next, rows)) == PAGE:
            headway.announce(some)
            await self._ranges.put(Range(after, some[-1].key, some))
            after = some[-1].key
        headway.announce(some)
        await self._ranges.put(Range(after, None, some))

    async def _work(self, ranges: Ranges, connection: sqlite3.Connection, slots: asyncio.Semaphore, headway: Headway) -> None:
        """Look at ranges until there are no more."""
        while (span := await self._ranges.get()) is not None:
            earlier = await headway.read(span.rows)
            there: list[Kept] = []
            async for pair in ranges.pairs(span):
                finding, kept = judge(pair), pair.kept
                equal = finding.verdict is Verdict.EQUAL
                if kept is None:
                    await self._tell(None, finding, connection)
                    continue
                if kept.key in earlier:
                    headway.earlier += equal
                elif self._sidecars is not None and is_sidecar(kept):
                    async for each in self._sidecars.check(kept):
                        await headway.amiss(kept)
                        await self._tell(None, each, connection)
                if equal and kept.key not in earlier and self._contents is not None:
                    there.append(kept)
                else:
                    await self._settle(kept, finding, connection, headway)
            async with asyncio.TaskGroup() as group:
                for kept in there:
                    await slots.acquire()
                    task = group.create_task(self._inspect(kept, connection, headway))
                    task.add_done_callback(lambda _: slots.release())

    async def _inspect(self, kept: Kept, connection: sqlite3.Connection, headway: Headway) -> None:
        assert self._contents is not None
        await self._settle(kept, await self._contents.inspect(kept), connection, headway)

    async def _settle(self, kept: Kept, finding: Finding, connection: sqlite3.Connection, headway: Headway) -> None:
        if finding.verdict is not Verdict.EQUAL:
            await headway.amiss(kept)
        await self._tell(kept, finding, connection)
        await headway.done(kept)

    async def _tell(self, kept: Kept | None, finding: Finding, connection: sqlite3.Connection) -> None:
        self._counts[finding.verdict] += 1
        if finding.verdict is Verdict.EQUAL:
            return
        if self._asked.repair and kept is not None and finding.verdict in _REPAIRED:
            await self._in_journal(reader.doubt, connection, [(kept.directory, kept.name, _why(finding))])
        if finding.verdict is not Verdict.EXTRA or not self._asked.ignore_extra:
            await self._found.put(finding)

    def _report(self, repaired: int, requests: int, headway: Headway) -> Report:
        account = self._account
        complete = not self.gauge().amiss and not account.incomplete and account.ended
        seconds = time.monotonic() - self._began
        sums = self._sidecars.checked if self._sidecars is not None else 0
        return Report(
            dict(self._counts),
            account,
            sums,
            repaired,
            requests,
            seconds,
            0 if complete else INCOMPLETE,
            headway.earlier,
            headway.began,
        )


def _next(rows: Iterator[Kept]) -> list[Kept]:
    return list(islice(rows, PAGE))


def _why(finding: Finding) -> str:
    """The reason of the problem that a finding is from now on."""
    return f"verify: {finding.reason or finding.verdict.value}"


def _fatal(error: AsyncmirrorError) -> AsyncmirrorError:
    """The error as one that ends the look: what could not be asked can't be answered."""
    if error.fatal:
        return error
    return BucketError(f"the bucket could not be looked at: {error}", hint="run the same command again when the store is well")
