"""What a tree holds, told step by step: the form in which a crawl, a file tree on disk and a plan speak to each other.

Owns the names. A tree is told in preorder, the size of all that is in a directory before what is in it, so that whoever listens
can decide at once and remembers no more than the directories above. Only a directory of which entries are listed is entered;
any other entry is told in one step. Knows no file, no format and no walk.
"""

from enum import Enum, IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What an entry is. The numbers from -1 on are those of ``find.json``."""

    UNREADABLE = -2  # a directory that could not be listed, or not to its end
    UNKNOWN = -1  # neither a file nor a directory, or nobody could tell
    DIRECTORY = 0
    FILE = 1


class Move(Enum):
    """Where a step leads."""

    ENTER = 1  # into a directory; its entries follow
    ENTRY = 2  # past an entry
    LEAVE = 3  # out of the directory that was entered last


class Step(NamedTuple):
    """One step. `size` in bytes, of a directory the sum of all that is in it; to leave has neither name nor size."""

    move: Move
    name: bytes
    kind: Kind
    size: int


LEAVE = Step(Move.LEAVE, b"", Kind.DIRECTORY, 0)
