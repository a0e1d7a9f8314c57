"""What was found out about one thing: the value, its level, and what all findings come to.

Owns the levels' meaning and the exit code. Pure.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """Good to know: something is missing that a sync can do without, or it will be slower than it could."""
    PROBLEM = "problem"
    """A sync would not work, or would promise less than it does elsewhere."""


class Finding(NamedTuple):
    """One line. `remedy` says what to do; `blind`: nothing could be looked at, because of this."""

    topic: str
    level: Level
    found: str
    remedy: str = ""
    blind: bool = False


def ok(topic: str, found: str) -> Finding:
    """All is well."""
    return Finding(topic, Level.OK, found)


def warning(topic: str, found: str, remedy: str = "") -> Finding:
    """Good to know."""
    return Finding(topic, Level.WARNING, found, remedy)


def problem(topic: str, found: str, remedy: str = "", *, blind: bool = False) -> Finding:
    """To be put right."""
    return Finding(topic, Level.PROBLEM, found, remedy, blind)


_FINE, _PROBLEM, _BLIND = 0, 3, 4


def exit_code(findings: Iterable[Finding]) -> int:
    """What `doctor` ends with: 0 where nothing is worse than a warning, 3 with a problem, 4 where it could not look."""
    found = list(findings)
    if any(finding.blind for finding in found):
        return _BLIND
    return _PROBLEM if any(finding.level is Level.PROBLEM for finding in found) else _FINE
