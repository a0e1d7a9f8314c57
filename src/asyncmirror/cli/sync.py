"""`asyncmirror sync`: runs a mirror, has it followed, and answers signals.

Owns the event loop, what SIGINT and SIGTERM mean, and the exit code. A mirror that is watched has runs until a signal ends it.
The first signal drains: what is in flight is finished. The second stops at once. After it the signals have their usual effect
again, so that a third kills; the journal is safe in every case. One that comes when the run is over changes nothing. SIGHUP has
the mirror file read again (`cli.obey`), and ends nothing: a terminal that goes away, as when a connection breaks, is no reason
to end a run that goes well. Knows the engine only through `Mirroring`, those who follow it as `Tap`s, and no terminal.
"""

import asyncio
import atexit
import contextlib
import gc
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import FrameType

import uvloop

from asyncmirror.cli import idle
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Invocation
from asyncmirror.cli.json_lines import JsonLines
from asyncmirror.cli.obey import Obeying
from asyncmirror.cli.screen import Screen
from asyncmirror.cli.shown import Listing, Shown
from asyncmirror.cli.stderr import complain
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.events import Event, Notice, Waiting
from asyncmirror.plan.schedule import Schedule
from asyncmirror.settings import Settings
from asyncmirror.transfer import heap

_STDOUT = 1
_GARBAGE = 50_000  # objects made and not yet freed before Python looks for circles among them
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPED_BY = 128
"""A process ended by signal N has this + N as its exit code, by the shells' convention."""
_OUTPUT_LOST = 4
"""The exit code where stdout can't be written any more: see docs/exit-codes.md."""


Opener = Callable[[Settings], AbstractAsyncContextManager[Mirroring]]


def run(invocation: Invocation, screen: Screen, opener: Opener, taps: Iterable[Tap] = ()) -> int:
    """Mirror, and give the exit code. `taps` follow it beside the screen and the JSON lines.

    Raises:
        AsyncmirrorError: It could not begin, or could not go on.
    """
    # What a run makes by the million are tuples that hold no circle: looking for some every 700 costs a twentieth of its time.
    gc.set_threshold(_GARBAGE)
    heap.give_back()
    atexit.unregister(_deaf)
    atexit.register(_deaf)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Sync(invocation, screen, opener, taps).run())


def _too_late(number: int, _: FrameType | None) -> None:
    """The run is over, and the exit code says what it came to; whatever still holds the process up, another signal ends."""
    signal.signal(number, signal.SIG_DFL)


def _deaf() -> None:
    """Python gives signals that it handles their usual effect back before it has ended: from here on nothing can hold it up."""
    for each in _SIGNALS:
        if signal.getsignal(each) is _too_late:
            signal.signal(each, signal.SIG_IGN)


