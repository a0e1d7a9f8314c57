"""Memory for parts, used again and again.

Owns the buffers that are at rest. A fresh buffer of many MiB costs a page fault for every 4 KiB of it, more than reading into
it. How many bytes may be in use is the budget's business: at rest there are never more than were once in use together.
"""

from collections import defaultdict


class Buffers:
    """Buffers by size in bytes. Used by one event loop."""

    def __init__(self) -> None:
        self._at_rest: dict[int, list[bytearray]] = defaultdict(list)

    def take(self, size: int) -> bytearray:
        """A buffer of this size; what is in it is of no meaning."""
        at_rest = self._at_rest[size]
        return at_rest.pop() if at_rest else bytearray(size)

    def give_back(self, buffer: bytearray) -> None:
        """Let others use a buffer. Only when nobody can still be reading it: after a failure, let it go instead."""
        self._at_rest[len(buffer)].append(buffer)
