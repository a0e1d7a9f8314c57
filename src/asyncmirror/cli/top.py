"""`asyncmirror top`: the screen of a running process, on another terminal.

Owns the looking on: frames are taken as they come, whether or not the terminal keeps up, and the last one is drawn. Whoever
leaves (Ctrl-C) leaves the run alone. The picture is `cli.screen`'s, a frame's form `cli.frame`'s.
"""

import socket
import threading
import time
from contextlib import closing

from asyncmirror.cli import frame
from asyncmirror.cli.fold import State
from asyncmirror.cli.frame import Frame
from asyncmirror.cli.running import Running
from asyncmirror.cli.screen import Screen
from asyncmirror.engine.asking import follow
from asyncmirror.errors import AsyncmirrorError, JournalError, ProcessError
from asyncmirror.journal.lock import holder
from asyncmirror.rates import Pace

_SILENCE = 20.0
"""Seconds without a frame after which the process counts as hung up: it sends two a second."""
_AGAIN = 1.0
"""Seconds until somebody who was let go, while the process is still there, tries again."""
_TRIES = 5


class _Looking:
    """Frames as they come, in a thread of their own. The last one is kept."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._error: AsyncmirrorError | None = None
        self._over = False
        threading.Thread(target=self._look, name="look", daemon=True).start()

    def next(self) -> Frame | None:
        """The last frame, waiting for a new one; None where there is no other.

        Raises:
            AsyncmirrorError: The process has gone without a word, or says none.
        """
        with self._news:
            while self._frame is None and not self._over:
                self._news.wait()
            found, self._frame = self._frame, None
            if found is None and self._error is not None:
                raise self._error
            return found

    def _look(self) -> None:
        journal, process = self._running
        tries = 0
        error: AsyncmirrorError = ProcessError(
            f"process {process.pid} lets nobody look on", hint="asyncmirror status asks it otherwise"
        )
        while tries < _TRIES:
            try:
                with closing(follow(process, journal, {"do": "top"}, _SILENCE)) as answers:
                    for answer in answers:
                        found = _understood(answer)
                        self._put(found)
                        tries = 0
                        if found.over:
                            self._end(None)
                            return
            except AsyncmirrorError as raised:
                error = raised
                if not isinstance(raised, JournalError):
                    break
            if holder(journal) != process and process.host == socket.gethostname():
                error = ProcessError(
                    f"process {process.pid} has gone without a word", hint="asyncmirror status tells what is known"
                )
                break
            tries += 1
            time.sleep(_AGAIN)
        self._end(error)

    def _put(self, found: Frame) -> None:
        with self._news:
            self._frame = found
            self._news.notify()

    def _end(self, error: AsyncmirrorError | None) -> None:
        with self._news:
            self._over, self._error = True, error
            self._news.notify()


def run(running: Running, screen: Screen) -> int:
    """Look on until the process is done; gives its last run's exit code, and 0 to whoever leaves before.

    Raises:
        ProcessError: It has gone without a word.
        JournalError: It does not answer.
    """
    looking = _Looking(running)
    state, pace = State(), Pace()
    try:
        while (found := looking.next()) is not None:
            state = found.state
            pace = pace.observe(found.progress)
            screen.refresh(state, found.progress, pace)
    except KeyboardInterrupt:
        screen.close()
        return 0
    except BaseException:
        screen.close()
        raise
    screen.close()
    screen.end(state)
    return 0 if state.summary is None else state.summary.exit_code


def _understood(answer: object) -> Frame:
    try:
        return frame.from_plain(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise ProcessError(f"what the process tells is not understood: {error}", hint="is it another version?") from None
