"""What the user is told of a store that asks for fewer requests: that it began, that it goes on, that it is over.

Owns the words and how often they are said: what comes and goes every few seconds is told once in a while, what lasts for days
less and less often. The gauges tell the rest. Knows no store.
"""

import time
from collections.abc import Callable

from asyncmirror.events import Flight

_QUIET = 300.0
"""Seconds from one telling to the next that may follow."""
_PREFIXES = 20
"""That are told of in a run, each once."""


class Throttling:
    """The tellings of one run.

    Args:
        tell: Takes the words.
        clock: Gives seconds, never going back.
    """

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._since: float | None = None
        self._refused = 0
        self._told = False
        self._next = clock()
        self._quiet = _QUIET
        self._narrow: set[str] = set()

    def observe(self, flight: Flight) -> None:
        """Take in the gauges, which may have changed."""
        self._divided(flight)
        now = self._clock()
        throttled = flight.throttled
        if self._since is None:
            if throttled and flight.refused > self._refused:  # else it is what an earlier run met, and is over
                self._since, self._told, self._quiet = now, False, _QUIET
                self._begun(now)
            return
        span, refused = now - self._since, flight.refused - self._refused
        if not throttled:
            self._since, self._refused = None, flight.refused
            if self._told:
                self._tell(
                    f"the store admits {flight.limit} requests in flight again, after {span:.0f} s; it turned {refused:,} away"
                )
        elif not self._told:
            self._begun(now)
        elif now >= self._next:
            self._quiet *= 2
            self._next = now + self._quiet
            self._tell(
                f"for {span / 60:.0f} min the store has asked for fewer requests: {flight.limit} of {flight.most} in flight,"
                f" {refused:,} turned away; no file fails for that"
            )

    def _divided(self, flight: Flight) -> None:
        for prefix, limit in flight.narrow:
            if prefix not in self._narrow and len(self._narrow) < _PREFIXES:
                self._narrow.add(prefix)
                self._tell(
                    f"the store admits fewer requests under {prefix} than elsewhere (SlowDown): it gets {limit} in flight for"
                    " now, the others as many as before, and no file fails for that"
                )

    def _begun(self, now: float) -> None:
        if now >= self._next:
            self._told = True
            self._next = now + self._quiet
            self._tell("the store asks for fewer requests (SlowDown): it gets fewer, and no file fails for that")
