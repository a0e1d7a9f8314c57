"""What is written to stderr while a run goes on: a live picture on a terminal, lines now and then elsewhere, or nothing.

Owns the choice and the writing; what is written comes from `picture` and `report`. All methods but `say` are called one at a
time, `refresh` off the event loop: a terminal that is held (Ctrl-S) must not hold the requests. Knows no engine.
"""

import sys
from collections.abc import Mapping
from typing import Protocol

from asyncmirror.cli import report, stderr
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Output
from asyncmirror.cli.report import Line
from asyncmirror.events import Progress, Waiting
from asyncmirror.rates import Pace
from asyncmirror.text import show_line

_INTERVAL = 10.0
"""Seconds between two lines where stderr is no terminal."""


class Screen(Protocol):
    """Where a run is shown."""

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
        """Show how far it is. Called several times a second."""
        ...

    def say(self, text: str) -> None:
        """Say one thing at once."""
        ...

    def close(self) -> None:
        """Take down what moves. Called at least once; a terminal is as before then."""
        ...

    def end(self, state: State) -> None:
        """Show what came of it."""
        ...


def choose(output: Output, environ: Mapping[str, str]) -> Screen:
    """The screen for these wishes and this stderr."""
    # Python leaves the streams out where the descriptors were closed.
    if output.quiet or sys.stderr is None:
        return Quiet()
    terminal = sys.stderr.isatty() and environ.get("TERM", "") not in ("", "dumb", "unknown")
    # Lines of JSON on the same terminal would run through the picture.
    if not terminal or not output.progress or (output.json and sys.stdout.isatty()):
        return Lines(interval=_INTERVAL if output.progress else None)
    from asyncmirror.cli.live import Live  # noqa: PLC0415  rich takes a tenth of a second to import

    return Live()


class News:
    """What has not been said yet of a state that grows: notices, and what a run of many came to."""

    def __init__(self) -> None:
        self._noticed = 0
        self._waiting: Waiting | None = None

    def lines(self, state: State) -> list[Line]:
        """It, once."""
        lines = [Line(f"asyncmirror: {show_line(text)}") for text in state.notices_since(self._noticed)]
        self._noticed = state.notice_count
        if state.waiting not in (None, self._waiting):
            lines += report.between(state, self._waiting.why if self._waiting else "")
            self._waiting = state.waiting
        return lines


class Quiet:
    """Only what went wrong, at the end of a run."""

    def __init__(self) -> None:
        self._news = News()

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:  # noqa: ARG002  no screen is quieter about gauges
        """The problems of a run of many."""
        stderr.write(line.text for line in self._news.lines(state) if line.role == "problem")

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def end(self, state: State) -> None:
        """The first problems."""
        stderr.write(line.text for line in ([] if state.waiting else report.problems(state)))


class Lines:
    """A line every `interval` seconds, None for never, and the result."""

    def __init__(self, interval: float | None) -> None:
        self._interval = interval
        self._next = interval or 0.0
        self._news = News()

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
        """Write a line if it is time."""
        self._tell(state)
        if self._interval is None or not progress.running:
            return
        if progress.seconds + self._interval < self._next:
            self._next = self._interval  # another run
        if progress.seconds >= self._next:
            self._next = progress.seconds + self._interval
            self.say(report.periodic(progress, pace))

    def _tell(self, state: State) -> None:
        stderr.write(line.text for line in self._news.lines(state))

    def say(self, text: str) -> None:
        """Write it."""
        stderr.write([f"asyncmirror: {show_line(text)}"])

    def close(self) -> None:
        """Nothing moves here."""

    def end(self, state: State) -> None:
        """The result."""
        self._tell(state)
        stderr.write(line.text for line in report.result(state))
