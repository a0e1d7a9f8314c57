"""An end to what hangs: a block of the main thread that takes too long is broken off, wherever it is.

Owns SIGALRM and the error that it raises. Blocks stand in one another: a test in pytest's limit, an input of the fuzzer in the
test's. Knows no pytest.
"""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_AGAIN = 10.0
"""Seconds until the next alarm: the first may have been swallowed, or what is done at the end may hang as well."""


class HungError(BaseException):
    """A test, or an input, took too long.

    No code under test takes it for a failure of its own, and Hypothesis seeks no smaller input: each would take as long.
    """


class _Alarm(KeyboardInterrupt):
    """The alarm, until it has come to its block: event loops keep any other exception of a callback to themselves."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `HungError` where the block takes longer; with 0 it may take for ever. It tells what the other threads did."""
    rung: list[_Alarm] = []

    def ring(*_: object) -> NoReturn:
        alarm = _Alarm()
        rung.append(alarm)
        frames = sys._current_frames()
        for thread in threading.enumerate():
            if thread is not threading.main_thread() and thread.ident in frames:
                alarm.add_note(f"{thread.name}:\n{''.join(traceback.format_stack(frames[thread.ident]))}")
        raise alarm

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    except _Alarm as alarm:
        if alarm not in rung:
            raise
        raise HungError(f"it took more than {seconds:g} s") from alarm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - began)), _AGAIN)
