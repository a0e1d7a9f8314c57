"""An uploader process: an event loop of its own that carries out the works it is sent.

Owns the process from its first message to its end. It has no journal: outcomes and commits go to the run that started it, and
when that run is gone, it ends at once, whatever was in flight. Signals are the run's business.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import uvloop

from asyncmirror.engine.crew import SLOWEST
from asyncmirror.engine.descriptors import allow
from asyncmirror.engine.frames import (
    Begin,
    Commit,
    Committed,
    Done,
    Drain,
    Frames,
    Gauges,
    Halt,
    Log,
    Message,
    Note,
    Outcomes,
    Pause,
    Relevel,
    Result,
    Run,
    Sent,
    Steer,
)
from asyncmirror.engine.levels import log_from
from asyncmirror.errors import AsyncmirrorError, ProcessError
from asyncmirror.journal.changes import Change
from asyncmirror.model import Outcome
from asyncmirror.settings import Settings
from asyncmirror.source.beneath import Beneath
from asyncmirror.store.assemble import Assembled, assemble
from asyncmirror.store.pots import SharedPots
from asyncmirror.transfer import heap
from asyncmirror.transfer.upload import Uploader
from asyncmirror.transfer.work import Work

_GATHER = 0.005
"""Seconds for which outcomes are gathered: so much more than the journal's own may be lost to a `kill -9`."""
_MOST = 64
_LOOK = 0.5
"""Seconds between two tellings of what is going on."""
_GARBAGE = 50_000  # as in `cli.sync`


class _Telling:
    """A ledger that tells the run."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._loop = asyncio.get_running_loop()
        self._places: dict[bytes, tuple[int, int]] = {}
        self._results: list[Result] = []
        self._timer: asyncio.TimerHandle | None = None
        self._commits: dict[int, asyncio.Future[None]] = {}
        self._count = 0

    def expect(self, run: Run) -> None:
        """Note where these works stand: outcomes are told by their place."""
        for index, work in enumerate(run.works):
            self._places[work.path] = (run.number, index)

    def settle(self, work: Work, outcome: Outcome, reason: str = "", change: Change | None = None) -> None:
        """See `transfer.work.Ledger`."""
        place = self._places.pop(work.path, None)
        if place is None:
            return  # told already: a directory that changed while it was read may name a file twice
        run, index = place
        self._results.append(Result(run, index, outcome, work.size, reason, change))
        if len(self._results) >= _MOST:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(_GATHER, self.flush)

    async def commit(self, change: Change) -> None:
        """See `transfer.work.Ledger`. A journal that fails ends the run, and with it this process."""
        self.flush()
        self._count += 1
        done = self._commits[self._count] = self._loop.create_future()
        self._frames.send(Commit(self._count, change))
        await done

    def committed(self, number: int) -> None:
        """A commit is done."""
        done = self._commits.pop(number)
        if not done.done():
            done.set_result(None)

    def notice(self, text: str) -> None:
        """See `transfer.work.Ledger`."""
        self._frames.send(Note(text))

    def halt(self, error: AsyncmirrorError) -> None:
        """See `transfer.work.Ledger`."""
        self.flush()
        self._frames.send(Halt(error))

    def flush(self) -> None:
        """Tell what has been gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._results:
            self._frames.send(Outcomes(self._results))
            self._results = []


class _Forward(logging.Handler):
    """Has the run log what this process has to say: there it is escaped, and no credential passes."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. It may come from any thread."""
        log = Log(record.name, record.levelno, self.format(record))
        self._loop.call_soon_threadsafe(self._frames.send, log)


class _Process:
    """What this process is, once the first message came."""

    def __init__(self, settings: Settings, frames: Frames, store: Assembled, beneath: Beneath) -> None:
        self._frames = frames
        self._store = store
        self._telling = _Telling(frames)
        readers = ThreadPoolExecutor(settings.tuning.readers, "read")
        self._uploader = Uploader(settings, beneath, store.store, self._telling, readers)

    async def serve(self, messages: "asyncio.Queue[Message]") -> None:
        """Do as the messages say, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            while True:
                message = await messages.get()
                match message:
                    case Run():
                        self._telling.expect(message)
                        group.create_task(self._run(message))
                    case Committed(number=number):
                        self._telling.committed(number)
                    case Drain():
                        self._uploader.draining = True
                        self._store.limited.end()
                    case Steer(tuning=tuning):
                        allow(tuning)  # the run has seen that it may be
                        self._store.limited.steer(tuning)
                        self._uploader.steer(tuning)
                    case Pause(paused=paused):
                        limited = self._store.limited
                        limited.pause() if paused else limited.resume()
                    case Relevel(log_levels=levels):
                        log_from(levels)
                    case _:
                        raise TypeError(f"no message for a process: {message!r}")

    async def _run(self, run: Run) -> None:
        error: AsyncmirrorError | None = None
        try:
            await self._uploader.run(run.works)
        except AsyncmirrorError as raised:
            error = raised
        self._telling.flush()
        self._frames.send(Done(run.number, error, self._sent()))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            flight = self._store.limited.throttle.flight
            self._frames.send(Gauges(self._uploader.active(SLOWEST), flight, self._sent()))

    def _sent(self) -> Sent:
        limited = self._store.limited
        return Sent(limited.requests, limited.bytes_sent, self._uploader.confirmed + limited.unconfirmed)


async def _main(descriptor: int) -> None:
    messages: asyncio.Queue[Message] = asyncio.Queue()
    peer = socket.socket(fileno=descriptor)

    def lost() -> None:
        os._exit(0)  # the run has ended, or was killed: what is in flight is nobody's any more

    _, frames = await asyncio.get_running_loop().create_connection(lambda: Frames(messages.put_nowait, lost), sock=peer)
    logging.basicConfig(handlers=[_Forward(frames)], format="%(message)s", force=True)
    begin = await messages.get()
    assert isinstance(begin, Begin)
    settings = begin.settings
    try:
        async with assemble(settings, pots=SharedPots(begin.pots)) as store:
            await _Process(settings, frames, store, Beneath(settings.source)).serve(messages)
    except AsyncmirrorError as error:
        frames.send(Done(0, error, Sent()))
        await messages.join()
    except Exception as error:  # noqa: BLE001  the last line of defence, as in `cli.main`
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        text = "".join(traceback.format_exception(error))
        frames.send(Log("asyncmirror.engine.process", logging.DEBUG, f"an error that should not be\n{text}"))
        message = f"internal error in an uploader process: {type(cause).__name__}: {cause}"
        frames.send(Done(0, ProcessError(message, hint="please report it, with what --log-level debug says"), Sent()))
        await messages.join()


def main(arguments: Sequence[str]) -> None:
    """Serve on the socket whose descriptor is the one argument."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    gc.set_threshold(_GARBAGE)
    heap.give_back()
    uvloop.run(_main(int(arguments[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
