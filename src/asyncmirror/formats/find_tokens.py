"""The nodes of a ``find.json``, one after the other, out of a file that is read in pieces.

Owns the grammar: what makes a node in each layout, and which byte is wrong where none is. Two regular expressions take a node
at a time, because in Python every step costs, however small. Nothing grows with the file, and with its depth only a flag a
level. Knows nothing of what a node means.
"""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

from asyncmirror.errors import UsageError
from asyncmirror.formats import names

_PIECE = 1 << 20
_WINDOW = 1 << 16
"""More bytes than a node has before its first child: a name has 255 at most, each written with six."""
_EXCERPT = 24
# `*+` gives nothing back: what does not match fails at once. A size of more than 18 digits is no file's.
_NODE = re.compile(
    rb"""(?x) [\ \t\r\n]*+ \[ [\ \t\r\n]*+ "( (?: [^"\\\x00-\x1f]++ | \\. )*+ )" [\ \t\r\n]*+ ,
    [\ \t\r\n]*+ ("?)(-?(?:0|[1-9]\d{0,2}))\2 [\ \t\r\n]*+ ,
    [\ \t\r\n]*+ (?: (0|[1-9]\d{0,17}) [\ \t\r\n]*+
        (?: (\]) (?: [\ \t\r\n]*+ (,) (?=[\ \t\r\n]*+\[) )?+ | , (?=[\ \t\r\n]*+\[) ) | (?=\[) )"""
)
_AFTER = re.compile(rb"""(?x) [\ \t\r\n]*+ (?: (\]) | , [\ \t\r\n]*+ (?: (?=\[) | (0|[1-9]\d{0,17}) [\ \t\r\n]*+ (\]) ) )""")
_BLANK = re.compile(rb"[ \t\r\n]*+")


class Node(NamedTuple):
    """A node begins. `kind` is the type's number, `size` None where it stands behind the entries; `entered`: entries follow."""

    name: bytes
    kind: int
    size: int | None
    entered: bool


class End(NamedTuple):
    """The node that was entered last ends; `size` is what stands behind its entries, None where nothing does."""

    size: int | None


class Tokens:
    """Iterates over the nodes of a file, from where it stands."""

    def __init__(self, file: BinaryIO, shown: str, remedy: str) -> None:
        """Read from a file; `shown` is its name in errors, `remedy` what to do then."""
        self._file = file
        self._shown = shown
        self._remedy = remedy
        self._data = b""
        self._at = 0  # in the piece
        self._before = 0  # bytes before the piece
        self._more = True

    def __iter__(self) -> Iterator[Node | End]:
        """Read all of it.

        Raises:
            UsageError: It can't be read, or is no ``find.json``.
        """
        legacy: list[bool] = []  # of each node entered: whether its size stands behind its entries
        begin = True
        while begin or legacy:
            if self._more and len(self._data) - self._at < _WINDOW:
                self._fill()
            if begin:
                match = _NODE.match(self._data, self._at)
                if match is None:
                    self._unexpected("an entry: [name, type, size]")
                name, _, kind, size, closed, comma = match.groups()
                plain = self._name(name) if b"\\" in name else name
                yield Node(plain, int(kind), None if size is None else int(size), closed is None)
                if closed is None:
                    legacy.append(size is None)
                begin = closed is None or (comma is not None and bool(legacy))
                self._at = match.end() if begin else match.end(5)  # behind the bracket
                continue
            match = _AFTER.match(self._data, self._at)
            if match is None:
                self._unexpected("another entry, or the end of the directory")
            begin = match[1] is None and match[3] is None
            if not begin and (match[3] is not None) is not legacy.pop():
                self._unexpected("the layout that the directory begins with: its size before its entries, or else behind them")
            self._at = match.end()
            if not begin:
                yield End(None if match[2] is None else int(match[2]))
        self._end()

    def _name(self, raw: bytes) -> bytes:
        """What stands between quotes and has escapes."""
        try:
            return names.from_text(json.loads('"' + raw.decode("utf-8", "surrogateescape") + '"'))
        except ValueError:
            self.refuse("a name that no file can have")

    def _fill(self) -> None:
        """See that a whole node is there, unless the file ends before."""
        while self._more and len(self._data) - self._at < _WINDOW:
            try:
                read = self._file.read(_PIECE)
            except OSError as error:
                raise UsageError(f"it can't be read: {error.strerror or error}", path=self._shown) from None
            self._before += self._at
            self._data = self._data[self._at :] + read
            self._at = 0
            self._more = bool(read)

    def _end(self) -> None:
        """See that nothing but blanks follows."""
        while True:
            self._fill()
            match = _BLANK.match(self._data, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._data):
                self._unexpected("the end of the file")
            if not self._more:
                return

    def refuse(self, what: str) -> NoReturn:
        """Say what is wrong, and before which byte of the file.

        Raises:
            UsageError: It.
        """
        raise UsageError(f"byte {self._before + self._at:,}: {what}", path=self._shown, hint=self._remedy)

    def _unexpected(self, wanted: str) -> NoReturn:
        blank = _BLANK.match(self._data, self._at)
        self._at = blank.end() if blank is not None else self._at
        found = self._data[self._at : self._at + _EXCERPT]
        if found:
            self.refuse(f"expected {wanted}; found {found.decode('utf-8', 'backslashreplace')!r}")
        if not self._before + self._at:
            raise UsageError("it is empty: a crawl that is aborted leaves such a file", path=self._shown, hint=self._remedy)
        self.refuse(f"the file ends; expected {wanted}")
