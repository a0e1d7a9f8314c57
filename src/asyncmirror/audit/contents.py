"""Bytes held against the checksums on record: the source's, read anew, and the store's, downloaded.

Owns what a comparison proves, and of whom. A file of the same identity with other bytes is damaged: what is in the bucket may
be the better copy, and nobody should overwrite it. A file of another identity has changed since, and the next sync sees to
it. Bytes are read a piece at a time, so that memory does not grow with files.
"""

import asyncio
import errno
import stat
import threading
from concurrent.futures import CancelledError, Executor

from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.checksum import Running, of_parts
from asyncmirror.errors import ChangedError, PreconditionError, SourceError, StoreError
from asyncmirror.journal.ordered import Kept
from asyncmirror.model import Body, Checksum, Receipt
from asyncmirror.plan.parts import Part
from asyncmirror.sizes import MIB
from asyncmirror.source.beneath import Beneath, classify, identity_of
from asyncmirror.source.read import OpenFile
from asyncmirror.source.walk import File
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store

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
        stopped: Set when nobody wants to know any more, so that the threads end soon.
    """

    def __init__(self, store: Store | None, beneath: Beneath | None, readers: Executor, stopped: threading.Event) -> None:
        self.bytes_read = 0
        self._store = store
        self._beneath = beneath
        self._readers = readers
        self._stopped = stopped

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
        found = await asyncio.get_running_loop().run_in_executor(self._readers, look, beneath, kept, self._stopped)
        self.bytes_read += kept.completed.identity.size
        return found

    async def _download(self, store: Store, kept: Kept) -> tuple[Verdict, str]:
        attempts = 0
        while True:
            attempts += 1
            digest = Digest(kept.completed.checksum, kept.completed.part_size)
            try:
                async with closing(store.get_object(kept.key, etag=kept.completed.etag)) as pieces:
                    async for piece in pieces:
                        digest.update(piece)
                        self.bytes_read += len(piece)
            except PreconditionError:
                return Verdict.DIFFERENT, "it was replaced by another object while it was looked at"
            except StoreError as error:
                if error.status == _NOT_FOUND:
                    return Verdict.MISSING, "it is listed, and is not in the bucket"
                if not error.retryable or attempts == _LOOKS:
                    raise
            else:
                if digest.checksum() == kept.completed.checksum:
                    return Verdict.EQUAL, ""
                return Verdict.DIFFERENT, f"its {digest.size:,} bytes in the bucket are not those that were confirmed"


class Digest:
    """A checksum of bytes that come in pieces, made as another was: over all of them, or over parts of `part_size` bytes."""

    def __init__(self, like: Checksum, part_size: int) -> None:
        self.size = 0
        self._algorithm = like.algorithm
        self._part_size = part_size if like.parts else 0
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


def read_through(opened: OpenFile, digest: "Digest", stopped: threading.Event) -> Checksum:
    """The checksum of an open file, read a piece at a time. Blocks.

    Raises:
        SourceError: As `OpenFile.read`.
        CancelledError: Nobody wants to know any more.
    """
    for data in opened.pieces(Part(1, 0, opened.identity.size), _PIECE):
        digest.update(data)
        if stopped.is_set():
            raise CancelledError
    return digest.checksum()


def look(beneath: Beneath, kept: Kept, stopped: threading.Event) -> tuple[Verdict, str]:
    """Read a file of the source anew, and hold it against what was sent. Blocks."""
    for _ in range(_LOOKS):
        try:
            return _compare(beneath, kept, stopped)
        except FileNotFoundError:
            return Verdict.CHANGED, "it is gone from the source"
        except OSError as error:
            return Verdict.UNREADABLE, str(classify(error, "stat"))
        except ChangedError:
            continue
        except SourceError as error:
            return Verdict.UNREADABLE, str(error)
    return Verdict.CHANGED, "it changed while it was read"


def _compare(beneath: Beneath, kept: Kept, stopped: threading.Event) -> tuple[Verdict, str]:
    before = kept.completed
    if _is_link(beneath, kept):
        return Verdict.EQUAL, ""
    file = find(beneath, kept.parent, kept.name)
    if file.identity.size != before.identity.size:
        return Verdict.CHANGED, f"the file has {file.identity.size:,} bytes by now; the next sync sends it"
    with OpenFile(beneath, file, drop_cache=True) as opened:
        value = read_through(opened, Digest(before.checksum, before.part_size), stopped)
    if value == before.checksum:
        return Verdict.EQUAL, ""
    if file.identity.same_file(before.identity):
        return Verdict.DAMAGED, "the source gives other bytes than were sent, and says that the file is the same"
    return Verdict.CHANGED, "the file has other bytes by now; the next sync sends it"


def find(beneath: Beneath, directory: bytes, name: bytes) -> File:
    """Where a file of the source stands, links followed as a scan follows them.

    Raises:
        FileNotFoundError: No file is there: nothing, something else, or a link that leads to none.
        OSError: It can't be looked at.
    """
    try:
        status = beneath.status(directory, name)
        if stat.S_ISREG(status.st_mode):
            return File(name, identity_of(status), directory, name)
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
    try:
        location = beneath.resolve(directory, name)
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
        location = None
    parent, _, real_name = (location or b"").rpartition(b"/")
    if not real_name or not stat.S_ISREG((status := beneath.status(parent, real_name)).st_mode):
        raise FileNotFoundError(errno.ENOENT, "no file is there by now")
    return File(name, identity_of(status), parent, real_name)


def directory_at(beneath: Beneath, path: bytes) -> bytes:
    """Where a directory of the source stands, links followed as a scan follows them.

    Raises:
        OSError: It can't be found.
    """
    parent, _, name = path.rpartition(b"/")
    try:
        if not path or stat.S_ISDIR(beneath.status(parent, name).st_mode):
            return path
    except OSError as error:
        if error.errno not in _ELSEWHERE:
            raise
    location = beneath.resolve(parent, name)
    if location is None:
        raise FileNotFoundError(errno.ENOENT, "it leads outside the source by now")
    return location


def _is_link(beneath: Beneath, kept: Kept) -> bool:
    """Whether it is a symbolic link on record, the same as then: it has no bytes to compare."""
    try:
        status = beneath.status(kept.parent, kept.name)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) and identity_of(status).same_file(kept.completed.identity)
