"""Stable reads: bytes that were read while the file's identity did not change, with their checksum.

Owns the rule that makes a read trustworthy: `fstat` before the first byte and after the last, exact length. Runs in threads;
knows no asyncio, no memory budget and no store.
"""

import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from asyncmirror.checksum import Running, compute, of_parts
from asyncmirror.errors import ChangedError, SourceError
from asyncmirror.model import Algorithm, Checksum, Identity, Receipt
from asyncmirror.plan.parts import Part, parts
from asyncmirror.source.beneath import Beneath, classify, identity_of
from asyncmirror.source.walk import File


class Whole(NamedTuple):
    """All bytes of a small file, their checksum, and the identity under which they were read.

    `rule` is what whoever looked into them found (`plan.secrets`); empty where nobody did, or nothing.
    """

    data: bytes
    checksum: Checksum
    identity: Identity
    rule: str = ""


class OpenFile:
    """A file held open while its parts are read. Positional reads: several threads may use it at once."""

    def __init__(self, beneath: Beneath, file: File, *, drop_cache: bool = False) -> None:
        """Open it.

        Args:
            beneath: Where.
            file: Which.
            drop_cache: Tell the kernel that what was read won't be read again, so that it keeps others' pages instead.

        Raises:
            SourceError: It can't be opened, or is no regular file any more.
            ChangedError: It is not the file that was scanned.
        """
        try:
            self._descriptor, status = beneath.open_file(file.directory, file.real_name)
        except OSError as error:
            raise classify(error, "open") from None
        self.identity = identity_of(status)
        self._drop_cache = drop_cache
        if self.identity != file.identity:
            self.close()
            raise ChangedError("it changed after it was scanned", op="open")

    def read(self, part: Part, algorithm: Algorithm, buffer: bytearray) -> Checksum:
        """Read one part into a buffer of its length; gives the checksum.

        Raises:
            ChangedError: The file is shorter than it was, or its identity changed while it was read.
            UnreadableError: The file system refused.
        """
        _read_into(self._descriptor, memoryview(buffer), part.offset)
        if self._drop_cache:
            os.posix_fadvise(self._descriptor, part.offset, part.length, os.POSIX_FADV_DONTNEED)
        self.verify()
        return compute(algorithm, buffer)

    def verify(self) -> None:
        """Make sure that the file is still what it was when it was opened.

        Raises:
            ChangedError: It is not.
        """
        try:
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise classify(error, "stat") from None
        if identity_of(status) != self.identity:
            raise ChangedError("it changed while it was read", op="read")

    def checksum(self, algorithm: Algorithm, part_size: int, piece: int) -> Checksum:
        """The checksum that an object of this file has, read anew.

        Args:
            algorithm: Which.
            part_size: The part size in bytes of the multipart upload that made the object; 0: a single PUT.
            piece: How many bytes may be in memory at once.

        Raises:
            SourceError: As `read`.
        """
        size = self.identity.size
        if part_size and not algorithm.full_object:
            values = (self.read(part, algorithm, bytearray(part.length)) for part in parts(size, part_size))
            return of_parts(algorithm, (Receipt(number, 0, "", value) for number, value in enumerate(values, 1)))
        running = Running(algorithm)
        for data in self.pieces(Part(1, 0, size), piece):
            running.update(data)
        return running.checksum()

    def pieces(self, part: Part, piece: int) -> Iterator[bytes]:
        """The bytes of one part, at most `piece` at a time.

        Raises:
            SourceError: As `read`.
        """
        for _, offset, length in parts(part.length, piece):
            yield _read(self._descriptor, length, part.offset + offset)
        self.verify()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _unseen(_: bytes) -> str:
    return ""


def read_whole(
    beneath: Beneath, file: File, algorithm: Algorithm, look: Callable[[bytes], str] = _unseen
) -> Whole | SourceError:
    """Read a small file: what it gave, or why it gave nothing. An error is a value here: files are read several at once.

    Args:
        beneath: Where.
        file: Which.
        algorithm: Of its checksum.
        look: Looks into the bytes; what it says becomes `Whole.rule`.
    """
    try:
        descriptor, status = beneath.open_file(file.directory, file.real_name)
    except OSError as error:
        return classify(error, "open")
    try:
        before = identity_of(status)
        if before != file.identity:
            return ChangedError("it changed after it was scanned", op="open")
        data = _read(descriptor, before.size, 0)
        if identity_of(os.fstat(descriptor)) != before:
            return ChangedError("it changed while it was read", op="read")
        return Whole(data, compute(algorithm, data), before, look(data))
    except SourceError as error:
        return error
    except OSError as error:
        return classify(error, "read")
    finally:
        os.close(descriptor)


def _read(descriptor: int, length: int, offset: int) -> bytes:
    """Exactly `length` bytes from `offset` on."""
    try:
        data = os.pread(descriptor, length, offset)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                raise ChangedError("it became shorter while it was read", op="read")
            data += more
    except OSError as error:
        raise classify(error, "read") from None
    return data


def _read_into(descriptor: int, buffer: memoryview, offset: int) -> None:
    """Fill a buffer with the bytes from `offset` on."""
    try:
        while buffer:
            count = os.preadv(descriptor, [buffer], offset)
            if not count:
                raise ChangedError("it became shorter while it was read", op="read")
            buffer, offset = buffer[count:], offset + count
    except OSError as error:
        raise classify(error, "read") from None
