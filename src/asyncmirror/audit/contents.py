"""Bytes held against the checksums on record: the source's, read anew, and the store's, downloaded.

Owns what a comparison proves, and of whom. A file of the same identity with other bytes is damaged: what is in the bucket may
be the better copy, and nobody should overwrite it. A file of another identity has changed since, and the next sync sees to
it. Bytes are read a piece at a time, so that memory does not grow with files.
"""

import asyncio
import errno
import stat
from concurrent.futures import Executor

from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.checksum import Running, of_parts
from asyncmirror.errors import ChangedError, SourceError, StoreError
from asyncmirror.journal.ordered import Kept
from asyncmirror.model import Body, Checksum, Completed, Receipt
from asyncmirror.settings import MIB
from asyncmirror.source.beneath import Beneath, classify, identity_of
from asyncmirror.source.read import OpenFile
from asyncmirror.source.walk import File
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store
from asyncmirror.transfer.budget import ByteBudget

_PIECE = MIB
_LOOKS = 3
"""How often an object's download that breaks off, or a file that changes under the reader, is begun anew."""
_NOT_FOUND = 404
_ELSEWHERE = (errno.ENOTDIR, errno.ELOOP)


class Contents:
    """Reads, and says what came of it. Called by many tasks at once.

    Args:
        store: Where objects are downloaded from; None: they are not.
        beneath: The source; None: it is not read.
        readers: The threads that read.
        max_memory: Bytes that may be held at once.
    """

    def __init__(self, store: Store | None, beneath: Beneath | None, readers: Executor, max_memory: int) -> None:
        self.bytes_read = 0
        self._store = store
        self._beneath = beneath
        self._readers = readers
        self._budget = ByteBudget(max_memory)

    async def inspect(self, kept: Kept) -> Finding:
        """The verdict on an object that the listing has as it was confirmed.

        Raises:
            StoreError: It could not be downloaded.
        """
        finding = Finding(Verdict.EQUAL, kept.key, kept.path, kept.completed.identity.size)
        if not kept.completed.checksum.digest:
            return finding._replace(verdict=Verdict.UNPROVEN, reason="it was adopted by its size alone (--trust-size)")
        if self._store is not None:
            verdict, reason = await self._download(self._store, kept)
            if verdict is not Verdict.EQUAL:
                return finding._replace(verdict=verdict, reason=reason)
        if self._beneath is not None:
            verdict, reason = await self._read(self._beneath, kept)
            return finding._replace(verdict=verdict, reason=reason)
        return finding

    async def _read(self, beneath: Beneath, kept: Kept) -> tuple[Verdict, str]:
        checksum, part_size = kept.completed.checksum, kept.completed.part_size
        # A digest over parts needs each of them whole.
        held = min(_PIECE if checksum.algorithm.full_object else max(_PIECE, part_size), self._budget.capacity)
        await self._budget.acquire(held)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._readers, look, beneath, kept)
        finally:
            self._budget.release(held)
        self.bytes_read += kept.completed.identity.size
        return found

    async def _download(self, store: Store, kept: Kept) -> tuple[Verdict, str]:
        attempts = 0
        while True:
            attempts += 1
            digest = Digest(kept.completed)
            await self._budget.acquire(_PIECE)
            try:
                async with closing(store.get_object(kept.key)) as pieces:
                    async for piece in pieces:
                        digest.update(piece)
                        self.bytes_read += len(piece)
            except StoreError as error:
                if error.status == _NOT_FOUND:
                    return Verdict.MISSING, "it is listed, and is not in the bucket"
                if not error.retryable or attempts == _LOOKS:
                    raise
            else:
                if digest.checksum() == kept.completed.checksum:
                    return Verdict.EQUAL, ""
                return Verdict.DIFFERENT, f"its {digest.size:,} bytes in the bucket are not those that were confirmed"
            finally:
                self._budget.release(_PIECE)


class Digest:
    """The checksum of an object whose bytes come in pieces, computed as the one on record was."""

    def __init__(self, completed: Completed) -> None:
        self.size = 0
        self._algorithm = completed.checksum.algorithm
        self._part_size = completed.part_size if completed.checksum.parts else 0
        self._digests: list[Checksum] = []
        self._running = Running(self._algorithm)

    def update(self, data: Body) -> None:
        """Take in the next piece."""
        rest = memoryview(data)
        while self._part_size and self.size % self._part_size + len(rest) >= self._part_size:
            room = self._part_size - self.size % self._part_size
            self._running.update(rest[:room])
            self._digests.append(self._running.checksum())
            self._running = Running(self._algorithm)
            self.size += room
            rest = rest[room:]
        self._running.update(rest)
        self.size += len(rest)

    def checksum(self) -> Checksum:
        """The checksum of all pieces."""
        if not self._part_size:
            return self._running.checksum()
        digests = [*self._digests, *([self._running.checksum()] if self.size % self._part_size else [])]
        return of_parts(self._algorithm, (Receipt(number, 0, "", digest) for number, digest in enumerate(digests, 1)))


def look(beneath: Beneath, kept: Kept) -> tuple[Verdict, str]:
    """Read a file of the source anew, and hold it against what was sent. Blocks."""
    for _ in range(_LOOKS):
        try:
            return _compare(beneath, kept)
        except FileNotFoundError:
            return Verdict.CHANGED, "it is gone from the source"
        except OSError as error:
            return Verdict.UNREADABLE, str(classify(error, "stat"))
        except ChangedError:
            continue
        except SourceError as error:
            return Verdict.UNREADABLE, str(error)
    return Verdict.CHANGED, "it changed while it was read"


def _compare(beneath: Beneath, kept: Kept) -> tuple[Verdict, str]:
    before = kept.completed
    file = _locate(beneath, kept)
    if file is None:
        return Verdict.EQUAL, ""
    if file.identity.size != before.identity.size:
        return Verdict.CHANGED, f"the file has {file.identity.size:,} bytes by now; the next sync sends it"
    with OpenFile(beneath, file, drop_cache=True) as opened:
        value = opened.checksum(before.checksum.algorithm, before.part_size if before.checksum.parts else 0, _PIECE)
    if value == before.checksum:
        return Verdict.EQUAL, ""
    if file.identity.same_file(before.identity):
        return Verdict.DAMAGED, "the source gives other bytes than were sent, and says that the file is the same"
    return Verdict.CHANGED, "the file has other bytes by now; the next sync sends it"


def _locate(beneath: Beneath, kept: Kept) -> File | None:
    """Where the file stands, links followed as the scan followed them; None for a link on record, which has no bytes.

    Raises:
        OSError: It can't be found.
    """
    try:
        status = beneath.status(kept.parent, kept.name)
        if stat.S_ISREG(status.st_mode):
            return File(kept.name, identity_of(status), kept.parent, kept.name)
        if stat.S_ISLNK(status.st_mode) and identity_of(status).same_file(kept.completed.identity):
            return None
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
    location = beneath.resolve(kept.parent, kept.name)
    if location is None:
        raise FileNotFoundError(errno.ENOENT, "it leads outside the source by now")
    parent, _, name = location.rpartition(b"/")
    return File(kept.name, identity_of(beneath.status(parent, name)), parent, name)
