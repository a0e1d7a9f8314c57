"""What a `sync` does when it is told to over its socket, or by SIGHUP: turn knobs, pause, go on, end, be looked at.

Owns these commands, and that each change is told: in the run's events, and so on its screen, in ``--json`` and in its log. What
they come to is the mirror's; what a signal means, and so what "drain" and "stop" mean, is `cli.sync`'s.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping
from types import TracebackType
from typing import Protocol

from asyncmirror.cli import frame, knobs, logs, read
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Invocation
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.engine.control import Peer, Request
from asyncmirror.engine.steering import KNOBS, turns
from asyncmirror.errors import AsyncmirrorError, UsageError
from asyncmirror.events import Event, Notice, Steered
from asyncmirror.plan.schedule import Schedule
from asyncmirror.settings import Tuning

_LOOK = 0.5
"""Seconds between two looks of somebody who looks on."""
_HANGUP = "SIGHUP"
_NO_FILE = "there is no mirror file to be read again; the run goes on"

_level = read.choice("debug", "info", "warning", "error")


class Syncing(Protocol):
    """What is needed of `cli.sync`."""

    @property
    def state(self) -> State:
        """What is known so far."""
        ...

    @property
    def ending(self) -> str:
        """``no``, ``drain`` or ``stop``."""
        ...

    def end(self, *, at_once: bool) -> None:
        """Do as a signal would: finish what is in flight, or not even that."""
        ...

    def reschedule(self, schedule: Schedule) -> None:
        """Have later runs begin by another schedule."""
        ...

    def reloading(self, *, done: bool) -> None:
        """Tell all who follow that the mirror file is about to be read again, or has been."""
        ...

    def tell(self, event: Event) -> Iterable[Awaitable[None]]:
        """Tell all who follow; gives what some of them still have to do."""
        ...


class Obeying(Tap):
    """Serves the commands while the mirror is open.

    Args:
        syncing: Whose run it is.
        asked: What was asked for when it began.
    """

    def __init__(self, syncing: Syncing, asked: Invocation) -> None:
        self._syncing = syncing
        self._read = asked
        self._reread = asked.reread
        self._level = asked.output.log_level
        self._mirror: Mirroring | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    async def opened(self, mirror: Mirroring) -> None:
        """Serve."""
        self._mirror = mirror
        for name, command in {
            "set": self._set,
            "pause": self._pause,
            "resume": self._resume,
            "drain": self._drain,
            "stop": self._stop,
            "reload": self._reload,
            "log-level": self._log_level,
            "top": self._top,
        }.items():
            mirror.control.serve(name, command)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what a signal has begun."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def hung_up(self) -> None:
        """SIGHUP came."""
        if self._mirror is not None:
            self._begin(self._after_hangup())

    async def _after_hangup(self) -> None:
        try:
            await self._read_again(_HANGUP)
        except AsyncmirrorError as error:
            self._tell(Notice(f"{_HANGUP}: nothing is changed: {error}"))

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def _open(self) -> Mirroring:
        assert self._mirror is not None
        return self._mirror

    async def _set(self, request: Request, peer: Peer) -> object:
        asked = request.get("knobs")
        if not isinstance(asked, Mapping) or not asked or not all(isinstance(text, str) for text in asked.values()):
            raise UsageError("no knob is given", hint=f"what can be turned: {', '.join(knob.name for knob in KNOBS)}")
        tuning = self._open.tuning
        self._turn(knobs.read(tuning, asked), str(peer))
        shown = {knob.name: knob.show for knob in KNOBS}
        return {name: {"before": shown[name](tuning), "after": shown[name](self._open.tuning)} for name in asked}

    def _turn(self, asked: Tuning, by: str) -> bool:
        """Steer the mirror, and tell what was turned; whether anything was."""
        mirror = self._open
        before = mirror.tuning
        mirror.steer(asked)
        found = turns(before, mirror.tuning)
        self._tell(*(Steered(knob, old, new, by) for knob, old, new in found))
        return bool(found)

    def _tell(self, *events: Event) -> None:
        for event in events:
            for work in self._syncing.tell(event):
                self._begin(work)

    def _changed(self, what: str, before: str, after: str, peer: Peer) -> object:
        if before != after:
            self._tell(Steered(what, before, after, str(peer)))
        return {what: {"before": before, "after": after}}

    async def _pause(self, _: Request, peer: Peer) -> object:
        return self._hold(peer, paused=True)

    async def _resume(self, _: Request, peer: Peer) -> object:
        return self._hold(peer, paused=False)

    def _hold(self, peer: Peer, *, paused: bool) -> object:
        mirror = self._open
        if self._syncing.ending != "no":
            raise UsageError("the run is ending already")
        before = _word(mirror.paused)
        mirror.pause() if paused else mirror.resume()
        return self._changed("paused", before, _word(mirror.paused), peer)

    async def _drain(self, _: Request, peer: Peer) -> object:
        return self._end(peer, at_once=False)

    async def _stop(self, _: Request, peer: Peer) -> object:
        return self._end(peer, at_once=True)

    def _end(self, peer: Peer, *, at_once: bool) -> object:
        before = self._syncing.ending
        after = "stop" if at_once or before == "stop" else "drain"
        answer = self._changed("ending", before, after, peer)
        self._syncing.end(at_once=at_once)
        return answer

    async def _log_level(self, request: Request, peer: Peer) -> object:
        asked = request.get("level")
        level = _level(asked if isinstance(asked, str) else "")
        logs.set_level(level)
        self._open.spread_log_levels()
        before, self._level = self._level, level
        return self._changed("log-level", before, level, peer)

    async def _reload(self, _: Request, peer: Peer) -> object:
        return {"reload": await self._read_again(str(peer))}

    async def _read_again(self, by: str) -> str:
        """Have what the mirror file says by now and did not say before, as far as it can be had; what came of it, in words."""
        if self._reread is None:
            raise UsageError(_NO_FILE)
        self._syncing.reloading(done=False)
        try:
            asked = await asyncio.to_thread(self._reread)
        finally:
            self._syncing.reloading(done=True)
        turned = self._turn(knobs.follow(self._open.tuning, self._read.settings.tuning, asked.settings.tuning), by)
        turned = self._reschedule(self._read.watch, asked.watch, by) or turned
        held, self._read = knobs.fixed(self._read, asked), asked
        said = "the mirror file was read again" if turned or held else "the mirror file was read again: nothing is new"
        if held:
            said += f": from the next start on holds what it says of {', '.join(held)}"
        self._tell(Notice(said))
        return said

    def _reschedule(self, before: Schedule | None, after: Schedule | None, by: str) -> bool:
        """Have later runs begin by another schedule, and tell it; whether it is another. Who runs once has none."""
        if before is None or after is None or before == after:
            return False
        self._syncing.reschedule(after)
        self._tell(Steered("watch", str(before), str(after), by))
        return True

    async def _top(self, _: Request, __: Peer) -> object:
        return self._frames()

    async def _frames(self) -> AsyncGenerator[object, None]:
        mirror = self._open
        closing = mirror.control.closing
        while not closing.is_set():
            yield frame.to_plain(self._syncing.state, mirror.progress())
            try:
                async with asyncio.timeout(_LOOK):
                    await closing.wait()
            except TimeoutError:
                pass
        yield frame.to_plain(self._syncing.state, mirror.progress(), over=True)


def _word(value: bool) -> str:  # noqa: FBT001  a word for it
    return "yes" if value else "no"
