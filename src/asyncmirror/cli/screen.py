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
from asyncmirror.events import Progress
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


class Quiet:
    """Only what went wrong, at the end."""

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""

    def end(self, state: State) -> None:
        """The first problems."""
        stderr.write(line.text for line in report.problems(state))


class Lines:
    """A line every `interval` seconds, None for never, and the result."""

    def __init__(self, interval: float | None) -> None:
        self._interval = interval
        self._next = interval or 0.0
        self._noticed = 0

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
        """Write a line if it is time."""
        self._notices(state)
        if self._interval is not None and progress.seconds >= self._next:
            self._next = progress.seconds + self._interval
            self.say(report.periodic(progress, pace))

    def _notices(self, state: State) -> None:
        for text in state.notices[self._noticed :]:
            self.say(text)
        self._noticed = len(state.notices)

    def say(self, text: str) -> None:
        """Write it."""
        stderr.write([f"asyncmirror: {show_line(text)}"])

    def close(self) -> None:
        """Nothing moves here."""

    def end(self, state: State) -> None:
        """The result."""
        self._notices(state)
        stderr.write(line.text for line in report.result(state))
