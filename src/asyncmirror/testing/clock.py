"""The server's clock: the machine's, moved by as much as a test asks.

Owns the offset. Knows nothing of what the time is used for.
"""

import time


class Clock:
    """Seconds since the epoch, shifted by `offset` seconds."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        """The time the server believes it is, in seconds since the epoch."""
        return time.time() + self.offset

    def shift(self, seconds: float) -> None:
        """Move the clock by some seconds; negative is back."""
        self.offset += seconds
