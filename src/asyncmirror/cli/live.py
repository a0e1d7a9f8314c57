"""The live picture on a terminal.

Owns the terminal while a run goes on: one region that is drawn again and again, lines above it, the result in its place at the
end. ``NO_COLOR`` is honoured by rich. The only room, with `picture`, that imports rich. Knows no engine.
"""

import sys

from rich.console import Console
from rich.live import Live as Region
from rich.text import Text

from asyncmirror.cli import report
from asyncmirror.cli.fold import State
from asyncmirror.cli.picture import picture
from asyncmirror.cli.screen import News
from asyncmirror.events import Progress
from asyncmirror.rates import Pace
from asyncmirror.text import show_line

_STYLES = {"": "", "head": "bold", "problem": "red"}


class Live:
    """A `screen.Screen` that moves."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        # Drawn when `refresh` is called, not by a thread of rich's; stderr is passed through it so that what is logged
        # stands above the picture.
        self._region = Region(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=True
        )
        self._news = News()
        self._closed = False

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
        """Draw."""
        if self._closed:
            return
        self._tell(state)
        self._region.start()
        width, height = self._console.size
        self._region.update(picture(state, progress, pace, width, height), refresh=True)

    def _tell(self, state: State) -> None:
        for line in self._news.lines(state):
            self._console.print(Text(line.text, style=_STYLES[line.role]))

    def say(self, text: str) -> None:
        """Write a line above the picture."""
        self._console.print(Text(f"asyncmirror: {show_line(text)}"))

    def close(self) -> None:
        """Take the picture down and show the cursor again."""
        self._closed = True
        self._region.stop()

    def end(self, state: State) -> None:
        """Write the result."""
        self._tell(state)
        for line in report.result(state):
            self._console.print(Text(line.text, style=_STYLES[line.role]))
