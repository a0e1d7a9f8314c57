"""A file whose bytes the bucket may hold already: read and compared, and where they are the same, journalled and not sent.

Owns the two looks, at what the journal has on record and at the object itself, and the memory that they take from the budget.
What proves equality stands in `adopt` and in the checksums; whether a look is worth it was decided in `plan.decide`.
"""

import asyncio
from concurrent.futures import Executor

from asyncmirror.journal.changes import Complete
from asyncmirror.model import Algorithm, Outcome
from asyncmirror.settings import Tuning
from asyncmirror.source.read import OpenFile
from asyncmirror.store.port import Store
from asyncmirror.transfer.adopt import is_equal
from asyncmirror.transfer.budget import ByteBudget
from asyncmirror.transfer.work import Ledger, Work


class Comparing:
    """Finds out what need not be sent, and settles it."""

    def __init__(
        self, store: Store, ledger: Ledger, budget: ByteBudget, readers: Executor, tuning: Tuning, algorithm: Algorithm
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._budget = budget
        self._readers = readers
        self._piece = tuning.part_size
        self._algorithm = algorithm

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on."""
        self._piece = tuning.part_size

    async def is_same(self, work: Work, opened: OpenFile) -> bool:
        """Read a file whose times changed; where it is what was stored, journal its new identity and send nothing."""
        before = work.record.completed
        assert before is not None
        piece = self._piece
        held = min(max(piece, before.part_size), self._budget.capacity)
        await self._budget.acquire(held)
        try:
            value = await asyncio.get_running_loop().run_in_executor(
                self._readers, opened.checksum, before.checksum.algorithm, before.part_size, piece
            )
        finally:
            self._budget.release(held)
        if value != before.checksum:
            return False
        renewed = before._replace(identity=opened.identity)
        change = Complete(work.directory, work.file.name, renewed, clears=True)
        self._ledger.settle(work, Outcome.UNCHANGED, "its times changed, its bytes did not", change)
        return True

    async def is_adopted(self, work: Work, opened: OpenFile) -> bool:
        """Look whether the bucket has the file already, as a checksum or an ETag proves; then journal it."""
        remote = await self._store.head_object(work.key)
        if remote is None or remote.size != work.size:
            return False
        held = min(self._piece, self._budget.capacity)
        await self._budget.acquire(held)
        try:
            completed = await asyncio.get_running_loop().run_in_executor(
                self._readers, is_equal, opened, remote, self._algorithm, held
            )
        finally:
            self._budget.release(held)
        if completed is None:
            return False
        self._ledger.settle(work, Outcome.ADOPTED, change=Complete(work.directory, work.file.name, completed, clears=True))
        return True
