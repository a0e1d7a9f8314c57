"""What `asyncmirror top` is sent: what is known of a run, and its gauges, as a screen needs them.

Owns the form, both ways. A frame is whole, so that one may be left out when somebody looks on slowly; only of the notices are
the last ones told, with how many there were. What comes in may be another version's, or damaged.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.cli.fold import State
from asyncmirror.engine import gauges
from asyncmirror.engine.gauges import listed, mapping, number, seconds, text
from asyncmirror.events import Progress, Settled, Started, Summary
from asyncmirror.model import Outcome

_NOTICES = 20


class Frame(NamedTuple):
    """One look. `over`: there is no other."""

    state: State
    progress: Progress
    over: bool = False


def to_plain(state: State, progress: Progress, *, over: bool = False) -> dict[str, object]:
    """A frame, of what JSON has."""
    started, summary = state.started, state.summary
    return {
        "started": started and started._asdict(),
        "notices": list(state.notices[-_NOTICES:]),
        "forgotten": max(state.forgotten, state.notice_count - _NOTICES),
        "waiting": state.waiting,
        "problems": [[os.fsdecode(path), *rest] for path, *rest in state.problems],
        "problem_count": state.problem_count,
        "summary": summary and {**summary._asdict(), **{name: _by_number(getattr(summary, name)) for name in _COUNTS}},
        "progress": gauges.to_plain(progress),
        "over": over,
    }


def from_plain(found: object) -> Frame:
    """Read what `to_plain` gave.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    told = mapping(found)
    started, summary = told["started"], told["summary"]
    state = State(
        None if started is None else _started(mapping(started)),
        tuple(map(text, listed(told["notices"]))),
        tuple(map(_problem, listed(told["problems"]))),
        number(told["problem_count"]),
        None if summary is None else _summary(mapping(summary)),
        gauges.waiting_from(told["waiting"]),
        number(told["forgotten"]),
    )
    return Frame(state, gauges.from_plain(told["progress"]), told["over"] is True)


_COUNTS = ("counts", "bytes_by_outcome")


def _by_number(counts: Mapping[Outcome, int]) -> dict[str, int]:
    return {str(int(outcome)): count for outcome, count in counts.items()}


def _started(told: Mapping[str, object]) -> Started:
    source, destination, journal = (text(told[name]) for name in ("source", "destination", "journal"))
    return Started(source, destination, journal, resumed=told["resumed"] is True)


def _problem(found: object) -> Settled:
    path, key, outcome, size, reason = listed(found)
    return Settled(os.fsencode(text(path)), text(key), Outcome(outcome), number(size), text(reason))


def _summary(told: Mapping[str, object]) -> Summary:
    counts, sizes = ({Outcome(int(key)): number(value) for key, value in mapping(told[name]).items()} for name in _COUNTS)
    return Summary(
        counts,
        sizes,
        number(told["bytes_sent"]),
        number(told["bytes_total"]),
        number(told["requests"]),
        seconds(told["seconds"]),
        number(told["exit_code"]),
        told["stopped"] is True,
        text(told["error"]),
    )
