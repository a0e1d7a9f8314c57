"""Messages between the run and its uploader processes: what they are, and how they cross a socket.

Owns the wire format, a length and a pickle: both ends are this program, started by itself, over a socket pair that nobody else
can reach. Knows no meaning of the messages beyond their fields.
"""

import asyncio
import pickle
import struct
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

from asyncmirror.engine.levels import LogLevels
from asyncmirror.errors import AsyncmirrorError
from asyncmirror.events import Flight, Transfer
from asyncmirror.journal.changes import Change
from asyncmirror.model import Outcome
from asyncmirror.settings import Settings, Tuning
from asyncmirror.transfer.work import Work

_LENGTH = struct.Struct("!I")


class Begin(NamedTuple):
    """To a process: what the run is. Always the first message. `pots` is the descriptor of its `store.pots.SharedPots`."""

    settings: Settings
    pots: int


class Run(NamedTuple):
    """To a process: carry these works out."""

    number: int
    works: list[Work]


class Drain(NamedTuple):
    """To a process: begin nothing new."""


class Steer(NamedTuple):
    """To a process: go by this tuning, its share of the run's, from now on."""

    tuning: Tuning


class Pause(NamedTuple):
    """To a process: begin no request until the other message comes."""

    paused: bool


class Relevel(NamedTuple):
    """To a process: log from these levels on, which are the run's."""

    log_levels: LogLevels


class Committed(NamedTuple):
    """To a process: the change that it asked to commit is committed."""

    number: int


class Result(NamedTuple):
    """One work's outcome, told by its place in its run: size in bytes, and what the journal is to keep."""

    run: int
    place: int
    outcome: Outcome
    size: int
    reason: str
    change: Change | None


class Outcomes(NamedTuple):
    """From a process: works have their outcomes."""

    results: list[Result]


class Sent(NamedTuple):
    """What a process has sent since it began; `under_way` as in `events.Progress`."""

    requests: int = 0
    bytes_sent: int = 0
    under_way: int = 0


class Done(NamedTuple):
    """From a process: a run of works is over, all its outcomes told before. `error` ends the whole run of the mirror."""

    number: int
    error: AsyncmirrorError | None
    sent: Sent


class Commit(NamedTuple):
    """From a process: journal this, and say when it is done."""

    number: int
    change: Change


class Note(NamedTuple):
    """From a process: tell the user."""

    text: str


class Halt(NamedTuple):
    """From a process: end the run because of this error, but finish what is in flight."""

    error: AsyncmirrorError


class Log(NamedTuple):
    """From a process: log this where the user wants it, and as the run does: credentials are taken out there."""

    name: str
    level: int
    text: str


class Gauges(NamedTuple):
    """From a process, now and then: the transfers that have been going on for longest, its requests in flight, what it sent."""

    transfers: tuple[Transfer, ...]
    flight: Flight
    sent: Sent


ToProcess: TypeAlias = Begin | Run | Drain | Steer | Pause | Relevel | Committed
FromProcess: TypeAlias = Outcomes | Done | Commit | Note | Halt | Log | Gauges
Message: TypeAlias = ToProcess | FromProcess


class Frames(asyncio.Protocol):
    """One end of the socket. `receive` is called with each message, `lost` once when the other end is gone."""

    def __init__(self, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._receive = receive
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def send(self, message: Message) -> None:
        """Send a message. To an end that is gone it is dropped: `lost` tells."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        """Take messages out of what came."""
        buffer = self._buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            body = start + _LENGTH.size
            if end - body < length:
                break
            message: Message = pickle.loads(memoryview(buffer)[body : body + length])  # noqa: S301  from ourselves
            start = body + length
            self._receive(message)
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  how it ended does not matter
        """The other end is gone."""
        self._lost()
