"""The largest directories of a tree.

Owns the choice. A directory is never smaller than one within it, so that the largest ones are a tree by themselves. Pure;
remembers the directories above and the largest so far.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from asyncmirror.plan.outline import Kind, Move, Step


class Large(NamedTuple):
    """A directory among the largest: its name, how deep it stands (the root: 0), and bytes of all that is in it."""

    name: bytes
    depth: int
    size: int
    kind: Kind


def largest(steps: Iterable[Step], count: int) -> list[Large]:
    """So many of the largest directories, in preorder: each after the one it stands in. Of equal ones the first are taken."""
    heap: list[tuple[int, int, Large]] = []
    depth = 0
    for order, (move, name, kind, size) in enumerate(steps):
        if move is Move.LEAVE:
            depth -= 1
        elif kind in (Kind.DIRECTORY, Kind.UNREADABLE) or move is Move.ENTER:
            # An ancestor comes before what is in it, and so it stays where sizes are equal.
            entry = (size, -order, Large(name, depth, size, kind))
            if len(heap) < count:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)
            depth += move is Move.ENTER
    return [large for _, _, large in sorted(heap, key=lambda entry: -entry[1])]
