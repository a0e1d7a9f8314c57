"""How many bodies may be on their way at once, where only so many bytes may go a second.

Owns the decision. Pure. All that are on their way go on together, in equal shares: with a low limit many of them would crawl,
none would be through for minutes, and a kill would lose what had gone of each. So no more begin than the limit carries through
in a few seconds. What counts is what waits for the limit, not what waits for its answer or for the network: small objects at a
store far away, or a line that is slower than the limit, have as many as ever.
"""

AHEAD = 2.0
"""Seconds of the rate that may wait: so long may a body take from its admission to its first byte, and the line is not idle."""


def admits(waiting: int, rate: float | None, sharers: int = 1) -> bool:
    """Whether one more body may begin, whatever its size: one at least is always on its way.

    Args:
        waiting: Bytes of those that have begun and may not leave yet.
        rate: Bytes a second; None: as many as can be.
        sharers: Processes among which the rate is shared.
    """
    return rate is None or waiting * sharers < rate * AHEAD
