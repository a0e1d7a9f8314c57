"""What a screen shows, as a pure function of what happened.

Owns the fold of events into a `State`: what was begun, said, gone wrong. Counts by outcome stand in the gauges and in the
summary already and are not kept a second time; how fast it is, is `rates`'. Knows no terminal and no clock.
"""

from typing import NamedTuple

from asyncmirror.events import Event, Notice, Settled, Started, Summary, Unchanged
from asyncmirror.model import PROBLEMS
from asyncmirror.rates import Pace, Rate, average, remaining

__all__ = ["PROBLEMS", "PROBLEMS_KEPT", "Pace", "Rate", "State", "average", "fold", "remaining"]

PROBLEMS_KEPT = 20
"""So many are shown at the end. The others are in the journal: memory must not grow with the tree."""


class State(NamedTuple):
    """What is known so far. `problems` are the first ones, `problem_count` is of all."""

    started: Started | None = None
    notices: tuple[str, ...] = ()
    problems: tuple[Settled, ...] = ()
    problem_count: int = 0
    summary: Summary | None = None


def fold(state: State, event: Event) -> State:
    """The state after an event."""
    match event:
        case Settled(outcome=outcome):
            if outcome not in PROBLEMS:
                return state
            kept = state.problems if len(state.problems) >= PROBLEMS_KEPT else (*state.problems, event)
            return state._replace(problems=kept, problem_count=state.problem_count + 1)
        case Unchanged():
            return state
        case Notice(text=text):
            return state._replace(notices=(*state.notices, text))
        case Started():
            return state._replace(started=event)
        case Summary():
            return state._replace(summary=event)
