"""What a run may send in a second: the meters of one process, set as `settings.Tuning` says.

Owns the two meters, and the clock on the wall that a timetable goes by. With several processes they draw from the same pots.
"""

from datetime import UTC, datetime

from asyncmirror.events import Allowance
from asyncmirror.settings import Tuning
from asyncmirror.sizes import KIB
from asyncmirror.store.admission import Admission
from asyncmirror.store.meter import Meter
from asyncmirror.store.pots import SharedPots
from asyncmirror.timetable import Timetable

_LEAST_SLICE = KIB // 2
_LARGEST_SLICE = 256 * KIB
"""Bytes of a body that go at once, whatever the rate."""


class Limits:
    """The limits of a run, in one process.

    Attributes:
        bandwidth: Bytes of bodies, as they go on the wire.
        requests: Requests, each attempt one.
        bodies: Which of them may begin.
        pots: What the run's processes draw from; None where there is one process.
    """

    def __init__(self, tuning: Tuning, pots: SharedPots | None = None) -> None:
        self.pots = pots
        self.bandwidth = Meter(_LEAST_SLICE, _LARGEST_SLICE, None if pots is None else pots.pot(0))
        self.bodies = Admission(self.bandwidth, 1 if pots is None else pots.sharers)
        self.requests = Meter(1, 1, None if pots is None else pots.pot(1))
        self.steer(tuning)

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on."""
        table, requests = tuning.bwlimit, tuning.max_requests_per_second
        self.bandwidth.limit((lambda: _now(table)) if table else None)
        self.requests.limit((lambda: requests) if requests else None)


def allowance(tuning: Tuning) -> Allowance:
    """What a tuning allows at this moment."""
    now = _clock()
    until = tuning.bwlimit.until(now)
    # By the wall clock, which may be set between now and then.
    end = 0.0 if until is None else until.replace(tzinfo=None).timestamp()
    return Allowance(tuning.bwlimit.at(now) or 0, tuning.max_requests_per_second, end)


def _now(table: Timetable) -> int | None:
    return table.at(_clock())


def _clock() -> datetime:
    return datetime.now(tz=UTC).astimezone()
