"""Whether one limit on requests in flight gives more than another: windows of both, held against each other.

Owns what a window is, what it says, and when a comparison is a verdict. Pure. Which limits are compared, `plan.climb` decides.

A window lasts until every slot has been used again, and at least `SHORTEST`; after a change of the limit a first such turn is
let pass, because what it ends was begun before. So no request needs a clock, and no latency has to be guessed. A window in
which slots stood empty says nothing of the limit: whoever reads or scans is slower.

What one window gives more than another is what requests and bytes per second agree on: the smaller of both changes, and none
where they disagree. So the step from small objects to large parts, which take hundreds of times longer, is no loss.
"""

import math
from typing import NamedTuple

SHORTEST = 0.25
"""Seconds of a window: shorter ones measure the machine's hiccups."""
SHORT = 0.1
"""And where the difference to be seen is one of a half or a double."""
LONGEST = 10.0
"""And where the slots take long to be used again."""
FEWEST = 50
"""Requests of a window, however few may be in flight: fewer scatter."""
LONG = 2.0
"""Seconds after which two turns are enough."""
FULL = 0.85
"""Of the limit have been in flight, on average, in a window that says something of it."""

NOISE = 0.04
"""Of one comparison, a logarithm, as long as too few of them were made to tell."""
LEAST_NOISE = 0.005
SURE = 2.3
"""Standard errors by which a verdict has to stand out."""


class Reading(NamedTuple):
    """The gauges at one moment: all but `in_flight` and the two flags count from the beginning."""

    at: float  # seconds
    requests: int = 0  # ended, and not turned away
    sent: int = 0  # bytes of bodies
    in_flight: int = 0
    busy: float = 0.0  # seconds for which the loop had, or waited for, a CPU
    pressed: bool = False  # memory is short
    narrowed: bool = False  # the store has asked for fewer, and `plan.pace` sees to it


class Rate(NamedTuple):
    """What a window came to, per second."""

    requests: float
    sent: float
    busy: float

    def gain(self, before: "Rate") -> float:
        """How much more it is than before, as a logarithm that requests and bytes agree on."""
        requests = math.log(self.requests / before.requests)
        if min(before.sent, self.sent) <= 0:  # no bodies; or a limit had what was counted as sent wait after all
            return requests
        sent = math.log(self.sent / before.sent)
        if requests * sent <= 0:
            return 0.0
        return requests if abs(requests) < abs(sent) else sent


class Window(NamedTuple):
    """What is being measured. `settled`: the turn after a change has passed."""

    first: Reading
    settled: bool = False
    looks: int = 0
    in_flight: int = 0  # the sum over the looks

    def seen(self, reading: Reading) -> "Window":
        """The same after a look."""
        return self._replace(looks=self.looks + 1, in_flight=self.in_flight + reading.in_flight)

    def is_over(self, reading: Reading, limit: int, shortest: float) -> bool:
        """Whether every slot has been used again, and it was not too short: `shortest` in seconds."""
        seconds = reading.at - self.first.at
        if seconds >= LONGEST:
            return True
        ended = reading.requests - self.first.requests
        turned = ended >= max(limit, FEWEST) or (seconds >= LONG and ended >= 2 * limit)
        return turned and (seconds >= shortest or not self.settled)

    def is_full(self, reading: Reading, limit: int) -> bool:
        """Whether the limit was what held requests back."""
        return self.in_flight >= FULL * limit * self.looks and reading.requests > self.first.requests

    def rate(self, reading: Reading) -> Rate:
        """What it came to."""
        first, seconds = self.first, reading.at - self.first.at
        busy = min(1.0, (reading.busy - first.busy) / seconds)
        return Rate((reading.requests - first.requests) / seconds, (reading.sent - first.sent) / seconds, busy)


class Trial(NamedTuple):
    """A limit held against the one that stands. The sums are over the comparisons made so far."""

    limit: int
    stands: int
    since: float  # seconds: when it began
    made: int = 0
    total: float = 0.0
    squares: float = 0.0

    @property
    def step(self) -> float:
        """From the one to the other, a logarithm."""
        return math.log(self.limit / self.stands)

    @property
    def mean(self) -> float:
        """What it gained, as far as that is known."""
        return self.total / max(1, self.made)

    def compared(self, gain: float) -> "Trial":
        """The same after one more comparison."""
        return self._replace(made=self.made + 1, total=self.total + gain, squares=self.squares + gain * gain)

    def is_worth(self, elasticity: float) -> bool | None:
        """Whether it gains so much of what it adds, or loses no more of what it takes; None while that can't be told."""
        least = elasticity * self.step
        noise = NOISE
        if self.made > 2:  # noqa: PLR2004  two say little of their spread
            noise = max(LEAST_NOISE, math.sqrt(max(0.0, self.squares / self.made - self.mean**2)))
        error = SURE * noise / math.sqrt(self.made)
        if abs(self.mean - least) <= error:
            return None
        return self.mean - error > least
