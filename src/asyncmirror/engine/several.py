"""Uploader processes with a loop each, seen from the run (`--loops`).

Owns the processes' lives, what is said to them and what they say, and each one's share. Which works there are, and what becomes
of an outcome, is the run's; what goes on in a process is `process`'. Why processes, and what was measured:
docs/adr/0006-loops-are-processes.md.
"""

import asyncio
import logging
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from asyncmirror.engine.crew import SLOWEST
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
    Run,
    Sent,
    Steer,
)
from asyncmirror.engine.levels import log_levels
from asyncmirror.engine.throttling import Throttling
from asyncmirror.errors import AsyncmirrorError, JournalError, ProcessError
from asyncmirror.events import Flight, Narrow, Transfer
from asyncmirror.settings import Settings, Tuning
from asyncmirror.store.limit import LimitedStore
from asyncmirror.transfer.work import Ledger, Work

_FILES_PER_RUN = 16
"""Small files sent to a process together: a message costs more than a file's share of it."""


class _Member:
    """A process, seen from the run."""

    def __init__(
        self, concurrency: int, ledger: Ledger, fail: Callable[[AsyncmirrorError], None], tasks: asyncio.TaskGroup
    ) -> None:
        self.pid = 0
        self.flight = Flight(concurrency, concurrency)
        self.told: Callable[[], None] = lambda: None
        self.outstanding = 0
        self.sent = Sent()
        self.slowest: tuple[Transfer, ...] = ()
        self.frames = Frames(self._receive, self._lost)
        self._ledger = ledger
        self._fail = fail
        self._tasks = tasks
        self._runs: dict[int, tuple[list[Work], asyncio.Future[None]]] = {}
        self._count = 0
        self._ending = False

    def make_frames(self) -> Frames:
        """The run's end of the socket, for the loop to connect."""
        return self.frames

    async def run(self, works: list[Work]) -> None:
        """Have the process carry works out."""
        self._count += 1
        number = self._count
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._runs[number] = (works, future)
        self.outstanding += len(works)
        self.frames.send(Run(number, works))
        try:
            await future
        finally:
            self.outstanding -= len(works)
            self._runs.pop(number, None)

    def end(self) -> None:
        """Let the process go: it ends when its socket does."""
        self._ending = True
        self.frames.close()

    def _receive(self, message: Message) -> None:
        match message:
            case Outcomes(results=results):
                for run, place, outcome, size, reason, change in results:
                    if run in self._runs:
                        work = self._runs[run][0][place]
                        file = work.file._replace(identity=work.file.identity._replace(size=size))
                        self._ledger.settle(work._replace(file=file), outcome, reason, change)
            case Done(number=number, error=error, sent=sent):
                self._done(number, error)
                self.sent = sent
            case Commit(number=number, change=change):
                self._tasks.create_task(self._commit(message))
            case Note(text=text):
                self._ledger.notice(text)
            case Halt(error=error):
                self._ledger.halt(error)
            case Log(name=name, level=level, text=text):
                logging.getLogger(name).log(level, "%s", text)
            case Gauges(transfers=transfers, flight=flight, sent=sent):
                self.slowest, self.flight, self.sent = transfers, flight, sent
                self.told()
            case _:
                raise TypeError(f"no message for a run: {message!r}")

    def _done(self, number: int, error: AsyncmirrorError | None) -> None:
        if number == 0 and error is not None:
            self._fail(error)
        elif number in self._runs:
            _, future = self._runs[number]
            if not future.done():
                future.set_exception(error) if error is not None else future.set_result(None)

    async def _commit(self, commit: Commit) -> None:
        try:
            await self._ledger.commit(commit.change)
        except JournalError as error:
            self._fail(error)
        else:
            self.frames.send(Committed(commit.number))

    def _lost(self) -> None:
        if not self._ending:
            self._fail(ProcessError("an uploader process has died", hint="run the same command again: it goes on from here"))


