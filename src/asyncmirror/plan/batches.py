"""Which entries of a tree are uploaded together.

Owns the rule. A directory of at most the largest size stays whole; a larger one is divided into its entries, and so on down.
What results and is smaller than the least size is put together with its neighbours until that size is reached. So every file is
in exactly one batch, every batch is one or several whole entries, and none exceeds the largest size unless it is a single entry
that can't be divided. Smaller than the least size are only the last batch, one whose next entry would not have fitted, and one
of `MOST_PATHS` paths. The same tree gives the same batches. Pure; remembers the directories above and one batch.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asyncmirror.errors import UsageError
from asyncmirror.plan.outline import Move, Step
from asyncmirror.sizes import format_size

MOST_PATHS = 10_000
"""Paths in one batch: a batch is shown, repeated and remembered as one thing."""


class Limits(NamedTuple):
    """Sizes in bytes: a batch has at least `least` where it can, at most `most`."""

    least: int
    most: int

    def check(self) -> "Limits":
        """The same.

        Raises:
            UsageError: No batch could be so.
        """
        if not self.most:
            raise UsageError("--max-size must be more than nothing")
        if self.least > self.most:
            raise UsageError(
                f"--min-size {format_size(self.least)} is more than --max-size {format_size(self.most)}",
                hint="raise the one or lower the other",
            )
        return self


class Batch(NamedTuple):
    """What is uploaded together. A path stands for all that is below it. `size` in bytes, None where nobody has counted."""

    paths: tuple[bytes, ...]
    size: int | None = None
    entries: int | None = None


class _Item(NamedTuple):
    """An entry that stays whole, with all that is below it."""

    path: bytes
    size: int
    entries: int


def divide(steps: Iterable[Step], limits: Limits, subdir: bytes = b"") -> Iterator[Batch]:
    """The batches of a tree, or of one directory or file in it; paths are below the tree's root (empty: the root itself).

    Raises:
        UsageError: The tree has no such `subdir`.
    """
    pool = _Pool(limits)
    for item in _items(steps, limits.most, subdir):
        yield from pool.add(item)
    yield from pool.close()


class _Pool:
    """Puts small neighbours together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._paths: list[bytes] = []
        self._size = 0
        self._entries = 0

    def add(self, item: _Item) -> Iterator[Batch]:
        if item.size >= self._limits.least:
            yield Batch((item.path,), item.size, item.entries)
            return
        if self._size + item.size > self._limits.most:
            yield from self.close()
        self._paths.append(item.path)
        self._size += item.size
        self._entries += item.entries
        if self._size >= self._limits.least or len(self._paths) == MOST_PATHS:
            yield from self.close()

    def close(self) -> Iterator[Batch]:
        if self._paths:
            yield Batch(tuple(self._paths), self._size, self._entries)
            self._paths, self._size, self._entries = [], 0, 0


def _items(steps: Iterable[Step], most: int, subdir: bytes) -> Iterator[_Item]:
    wanted = subdir.split(b"/") if subdir else []
    above: list[bytes] | None = None  # the directories entered, below the root; None: not even the root
    found = not wanted
    walk = iter(steps)
    for step in walk:
        if step.move is Move.LEAVE:
            above = above[:-1] if above else None
            continue
        here = [] if above is None else [*above, step.name]
        inside = here[: len(wanted)] == wanted
        found = found or inside
        if inside and (step.move is Move.ENTRY or step.size <= most):
            yield _Item(b"/".join(here), step.size, _pass_over(step, walk))
        elif step.move is Move.ENTER and (inside or wanted[: len(here)] == here):
            above = here
        else:
            _pass_over(step, walk)
    if not found:
        shown = subdir.decode("utf-8", "surrogateescape")
        raise UsageError(f"the tree has no {shown!r}", hint="give --subdir as a path below the root")


def _pass_over(step: Step, walk: Iterator[Step]) -> int:
    """Take all steps that belong to this one; gives the number of entries, this one included."""
    entries, depth = 1, int(step.move is Move.ENTER)
    while depth:
        move = next(walk).move
        if move is Move.LEAVE:
            depth -= 1
        else:
            entries += 1
            depth += move is Move.ENTER
    return entries
