"""What is worth telling a person who is not there: the decision behind ``--notify``. Pure; time is told to it.

    what happened                                   told
    a run ended, the first of the process           always
    a run ended otherwise than was told last        yes, but changes of mind at most every quarter of an hour
    a run ended as was told last                    no: a watched mirror would page somebody each minute for the same thing
    problems, in a run that has lasted ten minutes  the first, and each time they are ten times as many; else at its end
    no run can begin or go on, for ten minutes      once, unless the end of a run has told of it
    the command could not begin or go on            always
    an error that should not be                     always

"Otherwise" is another exit code, another error (numbers and names left out), or ten times as many problems. What is told may be
read by a chat program, so a text names what was asked for and counts what came of it, and signs that such programs read as
commands are taken out of it. The first few problems are given beside it, escaped.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.cli.json_lines import summary as counted
from asyncmirror.cli.report import duration
from asyncmirror.errors import AsyncmirrorError
from asyncmirror.events import Event, Settled, Started, Summary, Waiting
from asyncmirror.model import PROBLEMS, Outcome
from asyncmirror.sizes import format_size
from asyncmirror.text import show_line, show_name

HOLD = 900.0
"""Seconds between two ends of runs that are told because the second was another."""
LASTS = 600.0
"""Seconds for which something must last before it is told while nothing has ended."""
_LONGEST = 1000  # characters of a text
_SHOWN = 5
_RUNG = 10
_NUMBER = re.compile(r"\d+")
# Slack's <!channel> and links, and everybody's @names.
_COMMANDS = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20"})


class Alert(NamedTuple):
    """One thing that is told. `kind` is ended, problems, waiting, failed or crashed; `level` is info, warning or error."""

    kind: str
    level: str
    text: str
    exit_code: int | None = None
    fields: Mapping[str, object] = {}


class _Verdict(NamedTuple):
    """What two ends of runs are compared by."""

    exit_code: int
    error: str
    rung: int  # digits of the number of problems


class Worth:
    """Follows events and says what of them is worth telling. Times are seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self._began = 0.0
        self._problems: Counter[Outcome] = Counter()
        self._first: list[Settled] = []
        self._rung = 0  # of problems told; kept until a run ends without any
        self._told: _Verdict | None = None
        self._told_at = 0.0
        self._held: Alert | None = None
        self._last: _Verdict | None = None
        self._waits: tuple[float, str] | None = None  # since when, and why

    @property
    def where(self) -> str:
        """Which mirror it is about."""
        return f"{self._started.source} to {self._started.destination}" if self._started else "asyncmirror"

    def event(self, event: Event, now: float) -> Alert | None:
        """What an event is worth."""
        match event:
            case Settled(outcome=outcome):
                if outcome in PROBLEMS:
                    self._problems[outcome] += 1
                    if len(self._first) < _SHOWN:
                        self._first.append(event)
            case Started():
                self._started, self._began = event, now
                self._problems, self._first = Counter(), []
            case Waiting(why=why):
                self._waits = None if not why else self._waits or (now, why)
            case Summary():
                return self._end(event, now)
        return None

    def moment(self, now: float) -> Alert | None:
        """What has become worth telling because time has passed."""
        if self._waits is not None and now - self._waits[0] >= LASTS:
            (_, why), self._waits = self._waits, None
            if self._told is None or self._told.error != _gist(why):
                self._told = self._last = _Verdict(0, _gist(why), 0)
                return self._alert("waiting", "error", f"no run for {LASTS / 60:.0f} minutes: {why}")
        if self._held is not None and self._last != self._told and now - self._told_at >= HOLD:
            return self._tell(self._held, now)
        count = self._problems.total()
        if self._started is not None and _rung(count) > self._rung and now - self._began >= LASTS:
            self._rung = _rung(count)
            text = f"{count:,} problems by now ({_counts(self._problems)})"
            return self._alert("problems", "warning", text, fields=self._shown())
        return None

    def last(self, error: BaseException | None) -> Alert | None:
        """What it is worth that the command ends, and with which error; a signal is none."""
        if error is None:
            return self._held
        if isinstance(error, AsyncmirrorError):
            return self._alert("failed", "error", str(error), error.exit_code)
        if isinstance(error, Exception):
            return self._alert("crashed", "error", f"internal error: {type(error).__name__}")
        return None

    def _end(self, event: Summary, now: float) -> Alert | None:
        count = self._problems.total()
        level = "error" if event.error else "warning" if event.exit_code else "info"
        details = {name: value for name, value in counted(event).items() if name not in ("event", "exit_code")}
        alert = self._alert("ended", level, self._result(event), event.exit_code, {**details, **self._shown()})
        self._last = _Verdict(event.exit_code, _gist(event.error), _rung(count))
        self._problems, self._first = Counter(), []
        self._rung = max(self._rung, _rung(count)) if count else 0
        if self._last == self._told:
            self._held = None
            return None
        if self._told is not None and now - self._told_at < HOLD:
            self._held = alert
            return None
        return self._tell(alert, now)

    def _tell(self, alert: Alert, now: float) -> Alert:
        self._told, self._told_at, self._held = self._last, now, None
        return alert

    def _result(self, event: Summary) -> str:
        if event.error:
            return event.error
        ended = "stopped before the end" if event.stopped else "all is mirrored" if event.exit_code == 0 else "ended"
        bad = f", {self._problems.total():,} problems ({_counts(self._problems)})" if self._problems else ""
        sent = f"{event.counts.get(Outcome.COMPLETE, 0):,} files, {format_size(event.bytes_sent)} in {duration(event.seconds)}"
        return f"{ended}: sent {sent}{bad}"

    def _alert(
        self, kind: str, level: str, text: str, exit_code: int | None = None, fields: Mapping[str, object] | None = None
    ) -> Alert:
        told = show_line(f"{self.where}: {text}"[:_LONGEST])
        return Alert(kind, level, told.translate(_COMMANDS), exit_code, fields or {})

    def _shown(self) -> Mapping[str, object]:
        found = [
            {"path": show_name(each.path), "outcome": each.outcome.name.lower(), "reason": show_line(each.reason)}
            for each in self._first
        ]
        return {"problem_count": self._problems.total(), "problems": found}


def _rung(count: int) -> int:
    """0 for none, else how many digits it has."""
    return len(str(count)) if count else 0


def _counts(problems: Mapping[Outcome, int]) -> str:
    return ", ".join(f"{count:,} {outcome.name.lower()}" for outcome, count in problems.items())


def _gist(error: str) -> str:
    """What is the same in two errors that are: without the key, which comes before the message, and without numbers."""
    return _NUMBER.sub("#", error.rpartition(": ")[2])