class Several:
    """Processes with a loop each."""

    files = _FILES_PER_RUN

    def __init__(self, members: Sequence[_Member], limited: LimitedStore, ledger: Ledger) -> None:
        self._members = members
        self._limited = limited
        throttling = Throttling(ledger.notice)
        for member in members:
            member.told = lambda: throttling.observe(self.flight)

    @property
    def requests(self) -> int:
        """See `Crew.requests`."""
        return self._limited.requests + sum(member.sent.requests for member in self._members)

    @property
    def bytes_sent(self) -> int:
        """See `Crew.bytes_sent`."""
        return self._limited.bytes_sent + sum(member.sent.bytes_sent for member in self._members)

    @property
    def under_way(self) -> int:
        """See `Crew.under_way`."""
        return sum(member.sent.under_way for member in self._members)

    @property
    def flight(self) -> Flight:
        """See `Crew.flight`: each process has its share, and finds out for itself what the store admits."""
        return added_up([member.flight for member in self._members])

    async def run(self, works: list[Work]) -> None:
        """See `Crew.run`: the process with the least to do gets them."""
        await min(self._members, key=lambda member: member.outstanding).run(works)

    def steer(self, tuning: Tuning) -> None:
        """See `Crew.steer`: each process gets its share."""
        for member in self._members:
            member.frames.send(Steer(share(tuning)))

    def pause(self, *, paused: bool) -> None:
        """See `Crew.pause`."""
        for member in self._members:
            member.frames.send(Pause(paused))

    def spread_log_levels(self) -> None:
        """See `Crew.spread_log_levels`."""
        for member in self._members:
            member.frames.send(Relevel(log_levels()))

    def drain(self) -> None:
        """See `Crew.drain`."""
        self._limited.end()
        for member in self._members:
            member.frames.send(Drain())

    def slowest(self) -> tuple[Transfer, ...]:
        """See `Crew.slowest`."""
        found = [transfer for member in self._members for transfer in member.slowest]
        return tuple(sorted(found, key=lambda transfer: -transfer.seconds)[:SLOWEST])


def added_up(flights: Sequence[Flight]) -> Flight:
    """The gauges of several processes as those of one."""
    limit, most, refused = map(sum, zip(*(flight[:3] for flight in flights), strict=True))
    limits = Counter[str]()
    for flight in flights:
        limits.update(dict(flight.narrow))
    narrow = tuple(Narrow(prefix, count) for prefix, count in limits.items())
    return Flight(limit, most, refused, any(flight.throttled for flight in flights), narrow)


def share(tuning: Tuning) -> Tuning:
    """The tuning of one process: its part of the concurrency and of the memory. From what may be sent in a second all draw."""
    loops = tuning.loops
    return replace(
        tuning,
        loops=1,
        concurrency=-(-tuning.concurrency // loops),
        readers=-(-tuning.readers // loops),
        max_memory=tuning.max_memory // loops,
    )


def portion(settings: Settings) -> Settings:
    """The settings of one process, with its share, as they can be sent: a mapping proxy can't."""
    objects = replace(settings.objects, metadata=dict(settings.objects.metadata))
    return replace(settings, objects=objects, tuning=share(settings.tuning))


@asynccontextmanager
async def several(
    settings: Settings, limited: LimitedStore, ledger: Ledger, fail: Callable[[AsyncmirrorError], None]
) -> AsyncIterator[Several]:
    """Start the processes; they end with the block. `limited` counts what this process itself sends."""
    loop = asyncio.get_running_loop()
    of_each = portion(settings)
    assert limited.limits.pots is not None  # made with the store, where there are several loops
    pots = limited.limits.pots.descriptor
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        members: list[_Member] = []
        for _ in range(settings.tuning.loops):
            ours, theirs = socket.socketpair()
            with theirs:
                # -P: -m alone would import from the directory that the user happens to stand in, which may be anybody's data.
                number = theirs.fileno()
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "asyncmirror.engine.process", str(number)),
                    pass_fds=[number, pots],
                    start_new_session=True,  # a Ctrl-C in the terminal is for the run, which tells its processes
                )
            stack.push_async_callback(process.wait)
            member = _Member(of_each.tuning.concurrency, ledger, fail, tasks)
            member.pid = process.pid
            await loop.create_connection(member.make_frames, sock=ours)
            stack.callback(member.end)
            member.frames.send(Begin(of_each, pots))
            members.append(member)
        yield Several(members, limited, ledger)
