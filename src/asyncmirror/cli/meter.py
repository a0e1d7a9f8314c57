"""One line that says how far a look is: it moves on a terminal, and is written now and then elsewhere.

Owns the choice and the writing; the words are the caller's. Knows nothing of what is looked at.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from asyncmirror.cli import stderr
from asyncmirror.cli.gather import Output
from asyncmirror.text import show_line

_INTERVAL = 10.0
"""Seconds between two lines where stderr is no terminal."""


class Meter(Protocol):
    """Where it is shown."""

    def show(self, text: str) -> None:
        """Show how far it is. Called several times a second."""
        ...

    def close(self) -> None:
        """Take down what moves."""
        ...


def choose(output: Output, environ: Mapping[str, str]) -> Meter:
    """The meter for these wishes and this stderr."""
    if output.quiet or not output.progress or sys.stderr is None:
        return Hidden()
    # What is found stands on stdout: on the same terminal it would run through the line.
    if sys.stderr.isatty() and environ.get("TERM", "") not in ("", "dumb", "unknown") and not sys.stdout.isatty():
        return Moving()
    return Written()


class Hidden:
    """Nothing."""

    def show(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Written:
    """A line every ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + _INTERVAL

    def show(self, text: str) -> None:
        """Write it if it is time."""
        if self._clock() >= self._next:
            self._next = self._clock() + _INTERVAL
            stderr.write([f"asyncmirror: {show_line(text)}"])

    def close(self) -> None:
        """Nothing moves here."""


class Moving:
    """One line on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  rich takes a tenth of a second to import
        from rich.live import Live  # noqa: PLC0415  the same

        console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        self._region = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._region.start()

    def show(self, text: str) -> None:
        """Draw it."""
        from rich.text import Text  # noqa: PLC0415  see above

        self._region.update(Text(show_line(text), no_wrap=True, overflow="ellipsis"), refresh=True)

    def close(self) -> None:
        """Take it down and show the cursor again."""
        self._region.stop()
