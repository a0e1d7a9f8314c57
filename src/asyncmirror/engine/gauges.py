"""The gauges as they go over a socket, and back.

Owns one form of `events.Progress`, as JSON has it: paths are text, their other bytes surrogate escapes, outcomes their numbers.
What comes in may be another version's, or damaged: it is taken only when it is what it should be.
"""

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from asyncmirror.events import Allowance, Erasing, Flight, Narrow, Progress, Transfer, Waiting
from asyncmirror.model import Outcome

_END_OF_TIME = 1 << 37
"""Seconds since the epoch that a clock can't have reached."""
_MOST = 1 << 63
"""SQLite's largest integer, and one."""


def to_plain(progress: Progress) -> dict[str, object]:
    """The gauges, of what JSON has."""
    return {
        **progress._asdict(),
        "settled": _by_number(progress.settled),
        "settled_bytes": _by_number(progress.settled_bytes),
        "slowest": [[os.fsdecode(path), *rest] for path, *rest in progress.slowest],
        "flight": flight_to_plain(progress.flight),
        "waiting": progress.waiting,
        "allowance": progress.allowance._asdict(),
        "erasing": progress.erasing and progress.erasing._asdict(),
    }


def flight_to_plain(flight: Flight) -> dict[str, object]:
    """Those of the requests in flight, of what JSON has."""
    return {**flight._asdict(), "narrow": [each._asdict() for each in flight.narrow]}


def from_plain(found: object) -> Progress:
    """Read what `to_plain` gave. Gauges that are not told are at their start; ones that are not known are passed over.

    Raises:
        ValueError, TypeError: It is something else.
    """
    told = mapping(found)
    settled, sizes = (
        {Outcome(int(key)): number(value) for key, value in mapping(told.get(name, {})).items()}
        for name in ("settled", "settled_bytes")
    )
    slowest = tuple(map(_transfer, listed(told.get("slowest", []))))
    flown = mapping(told.get("flight", {}))
    narrow = tuple(
        Narrow(text(each["prefix"]), number(each["limit"])) for each in map(mapping, listed(flown.get("narrow", [])))
    )
    flight = Flight._make(_numbers(Flight(), flown))._replace(narrow=narrow)
    allowance = Allowance._make(_numbers(Allowance(), mapping(told.get("allowance", {}))))
    moment(allowance.until)
    progress = Progress._make(_numbers(Progress(), told))
    waiting = waiting_from(told.get("waiting"))
    erasing = None if (found := told.get("erasing")) is None else Erasing._make(_numbers(Erasing(), mapping(found)))
    return progress._replace(
        settled=settled,
        settled_bytes=sizes,
        slowest=slowest,
        flight=flight,
        allowance=allowance,
        waiting=waiting,
        erasing=erasing,
    )


def waiting_from(found: object) -> Waiting | None:
    """What is waited for, as JSON has it.

    Raises:
        ValueError, TypeError: It is something else.
    """
    if found is None:
        return None
    until, why = listed(found)
    return Waiting(moment(until), text(why))


def mapping(value: object) -> Mapping[str, object]:
    """An object of JSON's."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is no object")
    return value


def listed(value: object) -> list[Any]:
    """A list of JSON's, whatever it holds."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def number(value: object) -> int:
    """A number of entries or bytes."""
    if not isinstance(value, int) or abs(value) >= _MOST:
        raise TypeError(f"{value!r} is no number of entries or bytes")
    return value


def moment(value: object) -> float:
    """A time, in seconds since the epoch."""
    if not isinstance(value, int | float) or not 0 <= value < _END_OF_TIME:
        raise TypeError(f"{value!r} is no time")
    return value


def seconds(value: object) -> float:
    """A span of time."""
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise TypeError(f"{value!r} is no number of seconds")
    return value


def _by_number(counts: Mapping[Outcome, int]) -> dict[str, int]:
    return {str(int(outcome)): count for outcome, count in counts.items()}


def _numbers(defaults: Progress | Flight | Allowance | Erasing, told: Mapping[str, object]) -> Iterator[object]:
    """The fields that are numbers, or yes or no, as they are told; the others as they are."""
    for name, default in defaults._asdict().items():
        value = told.get(name, default)
        if isinstance(default, bool):
            yield value is True
        elif isinstance(default, int | float):
            yield number(value) if isinstance(default, int) else seconds(value)
        else:
            yield default


def _transfer(found: object) -> Transfer:
    path, sent, size, since = listed(found)
    return Transfer(os.fsencode(text(path)), number(sent), number(size), seconds(since))
