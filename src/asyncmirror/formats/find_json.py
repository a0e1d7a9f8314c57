"""``find.json``: the outline of a tree as nested JSON arrays, as DESI's upload pipeline keeps it.

Owns writing the current layout, ``[name, type, size, *children]``, and which of three layouts is read: that one, the older
``[name, type, *children, size]`` for directories, and either with the type in quotes. A type is 0 for a directory, 1 for a
file, -1 for what is neither or could not be looked at (size 0), and for a directory that could not be listed to its end. The
root's name is the last component of its path; the path itself is not in the file. Sizes are bytes.

Nothing is recursive and nothing is held but the directories above the place where one reads or writes, and 8 bytes for each
directory that has entries: its size stands before its entries in one layout and after them in the others, so that a file is
read once to add sizes up and then again. docs/formats.md tells users.
"""

import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, NoReturn, Self

from asyncmirror.errors import UsageError
from asyncmirror.formats import names
from asyncmirror.formats.find_tokens import Node, Tokens
from asyncmirror.plan.outline import LEAVE, Kind, Move, Step

_FLUSH = 1 << 16
_AGAIN = "crawl the tree again with asyncmirror find"
_MOST = (1 << 63) - 1
_DEEPEST = 4096
"""Linux takes no path of more bytes (limits.h, PATH_MAX)."""


def write(file: BinaryIO, steps: Iterable[Step]) -> None:
    """Write an outline in the current layout, one line.

    Raises:
        OSError: It can't be written.
    """
    buffer = bytearray()
    comma = b""
    for move, name, kind, size in steps:
        if move is Move.LEAVE:
            buffer += b"]"
            continue
        buffer += b"%b[%b,%d,%d" % (comma, names.to_json(name), max(kind, Kind.UNKNOWN), size)
        comma = b","
        if move is Move.ENTRY:
            buffer += b"]"
        if len(buffer) >= _FLUSH:
            file.write(buffer)
            buffer.clear()
    file.write(buffer + b"\n")


class _Open(NamedTuple):
    """A directory that is being read: where its size stands among the sizes, and what it says of its size itself."""

    place: int
    stated: int | None


class FindFile:
    """A ``find.json`` of any layout, open for reading. A context manager.

    `name` is the root's, `size` what all files add up to, `entries` how many nodes there are, and `misstated` how many
    directories state a size that is not the sum of their entries: the sum is told.
    """

    def __init__(self, path: Path) -> None:
        """Open a file and read it once.

        Raises:
            UsageError: It can't be read or is no such file; the error names the byte.
        """
        self._path = path
        self._file = _seekable(path)
        self.name = b""
        self.size = 0
        self.entries = 0
        self.misstated = 0
        self._sizes = array("q")
        try:
            self._measure()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def steps(self) -> Iterator[Step]:
        """The outline.

        Raises:
            UsageError: The file is another than when it was opened.
        """
        sizes = iter(self._sizes)
        left = self.entries
        for token in self._tokens():
            if not isinstance(token, Node):
                yield LEAVE
                continue
            if not left:
                self._changed()
            left -= 1
            if token.entered:
                yield Step(Move.ENTER, token.name, _KINDS[token.kind], next(sizes, 0))
            else:
                yield Step(Move.ENTRY, token.name, _KINDS[token.kind], token.size or 0)
        if left:
            self._changed()

    def _tokens(self) -> Tokens:
        self._file.seek(0)
        return Tokens(self._file, os.fspath(self._path), _AGAIN)

    def _changed(self) -> NoReturn:
        raise UsageError("it changed while it was read", path=os.fspath(self._path), hint="run the command again")

    def _measure(self) -> None:
        """Add up the size of each directory that has entries, in the order in which they begin."""
        tokens = self._tokens()
        above: list[_Open] = []
        for token in tokens:
            if isinstance(token, Node):
                self._check(token, len(above), tokens)
                self.entries += 1
                if token.entered:
                    above.append(_Open(len(self._sizes), token.size))
                    self._sizes.append(0)
                    continue
                size = token.size or 0
            else:
                place, stated = above.pop()
                size = self._sizes[place]
                self.misstated += size != (token.size if stated is None else stated)
            if above:
                if self._sizes[above[-1].place] > _MOST - size:
                    tokens.refuse("sizes add up to more than 8 EiB")
                self._sizes[above[-1].place] += size
            else:
                self.size = size

    def _check(self, node: Node, depth: int, tokens: Tokens) -> None:
        if not depth:
            self.name = node.name
        elif not node.name or node.name in (b".", b"..") or b"/" in node.name:
            tokens.refuse(f"{os.fsdecode(node.name)!r} is no name of an entry")
        if node.kind not in _KINDS:
            tokens.refuse(f"{node.kind} is no type of an entry")
        if node.entered and node.kind == Kind.FILE:
            tokens.refuse("a file that has entries")
        if depth > _DEEPEST:
            tokens.refuse(f"directories stand in each other more than {_DEEPEST:,} deep")


_KINDS = {kind.value: kind for kind in (Kind.UNKNOWN, Kind.DIRECTORY, Kind.FILE)}


def _seekable(path: Path) -> BinaryIO:
    """The file, or a copy of what comes out of a pipe: it is read twice."""
    try:
        file = open(path, "rb")  # noqa: SIM115  FindFile closes it
    except OSError as error:
        raise UsageError(f"it can't be read: {error.strerror or error}", path=os.fspath(path)) from None
    try:
        if file.seekable():
            return file
        with file:
            copy = tempfile.TemporaryFile()  # noqa: SIM115  the same
            shutil.copyfileobj(file, copy)
            return copy
    except OSError as error:
        raise UsageError(f"it can't be read: {error.strerror or error}", path=os.fspath(path)) from None
