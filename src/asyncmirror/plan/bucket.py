"""How much may go at a moment where only so much may go a second: a token bucket, as a value and what is drawn from it.

Owns the decision. Pure: the moment is given, in seconds of any clock that never goes back. What is drawn may be more than there
is, as long as there is something: the next waits until the debt is paid, so that the mean is exact whatever the sizes are.

Whoever has not asked for a while has saved up next to nothing (`IDLE`), or a limit would be none for who sends in bursts. Who
was told to wait was only called too late, by a loop or a machine that was busy, and may make up for it (`LATE`).
"""

from typing import NamedTuple

IDLE = 0.05
LATE = 1.0
"""Seconds of the rate that may be saved up."""
_SOON = 0.001
"""Seconds: the least that timers tell apart."""


class Bucket(NamedTuple):
    """What there is, as of a moment: below 0 what went before its time. `wanted`: somebody was told to wait."""

    level: float = 0.0
    at: float = 0.0
    wanted: bool = False

    def draw(self, amount: float, rate: float, now: float) -> tuple["Bucket", float]:
        """Draw an amount, or tell how long it will take until something may be drawn.

        Args:
            amount: How much is wanted.
            rate: What flows in, a second.
            now: The moment, in seconds.

        Returns:
            The bucket afterwards, and the seconds to wait; 0 where the amount was drawn.
        """
        passed = max(0.0, now - self.at)
        late = self.wanted or (self.level > rate * IDLE and passed < IDLE)  # or still making up for it
        level = min(self.level + passed * rate, rate * (LATE if late else IDLE))
        if level > 0:
            return Bucket(level - amount, now), 0.0
        return Bucket(level, now, wanted=True), max(-level / rate, _SOON)
