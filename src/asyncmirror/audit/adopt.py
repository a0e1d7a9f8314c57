"""Files that a bucket holds already become known without being sent.

Owns what is done with each file the journal does not know: looked up in the catalogue of the bucket, then proven by the ETag,
else by a checksum that the store has on record (one HEAD, only where the ETag proves nothing). What is not proven stays unknown
to the journal, and the next sync sends it. With `trust_size` nothing is read: the journal keeps an empty checksum, which says
that nobody ever compared the bytes, and which no later reading is equal to.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from asyncmirror.audit.catalogue import Catalogue
from asyncmirror.errors import ChangedError, SourceError
from asyncmirror.journal.changes import Complete, Fail
from asyncmirror.model import Checksum, Completed, Outcome, Problem, RemoteObject
from asyncmirror.plan.decide import Action
from asyncmirror.settings import Settings
from asyncmirror.sizes import MIB
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.read import OpenFile
from asyncmirror.store.port import Store
from asyncmirror.transfer.adopt import is_equal
from asyncmirror.transfer.work import Ledger, Work

_PIECE = MIB


class Adopter:
    """Carries works out by sending nothing. One for a run; `run` is called by several tasks at once."""

    def __init__(
        self, settings: Settings, beneath: Beneath, store: Store, catalogue: Catalogue, ledger: Ledger, readers: Executor
    ) -> None:
        self.draining = False
        self._settings = settings
        self._algorithm = settings.objects.algorithm
        self._beneath = beneath
        self._store = store
        self._catalogue = catalogue
        self._ledger = ledger
        self._readers = readers

    async def run(self, works: Sequence[Work]) -> None:
        """Adopt what is proven, and say why of the others.

        Raises:
            StoreError: A checksum could not be asked for.
        """
        for work in works:
            if self.draining:
                self._ledger.settle(work, Outcome.PENDING)
            elif work.action is not Action.ADOPT:
                self._ledger.settle(work, Outcome.PENDING, f"left to the next sync: {work.action.value}")
            else:
                await self._adopt(work)

    async def _adopt(self, work: Work) -> None:
        remote = await asyncio.get_running_loop().run_in_executor(self._readers, self._catalogue.look, work.key)
        if remote is None:
            self._ledger.settle(work, Outcome.PENDING, "it is not in the bucket")
        elif remote.size != work.size:
            self._ledger.settle(work, Outcome.PENDING, f"it has {remote.size:,} bytes in the bucket, not {work.size:,}")
        elif self._settings.trust_size:
            completed = Completed(work.file.identity, Checksum(self._algorithm, b""), remote.etag, 0)
            self._take(work, completed, "by its size alone (--trust-size)")
        else:
            await self._prove(work, remote)

    async def _prove(self, work: Work, remote: RemoteObject) -> None:
        try:
            completed = await asyncio.get_running_loop().run_in_executor(self._readers, self._compare, work, remote)
            if completed is None:
                told = await self._store.head_object(work.key)
                if told is not None and told.size == work.size and told.checksum is not None and not told.checksum.parts:
                    completed = await asyncio.get_running_loop().run_in_executor(self._readers, self._compare, work, told)
        except ChangedError:
            self._ledger.settle(work, Outcome.PENDING, "it changed while it was read")
        except SourceError as error:
            problem = Problem(work.file.identity, Outcome.UNREADABLE, str(error), retryable=True)
            self._ledger.settle(work, Outcome.UNREADABLE, problem.reason, Fail(work.directory, work.file.name, problem))
        else:
            if completed is not None:
                self._take(work, completed)
            else:
                self._ledger.settle(work, Outcome.PENDING, f"its ETag {remote.etag} does not prove it equal")

    def _take(self, work: Work, completed: Completed, reason: str = "") -> None:
        change = Complete(work.directory, work.file.name, completed, clears=True)
        self._ledger.settle(work, Outcome.ADOPTED, reason, change)

    def _compare(self, work: Work, remote: RemoteObject) -> Completed | None:
        with OpenFile(self._beneath, work.file, drop_cache=self._settings.drop_cache) as opened:
            return is_equal(opened, remote, self._algorithm, _PIECE)
