"""Pages of what is on record, for somebody who looks while a run goes on.

Owns bounded questions: each reads so many rows at most, in the order of the table, because the journal's one thread serves the
run too and must not be held up. A page tells where the next one begins. Knows no thread and no form in which it is told.
"""

import json
import re
import sqlite3
from collections.abc import Collection, Mapping
from typing import NamedTuple

from asyncmirror.journal.queries import join, outcome_of
from asyncmirror.model import Outcome
from asyncmirror.text import show_line, show_name

_ROWS = 5_000
"""Rows read for one page: some 30 ms."""
_RUNS = "SELECT id, started, ended, host, version, summary FROM run ORDER BY id DESC LIMIT ?"
_CURSOR = re.compile(r"(\d{1,18})-((?:[0-9a-f]{2}){0,4096})")
_PROBLEMS = (
    "SELECT p.directory, p.name, d.path, p.outcome, p.reason, p.retryable, p.size"
    " FROM problem p JOIN directory d ON d.id = p.directory"
    " WHERE (p.directory, p.name) > (?, ?) ORDER BY p.directory, p.name LIMIT ?"
)


class Cursor(NamedTuple):
    """The last row that was read."""

    directory: int = -1
    name: bytes = b""

    def __str__(self) -> str:
        return f"{self.directory}-{self.name.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `str` gave.

        Raises:
            ValueError: It is something else.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise ValueError("no place in the list")
        return cls(int(match[1]), bytes.fromhex(match[2]))


class Found(NamedTuple):
    """A problem on record. `size` in bytes, None where none was seen."""

    path: bytes
    outcome: Outcome
    reason: str
    retryable: bool
    size: int | None


class Page(NamedTuple):
    """Problems, and where the next page begins; None: there are no more. A page may have none and not be the last."""

    problems: tuple[Found, ...]
    after: Cursor | None


class Run(NamedTuple):
    """A run on record: times in seconds since the epoch, `ended` None where it was killed or goes on; `summary` as kept."""

    number: int
    started: float
    ended: float | None
    host: str
    version: str
    summary: Mapping[str, object]


class Filter(NamedTuple):
    """Which problems are wanted: of these outcomes (none: all), with this text in their name or reason, in any case."""

    outcomes: Collection[Outcome] = ()
    text: str = ""

    def wants(self, problem: Found) -> bool:
        """Whether it is one of them."""
        if self.outcomes and problem.outcome not in self.outcomes:
            return False
        wanted = self.text.casefold()
        return not wanted or wanted in show_name(problem.path).casefold() or wanted in show_line(problem.reason).casefold()


def problems(connection: sqlite3.Connection, wanted: Filter, after: Cursor, most: int) -> Page:
    """At most so many problems that come behind a place, in the order in which their directories were first seen."""
    found: list[Found] = []
    rows = 0
    for directory, name, path, outcome, reason, retryable, size in connection.execute(_PROBLEMS, (*after, _ROWS)):
        rows += 1
        after = Cursor(directory, name)
        problem = Found(join(path, name), outcome_of(outcome), reason, bool(retryable), size)
        if wanted.wants(problem):
            found.append(problem)
            if len(found) == most:
                return Page(tuple(found), after)
    return Page(tuple(found), after if rows == _ROWS else None)


def problem_counts(connection: sqlite3.Connection) -> dict[Outcome, int]:
    """How many problems are on record, by outcome."""
    rows = connection.execute("SELECT outcome, count(*) FROM problem GROUP BY outcome")
    return {outcome_of(outcome): count for outcome, count in rows}


def runs(connection: sqlite3.Connection, most: int) -> tuple[Run, ...]:
    """The last so many runs, the newest first."""
    rows = connection.execute(_RUNS, (most,))
    return tuple(Run(number, began, ended, host, version, _object(told)) for number, began, ended, host, version, told in rows)


def _object(text: str | None) -> Mapping[str, object]:
    """A summary; none where there is none, or none that can be read: a list of runs is no reason to end one."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
