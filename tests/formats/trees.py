"""Outlines for tests: trees of Python values, hypothesis's and given ones, and what they come to as steps."""

from collections.abc import Iterator
from typing import NamedTuple

from hypothesis import strategies as st

from asyncmirror.plan.outline import LEAVE, Kind, Move, Step


class Tree(NamedTuple):
    name: bytes
    kind: Kind
    own: int = 0  # bytes of an entry without entries
    entries: tuple["Tree", ...] = ()

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.entries) if self.entries else self.own

    def steps(self) -> Iterator[Step]:
        if not self.entries:
            yield Step(Move.ENTRY, self.name, self.kind, self.own)
            return
        yield Step(Move.ENTER, self.name, self.kind, self.size)
        for entry in self.entries:
            yield from entry.steps()
        yield LEAVE

    def leaves(self, above: bytes | None = None) -> Iterator[tuple[bytes, int]]:
        """Paths below the root, and sizes, of all that has no entries."""
        path = b"" if above is None else above + b"/" + self.name if above else self.name
        if not self.entries:
            yield path, self.own
        for entry in self.entries:
            yield from entry.leaves(path)


def node(name: str, *rest: object) -> Tree:
    """A tree as it stands in the current layout: name, kind, size, entries."""
    kind, size, *entries = rest
    assert isinstance(kind, int)
    assert isinstance(size, int)
    return Tree(name.encode("utf-8", "surrogateescape"), Kind(kind), size, tuple(node(*entry) for entry in entries))  # type: ignore[misc]  # nested lists


NASTY = (
    b"a",
    b"ab",
    b"\xff",
    b"\xed\xa0\x80",
    b'"',
    b"\\u0041",
    b"\n",
    b"\x1b[31m",
    "é".encode(),
    "😀".encode(),
    b" ",
    b"[",
    b"a,b]",
)
NAMES = st.one_of(st.sampled_from(NASTY), st.binary(min_size=1, max_size=4)).map(lambda n: n.translate(None, b"/\0.") or b"_")
SIZES = st.one_of(st.integers(0, 5), st.integers(0, 1000), st.integers(0, 1 << 50))
KINDS = st.sampled_from((Kind.FILE, Kind.FILE, Kind.FILE, Kind.DIRECTORY, Kind.DIRECTORY, Kind.UNKNOWN))
# How many levels up from the entry before, what, how large, called what. A flat list is drawn much faster than a nested one.
_ENTRIES = st.lists(st.tuples(st.integers(0, 2), KINDS, SIZES, st.sampled_from(NASTY)), max_size=25)


def _grow(entries: list[tuple[int, Kind, int, bytes]]) -> Tree:
    """A tree: an entry stands in the directory before it, or so many levels above. Its number makes its name the only one."""
    above: list[tuple[bytes, int, list[Tree]]] = [(b"root", 0, [])]

    def leave() -> None:
        name, own, found = above.pop()
        above[-1][2].append(Tree(name, Kind.DIRECTORY, 0 if found else own, tuple(found)))

    for number, (up, kind, size, name) in enumerate(entries):
        for _ in range(min(up, len(above) - 1)):
            leave()
        unique = name + b"%d" % number
        if kind is Kind.DIRECTORY:
            above.append((unique, size, []))
        else:
            above[-1][2].append(Tree(unique, kind, size if kind is Kind.FILE else 0))
    while len(above) > 1:
        leave()
    return Tree(b"root", Kind.DIRECTORY, 0, tuple(above[0][2]))


TREES = _ENTRIES.map(_grow)
