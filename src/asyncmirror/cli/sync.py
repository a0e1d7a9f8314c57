"""`asyncmirror sync`: runs a mirror, shows it, and answers signals.

Owns the event loop, what SIGINT and SIGTERM mean, and the exit code. The first signal drains: what is in flight is finished.
The second stops at once. After it the signals have their usual effect again, so that a third kills; the journal is safe in
every case. Knows the engine only through `Mirroring`, and no terminal.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import uvloop

from asyncmirror.cli.fold import Pace, State, fold
from asyncmirror.cli.gather import Invocation
from asyncmirror.cli.json_lines import JsonLines
from asyncmirror.cli.screen import Screen
from asyncmirror.cli.stderr import complain
from asyncmirror.cli.text import show_name
from asyncmirror.events import Event, Notice, Progress, Settled, Summary
from asyncmirror.model import Outcome
from asyncmirror.settings import Settings

_STDOUT = 1
_GARBAGE = 50_000  # objects made and not yet freed before Python looks for circles among them
_REFRESH = 0.25
"""Seconds between two readings of the gauges."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPED_BY = 128
"""A process ended by signal N has this + N as its exit code, by the shells' convention."""
_OUTPUT_LOST = 4
"""The exit code where stdout can't be written any more: see docs/exit-codes.md."""


class Mirroring(Protocol):
    """What is needed of `engine.mirror.Mirror`."""

    def run(self) -> AsyncIterator[Event]:
        """Do it; the last event is a `Summary`."""
        ...

    def drain(self) -> None:
        """Finish what is in flight."""
        ...

    def stop(self) -> None:
        """End at once."""
        ...

    def progress(self) -> Progress:
        """The gauges now."""
        ...


Opener = Callable[[Settings], AbstractAsyncContextManager[Mirroring]]


def run(invocation: Invocation, screen: Screen, opener: Opener) -> int:
    """Mirror, and give the exit code.

    Raises:
        AsyncmirrorError: It could not begin, or could not go on.
    """
    # What a run makes by the million are tuples that hold no circle: looking for some every 700 costs a twentieth of its time.
    gc.set_threshold(_GARBAGE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Sync(invocation, screen, opener).run())


class _Sync:
    """One run."""

    def __init__(self, invocation: Invocation, screen: Screen, opener: Opener) -> None:
        self._invocation = invocation
        self._screen = screen
        self._opener = opener
        self._mirror: Mirroring | None = None
        self._signal: signal.Signals | None = None
        self._json = JsonLines(_STDOUT, self._on_output_lost) if invocation.output.json else None
        # What a dry run, or the run after one that adopts, would send, a line each: that is what it is asked for.
        self._listing = (invocation.settings.dry_run or not invocation.settings.send) and not (
            invocation.output.json or invocation.output.quiet
        )
        self._state = State()
        self._pace = Pace()

    async def run(self) -> int:
        """The whole of it."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.add_signal_handler(each, self._on_signal, each, task)
        try:
            async with self._opener(self._invocation.settings) as mirror:
                self._mirror = mirror
                async with self._ticking(mirror):
                    await self._follow(mirror)
        except asyncio.CancelledError:
            if self._signal is None:
                raise
            return _STOPPED_BY + self._signal
        finally:
            self._screen.close()
            for each in _SIGNALS:
                loop.remove_signal_handler(each)
        return self._finish()

    def _on_signal(self, number: signal.Signals, task: asyncio.Task[object]) -> None:
        if self._signal is None:
            self._signal = number
            if self._mirror is None:
                task.cancel()  # nothing is in flight yet
            else:
                self._mirror.drain()
                self._screen.say("stopping: finishing what is in flight; again to stop at once")
            return
        self._screen.close()
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        if self._mirror is not None:
            self._mirror.stop()

    def _on_output_lost(self, error: OSError) -> None:
        assert self._mirror is not None
        self._mirror.drain()
        self._screen.say(f"stdout can't be written ({error.strerror}): finishing what is in flight")

    async def _follow(self, mirror: Mirroring) -> None:
        async for event in mirror.run():
            told = event._replace(exit_code=self._exit_code(event)) if isinstance(event, Summary) else event
            self._state = fold(self._state, told)
            if self._listing and isinstance(told, Settled) and told.outcome is Outcome.PENDING:
                sys.stdout.write(f"({told.reason}) {show_name(told.path)}\n")
            if self._json is not None:
                self._json.add(told)
                if self._json.due or isinstance(told, Notice):  # what a notice says may be told only once
                    await self._json.flush()
        if self._json is not None:
            await self._json.flush()

    def _exit_code(self, summary: Summary) -> int:
        if self._signal is not None and summary.stopped and not summary.error:
            return _STOPPED_BY + self._signal
        return summary.exit_code

    @contextlib.asynccontextmanager
    async def _ticking(self, mirror: Mirroring) -> AsyncIterator[None]:
        """Show how far it is, and write lines that have waited, until the block ends."""
        over = asyncio.Event()
        ticker = asyncio.create_task(self._tick(mirror, over))
        try:
            yield
        finally:
            over.set()
            await ticker

    async def _tick(self, mirror: Mirroring, over: asyncio.Event) -> None:
        while not over.is_set():
            progress = mirror.progress()
            self._pace = self._pace.observe(progress)
            # A terminal that is gone is no reason to end a run that goes well.
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._screen.refresh, self._state, progress, self._pace)
            if self._json is not None and self._json.due:
                await self._json.flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _REFRESH)

    def _finish(self) -> int:
        self._screen.end(self._state)
        summary = self._state.summary
        if summary is None:
            raise RuntimeError("the run ended without a summary")
        if summary.error:
            complain(summary.error)
        if self._json is not None and self._json.broken:
            return _OUTPUT_LOST
        return summary.exit_code
