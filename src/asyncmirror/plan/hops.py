"""Where small files are read: on the event loop itself, or in a thread, and how many in one hop to it.

Owns one observation and what follows from it. A hop to a thread costs some 50–100 µs, a read from the page cache 5: where files
are local and cached, reading them on the loop is cheapest. A slow read there would hold up every request, so that the first
signs of one send reading back to the threads, for longer each time. On a network file system the loop never reads. Pure but for
what it has been told; times in seconds.
"""

INLINE_MOST = 256 * 1024
"""Bytes: a larger file is read in a thread, because copying it would hold the loop up."""
# Above what other threads' holding the interpreter makes of a quick read: a read in a thread suffers from that even more.
_SLOW_READ = 0.05
_SLOW_MEAN = 0.001
_WEIGHT = 1 / 32
_FIRST_PENALTY = 256  # files
_LAST_PENALTY = 1 << 17
_FILES_MOST = 16
_HOP_AIM = 0.002
"""Seconds of reading that one hop should be worth: then its own cost is a few per cent."""


class Hops:
    """What was observed in this run.

    Attributes:
        inline: Whether the next small file is to be read on the loop.
        files: How many small files are to be read in one hop.
    """

    def __init__(self, *, local: bool) -> None:
        self.inline = local
        self.files = _FILES_MOST
        self._local = local
        self._mean = 0.0
        self._penalty = _FIRST_PENALTY
        self._until_inline = 0
        self._fast = 0

    def read_inline(self, seconds: float) -> None:
        """A file was read on the loop in so many seconds."""
        self._mean += (seconds - self._mean) * _WEIGHT
        if seconds < _SLOW_READ and self._mean < _SLOW_MEAN:
            self._fast += 1
            if self._fast >= self._penalty:
                self._penalty, self._fast = _FIRST_PENALTY, 0
            return
        self.inline = False
        self._until_inline = self._penalty
        self._penalty = min(2 * self._penalty, _LAST_PENALTY)
        self._mean, self._fast = 0.0, 0

    def read_in_hop(self, files: int, seconds: float) -> None:
        """So many files were read in one hop, in so many seconds."""
        each = seconds / files
        self.files = max(1, min(_FILES_MOST, int(_HOP_AIM / each))) if each > 0 else _FILES_MOST
        if self._local:
            self._until_inline -= files
            self.inline = self._until_inline <= 0
