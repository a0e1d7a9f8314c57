"""The outline of a tree whose directories come in any order, from several threads.

Owns a temporary file that holds the entries, and in memory one small value for each directory: its name, its size, and where
its entries stand in the file. They come in sorted pieces, which are merged when the outline is told; so memory is bounded by
the number of directories, and by 4 KiB for each piece of the largest one. Knows no walk and no format.
"""

import contextlib
import heapq
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from asyncmirror.errors import OutputError
from asyncmirror.plan.outline import LEAVE, Kind, Move, Step

_BLOCK = 1 << 16
_SMALL_BLOCK = 1 << 12
_MANY_PIECES = 16
_REMEDY = "free some space beside the file that is to be written, or where TMPDIR points to"
# No name holds a slash or a NUL: the one ends a field, the other a record, and two of them a piece.
_END = b"\0"


class Entry(NamedTuple):
    """What a directory lists that is no directory itself; `size` in bytes."""

    name: bytes
    kind: Kind
    size: int


class _Directory:
    __slots__ = ("children", "pieces", "size", "unreadable")

    def __init__(self) -> None:
        self.size = 0
        self.unreadable = False
        self.children: dict[bytes, _Directory] | None = None
        self.pieces: tuple[int, ...] = ()


class Spool:
    """Collects an outline, then tells it as often as it is asked. Close it at the end."""

    def __init__(self, directory: Path | None = None, depth: int | None = None) -> None:
        """Make the temporary file, in this directory or where such files usually are.

        What is more than `depth` levels below the root is only added up; None: nothing is.

        Raises:
            OutputError: It can't be made there.
        """
        try:
            self._file = tempfile.TemporaryFile(dir=directory, buffering=_BLOCK)  # noqa: SIM115  `close` does it
        except OSError as error:
            raise OutputError(
                f"no temporary file can be made: {error.strerror or error}", path=os.fspath(directory or tempfile.gettempdir())
            ) from None
        self._depth = depth
        self._root = _Directory()
        self._length = 0
        self._lock = threading.Lock()

    def add(self, path: bytes, entries: Iterable[Entry], *, unreadable: bool = False) -> None:
        """Take a directory, or a piece of it: `path` is below the root, empty for the root itself. From any thread.

        Raises:
            OutputError: The temporary file can't be written.
        """
        found = sorted(entries)
        size = sum(entry.size for entry in found)
        names = path.split(b"/") if path else []
        shown = self._depth is None or len(names) < self._depth
        piece = b"".join(b"%b/%d/%d\0" % entry for entry in found) + _END if found and shown else b""
        with self._lock:
            directory = self._root
            directory.size += size
            for name in names[: self._depth]:
                if directory.children is None:
                    directory.children = {}
                directory = directory.children.setdefault(name, _Directory())
                directory.size += size
            directory.unreadable |= unreadable
            if piece:
                with _translated():
                    self._file.write(piece)
                directory.pieces += (self._length,)
                self._length += len(piece)

    def steps(self, name: bytes) -> Iterator[Step]:
        """Tell the outline of a root of this name: directories first, then the other entries, each by name.

        Raises:
            OutputError: The temporary file can't be written.
        """
        with _translated():
            self._file.flush()
        yield from self._directory(name, self._root)

    def _directory(self, name: bytes, directory: _Directory) -> Iterator[Step]:
        """One directory and all below it, without recursion: a tree may be deeper than Python's stack."""
        stack: list[tuple[_Directory, Iterator[tuple[bytes, _Directory]]]] = []
        following: tuple[bytes, _Directory] | None = (name, directory)
        while True:
            if following is None:
                yield from self._entries(stack.pop()[0])
                yield LEAVE
            else:
                name, directory = following
                kind = Kind.UNREADABLE if directory.unreadable else Kind.DIRECTORY
                if directory.children or directory.pieces:
                    yield Step(Move.ENTER, name, kind, directory.size)
                    stack.append((directory, iter(sorted((directory.children or {}).items(), key=_name))))
                else:
                    yield Step(Move.ENTRY, name, kind, directory.size)
            if not stack:
                return
            following = next(stack[-1][1], None)

    def _entries(self, directory: _Directory) -> Iterator[Step]:
        block = _BLOCK if len(directory.pieces) < _MANY_PIECES else _SMALL_BLOCK
        pieces = [self._piece(offset, block) for offset in directory.pieces]
        return heapq.merge(*pieces, key=lambda step: step.name) if len(pieces) > 1 else iter(pieces[0] if pieces else ())

    def _piece(self, offset: int, block: int) -> Iterator[Step]:
        rest = b""
        while True:
            read = os.pread(self._file.fileno(), block, offset)
            if not read:
                raise OutputError("the temporary file has lost its end")
            offset += len(read)
            *records, rest = (rest + read).split(_END)
            for record in records:
                if not record:
                    return
                name, kind, size = record.split(b"/")
                yield Step(Move.ENTRY, name, Kind(int(kind)), int(size))

    def close(self) -> None:
        """Give the temporary file up, with what could not be written to it."""
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Tell of a temporary file that can't be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"the temporary file can't be written: {error.strerror or error}", hint=_REMEDY) from error


def _name(item: tuple[bytes, _Directory]) -> bytes:
    return item[0]
