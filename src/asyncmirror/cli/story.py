"""What a log file is told of the runs: where each began, how far it is now and then, problems, notices, and what came of it.

Owns what is worth a line and how many there may be: a run that meets a million problems tells of the first ones and of their
number, and one that meets those of the run before does not tell them again. How a line looks is `cli.log_file`'s.
"""

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar

import asyncmirror
from asyncmirror.cli.fold import UNDELETED
from asyncmirror.cli.json_lines import summary
from asyncmirror.cli.log_file import Form
from asyncmirror.cli.logs import STORY
from asyncmirror.cli.report import moment, periodic, problem, undeleted
from asyncmirror.cli.tap import Tap
from asyncmirror.errors import AsyncmirrorError
from asyncmirror.events import (
    Deletion,
    DeletionBegun,
    Event,
    Notice,
    Progress,
    Settled,
    Started,
    Steered,
    Summary,
    Unchanged,
    Waiting,
)
from asyncmirror.model import PROBLEMS
from asyncmirror.rates import Pace
from asyncmirror.sizes import format_size
from asyncmirror.text import show_line, show_name

_log = logging.getLogger(STORY)
_MOST = 1_000
"""Problems told of one run. The journal has them all."""


class Story(Tap):
    """Tells a log file. `form` learns which run it is."""

    interval: ClassVar[float | None] = 60.0

    def __init__(self, form: Form) -> None:
        self._form = form
        self._pace = Pace()
        self._seen: Progress | None = None
        self._known: frozenset[Settled | Deletion] = frozenset()  # problems of the run before
        self._problems: set[Settled | Deletion] = set()
        self._untold = 0

    def tell(self, event: Event) -> None:
        """Log it, if it is worth a line."""
        match event:
            case Settled() | Deletion():
                if _is_problem(event):
                    self._problem(event)
            case Unchanged():
                pass
            case DeletionBegun(objects, size):
                told = {"event": "deleting", "objects": objects, "bytes": size}
                _tell(logging.INFO, f"{objects:,} objects ({format_size(size)}) whose file is gone", told)
            case Notice(text):
                _tell(logging.WARNING, text, {"event": "notice"})
            case Steered():
                _tell(logging.INFO, event.text, {"event": "steered", **event._asdict()})
            case Started():
                self._begin(event)
            case Summary():
                self._end(event)
            case Waiting(until, why):
                level = logging.ERROR if why else logging.INFO
                _tell(level, f"next run {moment(until)}" + (f": {why}" if why else ""), {"event": "waiting", "until": until})

    def _begin(self, event: Started) -> None:
        self._form.run += 1
        self._known, self._problems, self._untold = frozenset(self._problems), set(), 0
        told = {"event": "started", **event._asdict(), "version": asyncmirror.__version__}
        _tell(logging.INFO, f"begun: {event.source} to {event.destination}", told)

    def _problem(self, event: Settled | Deletion) -> None:
        if len(self._problems) >= _MOST or event in self._problems:
            self._untold += 1
            return
        self._problems.add(event)
        if event in self._known:
            self._untold += 1
            return
        if isinstance(event, Deletion):
            told = {"event": "deletion", "key": show_line(event.key), "fate": event.fate.value, "size": event.size}
            _tell(logging.WARNING, undeleted(event), {**told, "reason": event.reason})
            return
        told = {"event": "problem", "path": show_name(event.path), "outcome": event.outcome.name.lower(), "size": event.size}
        _tell(logging.WARNING, problem(event), {**told, "reason": event.reason})

    def _end(self, event: Summary) -> None:
        if self._untold:
            text = f"{self._untold:,} more problems, told before or too many: asyncmirror problems lists all"
            _tell(logging.WARNING, text, {"event": "problems", "count": self._untold})
        level = logging.ERROR if event.error else logging.WARNING if event.exit_code else logging.INFO
        how = event.error or ("stopped before the end" if event.stopped else "ended")
        _tell(level, f"{how}: exit code {event.exit_code}", {**summary(event), "stopped": event.stopped})

    async def look(self, progress: Progress) -> None:
        """Tell how far it is, if it has moved."""
        before, self._pace = self._pace, Pace().observe(progress)
        if self._seen is not None and progress._replace(seconds=self._seen.seconds) != self._seen:
            since = Pace((*before.samples, *self._pace.samples))  # from line to line: a screen's "now" is shorter
            _tell(logging.INFO, periodic(progress, since), {"event": "progress"})
        self._seen = progress

    def stopping(self, *, at_once: bool) -> None:
        """Tell that somebody ends it."""
        text = "a signal: stopping at once" if at_once else "a signal: finishing what is in flight"
        _tell(logging.INFO, text, {"event": "signal"})

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what ended the command; of an error that should not be, whoever catches it tells."""
        if isinstance(error, AsyncmirrorError):
            _tell(logging.ERROR, str(error), {"event": "error", "kind": type(error).__name__, "exit_code": error.exit_code})


def _is_problem(event: Settled | Deletion) -> bool:
    return event.fate in UNDELETED if isinstance(event, Deletion) else event.outcome in PROBLEMS


def _tell(level: int, text: str, fields: Mapping[str, object]) -> None:
    _log.log(level, "%s", text, extra={"fields": fields})
