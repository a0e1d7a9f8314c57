"""A worker's job: from works to outcomes.

Owns what happens to each file: small ones read together in one thread hop and sent one after the other, large ones in parts,
suspected ones compared first; a file that changed is looked at anew a few times. Every work that comes in ends in
exactly one outcome, or in an error that ends the run. Decisions are `plan`'s, requests the store's, records the ledger's.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

from asyncmirror.checksum import compute
from asyncmirror.errors import (
    AccessDeniedError,
    AsyncmirrorError,
    ChangedError,
    CorruptedError,
    CredentialsError,
    RefusedError,
    SecretError,
    SourceError,
    StoreError,
    ThrottledError,
)
from asyncmirror.events import Transfer
from asyncmirror.journal.changes import Complete, Fail, Supersede
from asyncmirror.model import Completed, Outcome, Problem, Properties
from asyncmirror.plan.decide import Action, decide
from asyncmirror.plan.hops import INLINE_MOST, Hops
from asyncmirror.plan.properties import properties
from asyncmirror.settings import Secrets, Settings, Tuning
from asyncmirror.source.beneath import Beneath, classify, identity_of
from asyncmirror.source.filesystem import is_local, kind
from asyncmirror.source.read import OpenFile, Whole, read_whole
from asyncmirror.store.retry import RetryingStore
from asyncmirror.transfer.budget import ByteBudget
from asyncmirror.transfer.comparing import Comparing
from asyncmirror.transfer.conditional import put_object
from asyncmirror.transfer.guard import Guard
from asyncmirror.transfer.multipart import Drained, Multipart, differs, is_of_nothing
from asyncmirror.transfer.work import Ledger, Work

_LOOKS = 3
"""How often a file that changes under the reader is looked at before it is reported."""
_DENIALS = 20
"""So many uploads denied and none accepted: it is the bucket that is closed, not a key."""
_OUTCOMES = ((ChangedError, Outcome.CHANGED), (SourceError, Outcome.UNREADABLE), (RefusedError, Outcome.REFUSED))


class Uploader:
    """Carries works out. One for a run; `run` is called by several tasks at once."""

    def __init__(self, settings: Settings, beneath: Beneath, store: RetryingStore, ledger: Ledger, readers: Executor) -> None:
        self.draining = False
        self.hops = Hops(local=is_local(kind(settings.source)))
        self._settings = settings
        self._beneath = beneath
        self._store = store
        self._ledger = ledger
        self._readers = readers
        self._algorithm = settings.objects.algorithm
        self._guard = Guard(settings, store, ledger.notice)
        self._budget = ByteBudget(settings.tuning.max_memory)
        self._comparing = Comparing(store, ledger, self._budget, readers, settings.tuning, self._algorithm)
        self._multipart = Multipart(
            store, ledger, self._budget, readers, settings.tuning, settings.objects, lambda: self.draining
        )
        self._run = secrets.token_hex(4)
        self._count = 0
        self._accepted = False
        self._denied = 0
        # Transfers going on, by path; `seconds` is the clock's reading when each began.
        self._active: dict[bytes, Transfer] = {}

    async def run(self, works: Sequence[Work]) -> None:
        """Carry out one work, or several that are all small.

        Raises:
            AsyncmirrorError: A fatal one: the run can't go on.
        """
        if len(works) > 1 or works[0].is_plain(self._settings.tuning.largest_put):
            await self._small(works)
            return
        work = works[0]
        if self.draining:
            self._ledger.settle(work, Outcome.PENDING)
            return
        try:
            await self._single(work)
        except (SourceError, StoreError, RefusedError) as error:
            await self._failed(work, error)

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on."""
        self._settings = replace(self._settings, tuning=tuning)
        self._budget.resize(tuning.max_memory)
        self._comparing.steer(tuning)
        self._multipart.steer(tuning)

    @property
    def confirmed(self) -> int:
        """Bytes of the transfers going on that the store has confirmed."""
        return sum(transfer.sent for transfer in self._active.values())

    def active(self, most: int) -> tuple[Transfer, ...]:
        """The transfers that have been going on for longest."""
        now = time.monotonic()
        oldest = sorted(self._active.values(), key=lambda transfer: transfer.seconds)[:most]
        return tuple(transfer._replace(seconds=now - transfer.seconds) for transfer in oldest)

    async def _small(self, works: Sequence[Work]) -> None:
        """Read small files and send them one after the other."""
        held = sum(work.size for work in works)
        unread: list[tuple[Work, SourceError]] = []
        await self._budget.acquire(held)
        try:
            inline = self.hops.inline and held <= INLINE_MOST
            read: Iterable[Whole | SourceError] = self._read_inline(works) if inline else await self._read_in_hop(works)
            for work, found in zip(works, read, strict=True):
                if isinstance(found, SourceError):
                    unread.append((work, found))
                elif self.draining:
                    self._ledger.settle(work, Outcome.PENDING)
                else:
                    await self._put(work, found)
                self._budget.release(work.size)
                held -= work.size
        finally:
            self._budget.release(held)
        for work, error in unread:  # with nothing of the budget in hand: another look may need some
            await self._failed(work, error)

    def _read_inline(self, works: Sequence[Work]) -> Iterator[Whole | SourceError]:
        """Read files on the loop, each when its turn has come."""
        for work in works:
            began = time.perf_counter()
            found = read_whole(self._beneath, work.file, self._algorithm, self._guard.look)
            self.hops.read_inline(time.perf_counter() - began)
            yield found

    async def _read_in_hop(self, works: Sequence[Work]) -> list[Whole | SourceError]:
        """Read files in a thread, all in one hop."""

        def read() -> list[Whole | SourceError]:
            began = time.perf_counter()
            found = [read_whole(self._beneath, work.file, self._algorithm, self._guard.look) for work in works]
            self.hops.read_in_hop(len(works), time.perf_counter() - began)
            return found

        return await asyncio.get_running_loop().run_in_executor(self._readers, read)

    async def _put(self, work: Work, whole: Whole) -> None:
        self._active[work.path] = Transfer(work.path, 0, work.size, time.monotonic())
        try:
            data, checksum, identity, rule = whole
            await self._guard.pass_through(work.path, work.rule or rule)
            if work.record.completed is not None:
                await self._ledger.commit(Supersede(work.directory, work.file.name))
            self._count += 1
            nonce = f"{self._run}{self._count:08x}"
            stored = await put_object(self._store, work.key, data, checksum, self._properties(work, nonce), nonce)
            if differs(stored.checksum, checksum):
                raise CorruptedError("the store's checksum of the object is another", op="PutObject", path=work.key)
            if is_of_nothing(stored.etag, len(data)):
                raise CorruptedError("the store took none of the file's bytes", op="PutObject", path=work.key)
        except (StoreError, SecretError, RefusedError) as error:
            await self._failed(work, error)
        else:
            self._complete(work, Completed(identity, checksum, stored.etag, 0))
        finally:
            self._active.pop(work.path, None)  # gone where a directory named the file twice

    async def _single(self, work: Work) -> None:
        """Carry out a work that needs a decision, parts, or a look at the store."""
        if work.action is Action.RESTART:
            await self._multipart.discard(work)
            work = work._replace(action=Action.UPLOAD, record=work.record._replace(uploading=None))
        if work.file.target:
            await self._put(work, Whole(b"", compute(self._algorithm, b""), work.file.identity))
            return
        loop = asyncio.get_running_loop()
        open_file = partial(OpenFile, self._beneath, work.file, drop_cache=self._settings.drop_cache)
        with await loop.run_in_executor(self._readers, open_file) as opened:
            if work.action is Action.RECHECK and await self._comparing.is_same(work, opened):
                return
            if work.action is Action.ADOPT and await self._comparing.is_adopted(work, opened):
                return
            if work.size >= self._settings.tuning.largest_put or work.action is Action.RESUME:
                await self._in_parts(work, opened)
                return
        await self._small([work])

    async def _in_parts(self, work: Work, opened: OpenFile) -> None:
        await self._guard.pass_through(work.path, work.rule)  # too large to be looked into: its path decides
        self._active[work.path] = Transfer(work.path, 0, work.size, time.monotonic())

        def sent(size: int) -> None:
            if (transfer := self._active.get(work.path)) is not None:
                self._active[work.path] = transfer._replace(sent=transfer.sent + size)

        def make(nonce: str) -> Properties:
            return self._properties(work, nonce)

        try:
            completed = await self._multipart.send(work, opened, make, sent)
        except Drained:
            self._ledger.settle(work, Outcome.PENDING, "stopped before its last part")
        else:
            self._complete(work, completed)
        finally:
            self._active.pop(work.path, None)  # gone where a directory named the file twice

    def _complete(self, work: Work, completed: Completed) -> None:
        self._accepted = True
        clears = completed.part_size > 0 or work.record.problem is not None or work.record.uploading is not None
        self._ledger.settle(work, Outcome.COMPLETE, change=Complete(work.directory, work.file.name, completed, clears))

    def _properties(self, work: Work, nonce: str) -> Properties:
        objects = self._settings.objects
        mtime_ns = work.file.identity.mtime_ns
        return properties(work.file.name, mtime_ns, nonce, objects.content_type, objects.metadata, work.file.target)

    async def _failed(self, work: Work, error: AsyncmirrorError) -> None:
        """Give a file its outcome after an error, or look at it anew, or end the run."""
        if error.fatal:
            raise error
        if isinstance(error, ThrottledError) and self.draining:
            self._ledger.settle(work, Outcome.PENDING, "stopped while the store asked for fewer requests")
            return
        if isinstance(error, ChangedError) and work.attempt < _LOOKS:
            await self._again(work)
            return
        denied = isinstance(error, AccessDeniedError)
        self._denied += denied
        if denied and not self._accepted and self._denied >= _DENIALS:
            raise CredentialsError(
                f"the store denied the first {self._denied} uploads ({error})", hint="check who may write to this bucket"
            ) from error
        outcome = next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), Outcome.FAILED)
        # What a person may have put right since (a policy) is worth a request in the next run.
        problem = Problem(work.file.identity, outcome, str(error), error.retryable or denied)
        self._ledger.settle(work, outcome, problem.reason, Fail(work.directory, work.file.name, problem))
        if isinstance(error, SecretError) and self._settings.secrets is Secrets.STOP:
            error.path = os.fsdecode(work.path)
            self._ledger.halt(error)

    async def _again(self, work: Work) -> None:
        """Look at a file that changed, and carry out what is decided for what it is now."""
        file = work.file
        try:
            status = await asyncio.get_running_loop().run_in_executor(
                self._readers, self._beneath.status, file.directory, file.real_name
            )
        except OSError as error:
            await self._failed(work, classify(error, "stat"))
            return
        identity = identity_of(status)
        if work.record.uploading is not None:
            try:
                await self._multipart.discard(work)
            except StoreError as error:
                await self._failed(work._replace(attempt=_LOOKS), error)
                return
        record = work.record._replace(uploading=None)
        action = decide(identity, record, trust_mtime=self._settings.trust_mtime, retry_failed=True)
        if action is Action.SKIP:
            self._ledger.settle(work, Outcome.UNCHANGED)
            return
        if action is Action.RENEW:
            action = Action.RECHECK
        await self.run(
            [work._replace(file=file._replace(identity=identity), action=action, record=record, attempt=work.attempt + 1)]
        )
