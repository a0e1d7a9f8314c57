"""How fast may be sent at which time of the week: ``--bwlimit``.

Owns the form, which is rclone's: one rate, or changes of it by the clock on the wall, each day or on one day of the week. That
clock decides alone: what a table says of 02:30 happens when the clock passes it, also on a day on which it jumps there, and
again where it is set back. Pure: the moment is given, as the wall clock shows it. Knows no clock and no connection.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from asyncmirror.errors import UsageError
from asyncmirror.sizes import KIB, format_size, parse_size, write_size

OFF = "off"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = 24 * 60
_WEEK = 7 * _DAY
_CHANGE = re.compile(r"(?:([a-z]+)-)?(\d{1,2}):(\d{2}),(.+)", re.IGNORECASE | re.ASCII)
_LEAST = KIB
"""Bytes per second. Below, a connection would wait so long for its turn that stores close it."""
_HINT = (
    'write a rate such as 200MiB, or off, or a timetable such as "08:00,200MiB 19:00,off" or "Mon-08:00,200MiB Sat-00:00,off"'
)


class Change(NamedTuple):
    """From `minute` of the week on (Monday 00:00 is 0) so many bytes per second may be sent; None: as many as can be."""

    minute: int
    rate: int | None


@dataclass(frozen=True, slots=True)
class Timetable:
    """Rates by the time of the week. What the last change of the week says holds until the first of the next."""

    changes: tuple[Change, ...] = ()  # ascending, no two of one minute

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``RATE``, or ``[WEEKDAY-]HH:MM,RATE`` any number of times; a rate is a size with its unit, or ``off``.

        Raises:
            UsageError: It is no such thing.
        """
        if "," not in text:
            rate = _rate(text.strip())
            return cls() if rate is None else cls((Change(0, rate),))
        each_day: dict[int, int | None] = {}
        one_day: dict[int, int | None] = {}
        for word in text.split():
            days, minute, rate = _change(word)
            found = one_day if len(days) == 1 else each_day
            for day in days:
                if day * _DAY + minute in found:
                    raise UsageError(f"{word!r} is the second change of one minute", hint=_HINT)
                found[day * _DAY + minute] = rate
        found = each_day | one_day  # what is said of one day holds there in spite of what is said of every day
        if not any(rate is not None for rate in found.values()):
            return cls()
        return cls(tuple(Change(at, found[at]) for at in sorted(found)))

    def __bool__(self) -> bool:
        """Whether there is ever a limit."""
        return bool(self.changes)

    def __str__(self) -> str:
        """The same as it may be written."""
        days = [tuple((minute % _DAY, rate) for minute, rate in self.changes if minute // _DAY == day) for day in range(7)]
        if len(self.changes) < 2:  # noqa: PLR2004  one change holds all the week
            return _written(self.changes[0].rate) if self.changes else OFF
        if len(set(days)) == 1:
            return " ".join(f"{_clock(minute)},{_written(rate)}" for minute, rate in days[0])
        return " ".join(
            f"{_DAYS[minute // _DAY][:3].capitalize()}-{_clock(minute % _DAY)},{_written(rate)}"
            for minute, rate in self.changes
        )

    def at(self, moment: datetime) -> int | None:
        """How many bytes per second may be sent at a moment; None: as many as can be.

        Args:
            moment: What the wall clock shows; only its fields are looked at.
        """
        if not self.changes:
            return None
        minute = _minute(moment)
        return next((change.rate for change in reversed(self.changes) if change.minute <= minute), self.changes[-1].rate)

    def mean(self, line: int | None) -> int | None:
        """How many bytes per second may be sent over a week, on a line of so many; None where nothing tells."""
        if not self.changes:
            return line
        ends = (*(change.minute for change in self.changes[1:]), self.changes[0].minute + _WEEK)
        sent = 0
        for (minute, rate), end in zip(self.changes, ends, strict=True):
            rates = [each for each in (rate, line) if each is not None]
            if not rates:
                return None
            sent += min(rates) * (end - minute)
        return sent // _WEEK

    def until(self, moment: datetime) -> datetime | None:
        """What the wall clock will show when the rate is the next time another one; None: never."""
        rate, minute = self.at(moment), _minute(moment)
        others = [(change.minute - minute - 1) % _WEEK + 1 for change in self.changes if change.rate != rate]
        return moment.replace(second=0, microsecond=0) + timedelta(minutes=min(others)) if others else None


UNLIMITED = Timetable()
"""As fast as can be, always."""


def _change(word: str) -> tuple[tuple[int, ...], int, int | None]:
    """The days, the minute of the day and the rate of one change."""
    match = _CHANGE.fullmatch(word)
    if match is None:
        raise UsageError(f"{word!r} is no time with a rate", hint=_HINT)
    name, hour, minute, rate = match.groups()
    days = tuple(day for day, full in enumerate(_DAYS) if name is None or name.lower() in (full, full[:3]))
    if not days:
        raise UsageError(f"{name!r} is no day of the week", hint="write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    if int(hour) >= 24 or int(minute) >= 60:  # noqa: PLR2004  as clocks have it
        raise UsageError(f"{hour}:{minute} is no time of the day", hint="write it from 00:00 to 23:59")
    return days, int(hour) * 60 + int(minute), _rate(rate)


def _rate(text: str) -> int | None:
    if text.lower() in (OFF, "0"):
        return None
    try:
        rate = parse_size(text.removesuffix("/s"))
    except UsageError:
        raise UsageError(f"{text!r} is no rate", hint=_HINT) from None
    if 0 < rate < _LEAST:
        raise UsageError(f"{text} a second is too slow to send anything at all", hint=f"write {format_size(_LEAST)} or more")
    return rate or None


def _written(rate: int | None) -> str:
    """A rate as `_rate` reads it, to the byte."""
    return OFF if rate is None else write_size(rate)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _minute(moment: datetime) -> int:
    return moment.weekday() * _DAY + moment.hour * 60 + moment.minute
