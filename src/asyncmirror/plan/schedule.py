"""When the next run of a mirror that is watched begins: ``--watch``.

Owns the two forms of a schedule, an interval and times of the day, and every decision about them. An interval is measured on a
clock that nobody sets and that goes on while the machine sleeps; from beginning to beginning, on a grid, so that a run that
takes longer than the interval leaves out what falls into it: runs never overlap, and the tree has its rest. Times of the day
are the wall clock's: one that a change to summer time leaves out comes as much later as the clock was set forward, one that
the change back repeats comes once. What was missed while the machine slept is made up for at once, and once. Pure.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import NamedTuple, TypeAlias

from asyncmirror.errors import UsageError

RETRY_FIRST = 5.0
"""Seconds after which a run that could not go on is tried again the first time."""
RETRY_CAP = 300.0
"""Seconds between two such tries at most."""

LONGEST_DAY = 25 * 3600.0
"""Seconds of a day on which the clock is set back to winter time."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(?:\d{1,9}[smhd])+", re.ASCII | re.IGNORECASE)
_PIECE = re.compile(r"(\d+)([smhd])", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_LONGEST = 366 * 86400
_HINT = 'write an interval such as 15m, or times of the day such as "at 02:00" or "at 02:00, 14:30"'


@dataclass(frozen=True, slots=True)
class Every:
    """So many seconds from one beginning to the next."""

    seconds: int

    def __str__(self) -> str:
        """As `parse` reads it."""
        told, left = "", self.seconds
        for unit, each in sorted(_UNITS.items(), key=lambda unit: -unit[1]):
            count, left = divmod(left, each)
            told += f"{count}{unit}" if count else ""
        return told


@dataclass(frozen=True, slots=True)
class At:
    """At these times of each day, ascending."""

    times: tuple[time, ...]

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"at {', '.join(f'{each:%H:%M}' for each in self.times)}"


Schedule: TypeAlias = Every | At


class Moment(NamedTuple):
    """A reading of both clocks: `wall` in seconds since the epoch; `elapsed` in seconds since any moment, never set."""

    wall: float
    elapsed: float


class Due(NamedTuple):
    """When the next run begins: on the wall clock as far as one can know, and by which clock that is decided."""

    wall: float
    elapsed: float | None = None  # None: the wall clock decides

    def left(self, now: Moment) -> float:
        """Seconds until then; none where it is due."""
        return max(0.0, self.wall - now.wall if self.elapsed is None else self.elapsed - now.elapsed)


def parse(text: str) -> Schedule:
    """Read ``15m``, ``1h30m``, ``at 02:00`` or ``at 02:00, 14:30``.

    Raises:
        UsageError: It is no such thing.
    """
    word, _, rest = text.strip().partition(" ")
    if word.lower() == "at":
        return At(tuple(sorted({_time(each) for each in re.split(r"[\s,]+", rest.strip())})))
    if not _SPAN.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is neither an interval nor times of the day", hint=_HINT)
    seconds = sum(int(count) * _UNITS[unit.lower()] for count, unit in _PIECE.findall(text))
    if not 1 <= seconds <= _LONGEST:
        raise UsageError(f"{text!r} is no interval that can be kept: write from 1s to 366d")
    return Every(seconds)


def _time(text: str) -> time:
    match = _CLOCK.fullmatch(text)
    if match is None or int(match[1]) >= 24 or int(match[2]) >= 60:  # noqa: PLR2004  as clocks have it
        raise UsageError(f"{text!r} is no time of the day", hint=_HINT)
    return time(int(match[1]), int(match[2]))


def following(schedule: Schedule, first: Moment, now: Moment, zone: tzinfo | None = None) -> Due:
    """When the next run begins, if none goes on.

    Args:
        schedule: As it was asked for.
        first: When the first run began: the grid of an interval begins there.
        now: The present moment. What falls on it has begun already.
        zone: Where the wall clock hangs; None: here.
    """
    if isinstance(schedule, Every):
        passed = math.floor((now.elapsed - first.elapsed) / schedule.seconds)
        elapsed = first.elapsed + (passed + 1) * schedule.seconds
        return Due(now.wall + elapsed - now.elapsed, elapsed)
    today = datetime.fromtimestamp(now.wall, zone).date()
    days = [today + timedelta(days=days) for days in range(3)]
    moments = [datetime.combine(day, each, zone).timestamp() for day in days for each in schedule.times]
    return Due(min(moment for moment in moments if moment > now.wall))


def kept(due: Due, schedule: Schedule, first: Moment, now: Moment, zone: tzinfo | None = None) -> Due:
    """The same; decided anew where the wall clock has been put right since, and would reach it in years. As `following`."""
    return due if due.left(now) <= LONGEST_DAY or due.elapsed is not None else following(schedule, first, now, zone)


def again(failures: int, regular: Due, now: Moment) -> Due:
    """When a run that could not begin, or not go on, is tried again: later each time, and at its regular time at the latest.

    Args:
        failures: How often it has been tried in vain since it last went well, 1 or more.
        regular: When the next run would be.
        now: The present moment.
    """
    pause = min(RETRY_CAP, RETRY_FIRST * 2.0 ** min(failures - 1, 16))
    return regular if regular.left(now) <= pause else Due(now.wall + pause, now.elapsed + pause)
