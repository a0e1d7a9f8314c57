"""What a screen shows, as a pure function of what happened.

Owns the fold of events into a `State`: what was begun, said, gone wrong. Counts by outcome stand in the gauges and in the
summary already and are not kept a second time; how fast it is, is `rates`'. Knows no terminal and no clock.
"""

from typing import NamedTuple

from asyncmirror.events import (
    Deletion,
    DeletionBegun,
    Event,
    Fate,
    Notice,
    Settled,
    Started,
    Steered,
    Summary,
    Unchanged,
    Waiting,
)
from asyncmirror.model import PROBLEMS

UNDELETED = frozenset({Fate.FAILED, Fate.LEFT})
"""Fates that a person should look at."""
PROBLEMS_KEPT = 20
"""So many are shown at the end. The others are in the journal: memory must not grow with the tree."""
NOTICES_KEPT = 100
"""So many are known: a mirror that is watched goes on for weeks."""


class State(NamedTuple):
    """What is known so far. `problems` and `undeleted` are the first ones of this run, `problem_count` is of all.

    `notices` are the last ones of all runs; before them there were as many as are `forgotten`. `summary` is the last run's.
    `waiting`: no run goes on.
    """

    started: Started | None = None
    notices: tuple[str, ...] = ()
    problems: tuple[Settled, ...] = ()
    problem_count: int = 0
    summary: Summary | None = None
    waiting: Waiting | None = None
    forgotten: int = 0
    undeleted: tuple[Deletion, ...] = ()

    @property
    def notice_count(self) -> int:
        """How many notices there were."""
        return self.forgotten + len(self.notices)

    def notices_since(self, count: int) -> tuple[str, ...]:
        """Those that came after the first `count`, as far as they are known."""
        new = min(self.notice_count - count, len(self.notices))
        return self.notices[-new:] if new > 0 else ()


def fold(state: State, event: Event) -> State:
    """The state after an event."""
    match event:
        case Settled() | Deletion():
            return _kept(state, event)
        case Notice() | Steered():
            kept_notices = (*state.notices, event.text)[-NOTICES_KEPT:]
            return state._replace(notices=kept_notices, forgotten=state.notice_count + 1 - len(kept_notices))
        case Started():
            return state._replace(started=event, problems=(), problem_count=0, undeleted=(), waiting=None)
        case Summary():
            return state._replace(summary=event)
        case Waiting():
            return state._replace(waiting=event)
        case Unchanged() | DeletionBegun():
            return state


def _kept(state: State, event: Settled | Deletion) -> State:
    """The state after an event that a person may have to look at."""
    if isinstance(event, Deletion):
        few = len(state.undeleted) < PROBLEMS_KEPT
        return state._replace(undeleted=(*state.undeleted, event)) if few and event.fate in UNDELETED else state
    if event.outcome not in PROBLEMS:
        return state
    kept = state.problems if len(state.problems) >= PROBLEMS_KEPT else (*state.problems, event)
    return state._replace(problems=kept, problem_count=state.problem_count + 1)