class _Sync:
    """One run."""

    def __init__(self, invocation: Invocation, screen: Screen, opener: Opener, taps: Iterable[Tap]) -> None:
        settings, output = invocation.settings, invocation.output
        self._settings = settings
        self._schedule = invocation.watch
        self._goes_on = invocation.goes_on
        self._notices = invocation.notices
        self._opener = opener
        self._mirror: Mirroring | None = None
        self._signal: signal.Signals | None = None
        self._task: asyncio.Task[object] | None = None
        self._at_once = False
        self._shown = Shown(screen)
        self._json = JsonLines(_STDOUT, self._on_output_lost) if output.json else None
        listing = (settings.dry_run or not settings.send) and not (output.json or output.quiet)
        self._obeying = Obeying(self, invocation)
        # The screen stands last and so is left first: others may take their time over their last word.
        ours = [Listing(invocation.prices)] if listing else [], [self._json] if self._json else [], [self._obeying, self._shown]
        self._taps: tuple[Tap, ...] = (*taps, *itertools.chain(*ours))

    async def run(self) -> int:
        """The whole of it."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._obeying.hung_up)
        for each in _SIGNALS:
            loop.add_signal_handler(each, self._on_signal, each)
        try:
            async with AsyncExitStack() as following:
                for tap in self._taps:
                    await following.enter_async_context(tap)
                async with self._opener(self._settings) as mirror:
                    self._mirror = mirror
                    for tap in self._taps:
                        await tap.opened(mirror)
                    for text in self._notices:
                        for wait in self.tell(Notice(text)):
                            await wait
                    async with self._looking(mirror):
                        await self._follow(mirror)
        except asyncio.CancelledError:
            if self._signal is None:
                raise
            return _STOPPED_BY + self._signal
        finally:
            if self._goes_on:  # one that came while the loop was held up: it is read in one turn, and answered in the next
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            self._hear_no_more(loop)
        return self._finish()

    def _hear_no_more(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of the signals; the last word is still to be said."""
        last = not self._goes_on or self._signal is not None
        for each in _SIGNALS:
            if loop.remove_signal_handler(each) and last:
                signal.signal(each, _too_late)
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    @property
    def state(self) -> State:
        """What is known so far."""
        return self._shown.state

    @property
    def ending(self) -> str:
        """Whether it was told to end, and how: ``no``, ``drain`` or ``stop``."""
        return "stop" if self._at_once else "no" if self._signal is None else "drain"

    def end(self, *, at_once: bool) -> None:
        """Do as SIGINT would, or two of them, but that no signal kills because of it."""
        if self._signal is None:
            self._on_signal(signal.SIGINT)
        if at_once:
            self._stop()

    def reschedule(self, schedule: Schedule) -> None:
        """Have later runs of a mirror that is watched begin by another schedule."""
        self._schedule = schedule

    def _when(self) -> Schedule:
        assert self._schedule is not None
        return self._schedule

    def reloading(self, *, done: bool) -> None:
        """Tell all who follow that the mirror file is about to be read again, or has been."""
        for tap in self._taps:
            tap.reloading(done=done)

    def tell(self, event: Event) -> Iterator[Awaitable[None]]:
        """Tell all who follow; gives what some of them still have to do."""
        yield from filter(None, [tap.tell(event) for tap in self._taps])

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._signal = number
            if self._mirror is None:
                assert self._task is not None
                self._task.cancel()  # nothing is in flight yet
            else:
                self._mirror.drain(_STOPPED_BY + number)
                for tap in self._taps:
                    tap.stopping(at_once=False)
            return
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        self._stop()

    def _stop(self) -> None:
        if self._at_once:
            return
        self._at_once = True
        for tap in self._taps:
            tap.stopping(at_once=True)
        if self._mirror is not None:
            self._mirror.stop()

    def _on_output_lost(self, error: OSError) -> None:
        assert self._mirror is not None
        self._mirror.drain(_OUTPUT_LOST)
        self._shown.say(f"stdout can't be written ({error.strerror}): finishing what is in flight")

    async def _follow(self, mirror: Mirroring) -> None:
        tells = [tap.tell for tap in self._taps if type(tap).tell is not Tap.tell]
        async for event in mirror.run() if self._schedule is None else mirror.watch(self._when):
            if isinstance(event, Waiting):
                idle.give_back()
            for tell in tells:
                if (wait := tell(event)) is not None:
                    await wait

    @contextlib.asynccontextmanager
    async def _looking(self, mirror: Mirroring) -> AsyncIterator[None]:
        """Have each tap look at the gauges as often as it wants to, until the block ends."""
        over = asyncio.Event()
        looks = [asyncio.create_task(_look(tap, tap.interval, mirror, over)) for tap in self._taps if tap.interval is not None]
        try:
            yield
        finally:
            over.set()
            await asyncio.gather(*looks)

    def _finish(self) -> int:
        state = self._shown.state
        if state.waiting is None and state.summary is not None and state.summary.error:
            complain(state.summary.error)
        if self._json is not None and self._json.broken:
            return _OUTPUT_LOST
        if self._schedule is not None and self._signal is not None:
            return _STOPPED_BY + self._signal  # it would have gone on: what its runs came to was told
        if state.summary is None:
            raise RuntimeError("the run ended without a summary")
        if self._goes_on and self._signal is not None and not state.summary.error:
            return _STOPPED_BY + self._signal  # the run was over already; what would come after it is not begun
        return state.summary.exit_code


async def _look(tap: Tap, interval: float, mirror: Mirroring, over: asyncio.Event) -> None:
    while not over.is_set():
        await tap.look(mirror.progress())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), interval)
